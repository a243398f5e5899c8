//! What a handler asks of the outside, and how its answer comes back.
//!
//! A handler is a pure function, so it cannot wait. It asks ([`Context::ask_node`]): its run ends there, the node does the errand,
//! and the request runs again from the start with what is known by then. An errand is done once for a request on each node that
//! runs it, however often races make it run there; an answer belongs to its errand, so a run that sees newer records and asks
//! something else is not given the answer to an older question.
//!
//! What surprises: what a run wrote before it asked is not kept, unless it holds an intent. An errand that changes something
//! outside has one: what the handler wrote is committed before the errand is done, so whatever happens then, somebody finds
//! it and puts things right ([`crate::lease`]). All other errands compute, look, or make what is harmless if nobody ever hears
//! of it. What ends a request, as sealing does, is no errand but an [`Action`] of its reply.
//!
//! [`Context::ask_node`]: crate::context::Context::ask_node

use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::hmac;
use subtle::ConstantTimeEq;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::action::Action;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::limits::MAX_ERRANDS;
use crate::reply::Reply;

/// What the node is to do for a request.
#[derive(Clone)]
pub enum Errand {
    /// Compute the digest of a password.
    Digest(Password),
    /// Compute something else that takes long.
    Compute(Computation),
    /// Say what only the node knows, or make what only the node can.
    Node(Action),
    /// Have something done outside the cluster.
    Outside(OutsideCall),
}

/// A message to something outside: a database, a directory, another server. Has no `Debug`: it may hold secrets.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct OutsideCall {
    /// The way there, such as a protocol, which the node must have.
    #[zeroize(skip)]
    pub way: &'static str,
    /// Who gets it. Each target has its own places, so one that hangs holds up nobody else.
    pub target: String,
    /// What to do, in the words of the way.
    pub message: Vec<u8>,
}

/// What came of it.
#[derive(Clone)]
pub enum Answer {
    /// Of [`Errand::Digest`].
    Digest(Zeroizing<[u8; 32]>),
    /// Of [`Errand::Compute`].
    Computed(Zeroizing<Vec<u8>>),
    /// Of [`Errand::Node`]: what is to be answered.
    Node(Box<Reply>),
    /// Of [`Errand::Outside`]: what was answered there, or why nothing was. Then it may have been done all the same. The
    /// reason is for people and holds no value of the message.
    Outside(Result<Zeroizing<Vec<u8>>, String>),
}

/// A password, and how its digest is computed: Argon2id, version 1.3 (RFC 9106).
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Password {
    /// What was sent.
    pub text: Vec<u8>,
    /// 16 random bytes.
    pub salt: Vec<u8>,
    /// Memory in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
}

/// Computes an answer from an input.
pub type ComputeFn = fn(&[u8]) -> Result<Zeroizing<Vec<u8>>, Error>;

/// A computation of an engine that takes long. Has no `Debug`: the input may hold keys.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct Computation {
    /// What it is, which tells it apart from others.
    #[zeroize(skip)]
    pub name: &'static str,
    /// Computes it. It looks at nothing but the input, and may draw randomness: the answer is kept for all runs of the request.
    #[zeroize(skip)]
    pub work: ComputeFn,
    /// What it is computed from. A second computation of the same is not done, so what must differ must be in here.
    pub input: Vec<u8>,
}

impl Computation {
    /// Computes it. Long: it belongs on a thread that may block.
    ///
    /// # Errors
    /// What the request is to end with.
    pub fn run(&self) -> Result<Answer, Error> {
        (self.work)(&self.input).map(Answer::Computed)
    }
}

/// The memory in which digests are computed, one after the other: allocated once, since allocators keep megabytes that are
/// freed for each thread that did. Zeros between two uses.
#[derive(Default)]
pub struct DigestMemory(Vec<Block>);

impl Password {
    /// Computes the digest in memory that may be used again. Long: it belongs on a thread that may block.
    ///
    /// # Errors
    /// [`ErrorKind::Internal`] for parameters that are none, or without the memory that they ask for.
    pub fn digest(&self, memory: &mut DigestMemory) -> Result<Answer, Error> {
        let mut digest = Zeroizing::new([0; 32]);
        let parameters = Params::new(self.memory_kib, self.passes, 1, Some(digest.len()));
        let parameters = parameters.map_err(|error| Error::internal(error.to_string()))?;
        memory.0.resize(memory.0.len().max(parameters.block_count()), Block::default());
        let done = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters).hash_password_into_with_memory(
            &self.text,
            &self.salt,
            digest.as_mut_slice(),
            &mut memory.0,
        );
        memory.0.fill(Block::default());
        done.map_err(|error| Error::internal(error.to_string()))?;
        Ok(Answer::Digest(digest))
    }

    fn is(&self, other: &Self) -> bool {
        let is_same_work = (self.memory_kib, self.passes) == (other.memory_kib, other.passes);
        is_same_work && bool::from(self.text.ct_eq(&other.text) & self.salt.ct_eq(&other.salt))
    }
}

impl Errand {
    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Digest(one), Self::Digest(other)) => one.is(other),
            (Self::Compute(one), Self::Compute(other)) => {
                one.name == other.name && bool::from(one.input.ct_eq(&other.input))
            }
            (Self::Node(one), Self::Node(other)) => one == other,
            (Self::Outside(one), Self::Outside(other)) => {
                (one.way, &one.target) == (other.way, &other.target) && bool::from(one.message.ct_eq(&other.message))
            }
            _ => false,
        }
    }
}

