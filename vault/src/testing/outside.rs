//! The outside of tests, and the leader's part of taking back what was lent out.

use std::collections::BTreeSet;

use super::{Harness, context};
use crate::context::Random as _;
use crate::core::Done;
use crate::errand::{Answer, Errand, Errands, OutsideCall};
use crate::task::ending;

/// What a test does with a message to the outside.
pub(crate) type Reach = Box<dyn FnMut(&OutsideCall) -> Result<Vec<u8>, String>>;

impl Harness {
    /// The errands of a new request.
    pub(crate) fn errands(&mut self) -> Errands {
        let mut seed = [0; 32];
        self.random.fill(&mut seed);
        Errands::new(seed)
    }

    /// Does an errand that goes to the outside.
    pub(crate) fn reach(&mut self, errand: &Errand) -> Answer {
        let Errand::Outside(outside) = errand else { panic!("the errand does not go to the outside") };
        Answer::Outside((self.outside)(outside).map(Into::into))
    }

    /// Names of the leases that wait to be taken back.
    pub(crate) fn waiting(&self) -> Vec<String> {
        ending::leases_to_end(&self.core, &self.table, &BTreeSet::new()).expect("a table in memory answers")
    }

    /// One run of taking a lease back.
    pub(crate) fn end_once(&mut self, errands: &mut Errands, name: &str) -> Done {
        let mut context = context(&mut self.random, self.now);
        context.errands = std::mem::take(errands);
        let done = ending::end_lease(&self.core, &mut context, &self.table, name);
        *errands = std::mem::take(&mut context.errands);
        done
    }

    /// Takes back what waits for that, each once.
    pub(crate) fn run_endings(&mut self) {
        for name in self.waiting() {
            let mut errands = self.errands();
            loop {
                let done = self.end_once(&mut errands, &name);
                done.result.expect("a lease can be looked at");
                if let Some(errand) = done.errand {
                    let answer = self.reach(&errand);
                    errands.answer(errand, answer);
                } else if done.batch.is_none_or(|batch| self.commit(&batch)) {
                    break;
                }
            }
        }
    }

    /// Lets hours pass, with the leader at work, until everything that can end has ended.
    pub(crate) fn run_down(&mut self, hours: u64) {
        for _ in 0..hours * 12 {
            self.advance(300);
            self.run_tasks();
            self.run_endings();
        }
    }
}
