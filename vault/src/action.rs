//! What only the node can do or knows, because it touches the process or the cluster.
//!
//! The core decides whether a caller may. What is to be known or made for a reply is asked while the request runs
//! ([`crate::errand`]); what ends the matter (seal, step down, remove a node) stands in the reply, and is done after the batch was
//! committed and before the reply leaves.

use std::fmt;
use std::net::IpAddr;

use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::audit::AuditDevice;
use crate::seal::proof::{Challenge, Joiner, NONCE_BYTES};

/// Something only the node can do or knows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Seal this node, after handing over leadership.
    Seal,
    /// Hand leadership to another node.
    StepDown,
    /// Answer with the nodes of the cluster and their state.
    HaStatus,
    /// Answer with the Raft configuration.
    RaftConfiguration,
    /// Answer with how healthy the members are.
    AutopilotState,
    /// Answer with a snapshot of the table.
    TakeSnapshot,
    /// Remove a node from the cluster.
    RemovePeer {
        /// Its id, as the configuration lists it.
        server_id: String,
    },
    /// Make a join token and answer with it.
    JoinToken {
        /// How long it may be redeemed, in seconds.
        ttl_secs: u64,
        /// How many nodes it lets in.
        uses: u64,
    },
    /// Answer with a challenge for a node that wants to join by shares.
    JoinChallenge(Joiner),
    /// Check the answer to it, and answer with a join token for that node alone.
    JoinAnswer {
        /// Who joins.
        joiner: Joiner,
        /// What was asked.
        challenge: Challenge,
        /// What the joiner drew.
        nonce: [u8; NONCE_BYTES],
        /// Its proof.
        proof: [u8; 32],
    },
    /// Do a step of a ceremony with shares on this node, and answer how far it is.
    Ceremony(CeremonyStep),
    /// Show or change the levels of this node's loggers: of one, or of all.
    Loggers {
        /// Which one.
        name: Option<String>,
        /// What to do.
        step: LoggerStep,
    },
    /// Answer with metrics.
    Metrics {
        /// `prometheus` or empty for JSON.
        format: String,
    },
    /// Answer with facts about the host.
    HostInfo,
    /// Answer with the requests that are being served.
    InFlightRequests,
    /// Answer with the configuration in force, without secrets.
    SanitizedConfig,
    /// Answer with the versions that ran here.
    VersionHistory,
    /// Answer with the audit devices that this node's configuration names, as lists show them.
    ConfiguredAuditDevices,
    /// Try whether an audit device could be had here; refuse if not.
    TryAuditDevice(AuditDevice),
}

impl Action {
    /// Whether only the leader can do it, so that another node hands the request on.
    pub fn is_for_the_leader(&self) -> bool {
        matches!(self, Self::StepDown | Self::RemovePeer { .. })
    }
}

/// What is done with a logger's level.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoggerStep {
    /// Answer with it.
    Show,
    /// Let it be this one.
    Set(String),
    /// Let it be as the configuration says.
    Reset,
}

/// A text that is a secret, such as a share.
#[derive(Clone)]
pub struct Confidential(Zeroizing<String>);

impl Confidential {
    /// Over what was sent.
    pub fn new(text: &str) -> Self {
        Self(Zeroizing::new(text.to_owned()))
    }

    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Confidential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Confidential(..)")
    }
}

impl PartialEq for Confidential {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for Confidential {}

/// A share as it was entered, and for which attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenShare {
    /// Its text; empty if none was sent.
    pub key: Confidential,
    /// Names the attempt.
    pub nonce: String,
    /// Where it comes from.
    pub address: Option<IpAddr>,
}

/// The seal that a rekey is to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewShares {
    /// How many shares to make.
    pub shares: u64,
    /// How many of them unseal.
    pub threshold: u64,
    /// Whether they count only once as many of them as unseal were entered.
    pub is_to_be_verified: bool,
    /// The age recipients that they are encrypted to, one for each share; empty if they are answered as they are.
    pub recipients: Vec<String>,
}

/// What hides a new root token on its way out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenCover {
    /// A one-time pad that is made.
    FreshPad,
    /// A one-time pad of the caller's.
    GivenPad(Confidential),
    /// Encryption to an age recipient.
    Recipient(String),
}

/// A step of a ceremony on an unsealed node. Its attempt lies in the memory of the node that is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CeremonyStep {
    /// How far the making of a root token is.
    RootStatus,
    /// Begin it, and say what hides the token.
    RootBegin(TokenCover),
    /// Forget it.
    RootCancel,
    /// A share for it. The last one makes the token.
    RootShare(GivenShare),
    /// How far the making of new shares is.
    RekeyStatus,
    /// Begin it.
    RekeyBegin(NewShares),
    /// Forget it; the shares of before go on to count.
    RekeyCancel,
    /// A share of before.
    RekeyShare(GivenShare),
    /// How far the trial of the new shares is.
    VerifyStatus,
    /// A new share, for the trial.
    VerifyShare(GivenShare),
    /// Begin the trial anew.
    VerifyRestart,
}
