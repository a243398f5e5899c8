//! What one node knows of the members by itself, for the hour in which the cluster cannot be asked.
//!
//! The lists of the cluster need a token, and so a read that a quorum confirms; what a node says of the members to the
//! holders of shares needs neither. What surprises: the command fails all the same, because the cluster did not answer.

use conclave_client::{Address, Candidate, Error};
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// What the node that refused knows.
pub(super) struct Known {
    address: Address,
    /// Why it refused.
    reason: String,
    own: Candidate,
    others: Vec<Candidate>,
}

impl Known {
    /// Asks the node that refused, if that is why there is no list.
    ///
    /// # Errors
    /// The failure that was given, for any other one, and for a server that says nothing to holders of shares.
    pub(super) async fn instead_of(failure: Failure, session: &Session) -> Result<Self, Failure> {
        let Some((address, reason)) = refusal(&failure) else { return Err(failure) };
        let client = session.client.with_token(None).at(address.clone());
        let seals = client.seals();
        let (own, others) = tokio::join!(seals.candidate(), seals.candidates());
        match (own, others) {
            (Ok(own), Ok(others)) => Ok(Self { address, reason, own, others }),
            _ => Err(failure),
        }
    }

    /// The members as rows of a list of the cluster, with what only that knows left out. `describe` adds what a list
    /// has of its own.
    pub(super) fn rows(&self, describe: impl Fn(&Candidate) -> Value) -> Vec<Value> {
        let row = |member: &Candidate| {
            let mut row = describe(member);
            row["node_id"] = member.node_id.clone().into();
            row["id"] = member.id.clone().into();
            row["alive"] = member.error.is_none().into();
            row["sealed"] = member.sealed.into();
            row["voter"] = member.voter.into();
            row
        };
        std::iter::once(&self.own).chain(&self.others).map(row).collect()
    }

    /// Prints the rows, says what they are, and ends as a command to which the cluster gave no answer.
    pub(super) fn print(&self, session: &Session, table: impl FnOnce() -> String, document: Value) -> Outcome {
        let mut document = document;
        document["last_known"] = json!({ "address": self.address.as_str(), "reason": self.reason });
        session.output.either(table, &document)?;
        session.output.warn(&format!(
            "The cluster did not answer: {}. These are the members as {} knew them last, and who of them answers it \
             now. `status` says since when a node is cut off.",
            self.reason, self.address
        ));
        Err(Failure::Quiet(2))
    }
}

/// Who refused to serve at the moment, and why.
fn refusal(failure: &Failure) -> Option<(Address, String)> {
    let Failure::Call { source, .. } = failure else { return None };
    match &**source {
        Error::Status(error) if error.status == 503 => Some((error.reply.address().clone(), error.errors.join("; "))),
        _ => None,
    }
}