/// The errands of one request, over all its runs. Outside of requests, as in background work, nothing is asked: that is the
/// default.
#[derive(Default)]
pub struct Errands {
    /// What [`Errands::lasting`] is made from; absent outside of requests.
    seed: Option<Zeroizing<[u8; 32]>>,
    done: Vec<(Errand, Answer)>,
    asked: Option<Errand>,
    /// Names of the intents that the present run wrote.
    intents: Vec<String>,
    /// Names of those that are committed.
    kept: Vec<String>,
}

impl Errands {
    /// Of a new request; the seed is random.
    pub fn new(seed: [u8; 32]) -> Self {
        Self { seed: Some(Zeroizing::new(seed)), ..Self::default() }
    }

    /// The errand that the last run ended with.
    pub fn take_asked(&mut self) -> Option<Errand> {
        self.asked.take()
    }

    /// Begins a run.
    pub(crate) fn begin_run(&mut self) {
        self.asked = None;
        self.intents.clear();
    }

    /// Has what the run wrote committed before its errand is done; the name tells intents of a request apart.
    pub(crate) fn intend(&mut self, name: &str) {
        self.intents.push(name.to_owned());
    }

    /// Whether an intent was committed by an earlier run.
    pub(crate) fn is_kept(&self, name: &str) -> bool {
        self.kept.iter().any(|kept| kept == name)
    }

    /// Whether the run ended with an errand.
    pub(crate) fn is_asking(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether the run ended with an errand that must wait for an intent.
    pub(crate) fn awaits_intent(&self) -> bool {
        self.asked.is_some() && !self.intents.is_empty()
    }

    /// The last run's intents are committed.
    pub fn keep_intents(&mut self) {
        self.kept.append(&mut self.intents);
    }

    /// Whether an intent of the request is committed. Then no other node may run the request as a new one.
    pub fn has_kept(&self) -> bool {
        !self.kept.is_empty()
    }

    /// What a request that is given up leaves behind, for its error.
    pub fn what_is_left(&self) -> &'static str {
        if self.has_kept() { "what was begun is taken back by itself" } else { "nothing was changed" }
    }

    /// Keeps an answer for the next runs.
    pub fn answer(&mut self, errand: Errand, answer: Answer) {
        self.done.push((errand, answer));
    }

    /// The answer to an errand, or the end of this run.
    pub(crate) fn ask(&mut self, errand: Errand) -> Result<Answer, Error> {
        if self.seed.is_none() {
            return Err(Error::internal("only a request can ask for an errand"));
        }
        if let Some((_, answer)) = self.done.iter().find(|(done, _)| done.is(&errand)) {
            return Ok(answer.clone());
        }
        if self.done.len() >= MAX_ERRANDS {
            let left = self.what_is_left();
            return Err(Error::unavailable(format!("what the request depends on kept changing; {left}, try again")));
        }
        self.asked = Some(errand);
        Err(Error::internal("the run ended with an errand"))
    }

    /// Random bytes that are the same in every run of the request, for what an errand is made from; `purpose` tells several
    /// apart (HMAC-SHA256, RFC 2104).
    pub(crate) fn lasting(&self, purpose: &str) -> Result<[u8; 32], Error> {
        let seed = self.seed.as_ref().ok_or_else(|| Error::internal("only a request has bytes that last"))?;
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, seed.as_slice()), purpose.as_bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(tag.as_ref());
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorKind;

    fn secret(text: &str) -> Password {
        Password { text: text.into(), salt: vec![2; 16], memory_kib: 64, passes: 3 }
    }

    fn password(text: &str) -> Errand {
        Errand::Digest(secret(text))
    }

    #[test]
    fn an_answer_is_for_its_own_question_only() {
        let mut errands = Errands::new([1; 32]);
        assert!(errands.ask(password("a")).is_err());
        let asked = errands.take_asked().unwrap();
        let answer = secret("a").digest(&mut DigestMemory::default()).unwrap();
        errands.answer(asked, answer);
        assert!(errands.ask(password("b")).is_err());
        assert!(errands.take_asked().is_some());
        assert!(errands.ask(password("a")).is_ok());
        assert!(errands.take_asked().is_none());
    }

    #[test]
    fn a_request_that_asks_for_ever_ends() {
        let mut errands = Errands::new([1; 32]);
        for number in 0..MAX_ERRANDS {
            let errand = password(&number.to_string());
            assert!(errands.ask(errand.clone()).is_err());
            errands.answer(errand, Answer::Digest(Zeroizing::new([0; 32])));
        }
        errands.take_asked();
        assert_eq!(errands.ask(password("more")).err().map(|error| error.kind), Some(ErrorKind::Unavailable));
        assert!(errands.take_asked().is_none());
    }

    #[test]
    fn lasting_bytes_last_and_differ_by_purpose_and_request() {
        let (one, other) = (Errands::new([1; 32]), Errands::new([2; 32]));
        let of = |errands: &Errands, purpose: &str| errands.lasting(purpose).unwrap();
        assert_eq!(of(&one, "salt"), of(&one, "salt"));
        assert_ne!(of(&one, "salt"), of(&one, "key"));
        assert_ne!(of(&one, "salt"), of(&other, "salt"));
        assert!(Errands::default().lasting("salt").is_err());
        assert!(Errands::default().ask(password("a")).is_err());
    }
}
