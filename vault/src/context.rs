//! What the outside gives each call: time, randomness, and facts about the node.

use crate::action::Action;
use crate::errand::{Answer, Computation, Errand, Errands, OutsideCall, Password};
use crate::error::Error;
use crate::lockout::rule::UserLockout;
pub use crate::random::Random;
use crate::reply::Reply;
use crate::time::Time;
use crate::trail::Trail;
use std::sync::Arc;

use zeroize::Zeroizing;

/// Limits of time to live that the configuration sets for the whole server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SystemTtl {
    /// Used where nothing else says how long, in seconds.
    pub default_secs: u64,
    /// The longest, in seconds.
    pub max_secs: u64,
}

impl Default for SystemTtl {
    fn default() -> Self {
        Self { default_secs: 768 * 3600, max_secs: 768 * 3600 }
    }
}

/// Ceremonies with shares that the configuration opens to those who have shares and no token.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenCeremonies {
    /// Making new shares.
    pub rekey: bool,
    /// Making a root token.
    pub generate_root: bool,
}

/// One call's time, randomness and surroundings.
pub struct Context<'a> {
    /// The later of the node's clock and the cluster time.
    pub now: Time,
    /// Random bytes.
    pub random: &'a mut dyn Random,
    /// This node.
    pub node_id: u64,
    /// The server's limits of time to live.
    pub system_ttl: SystemTtl,
    /// When users are locked out, as the configuration says.
    pub user_lockout: &'a UserLockout,
    /// Which ceremonies need no token.
    pub open_ceremonies: OpenCeremonies,
    /// The epoch that batches must carry.
    pub epoch: u64,
    /// The version that clients are told, such as `1.17.6`.
    pub api_version: &'a str,
    /// What the request asked of the outside, in this run and before.
    pub errands: Errands,
    /// The certificates that the client of the request showed ([`crate::Request::client_certificates`]).
    pub client_certificates: Arc<[Vec<u8>]>,
    /// Filled for the audit record, if there is one.
    pub trail: Option<Box<Trail>>,
}

/// Letters and digits for identifiers: 62 symbols.
const BASE62: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

impl<'a> Context<'a> {
    /// For work that is no client's request, where nothing is configured; the other fields by struct update. `version` is what
    /// clients are told.
    pub fn plain(now: Time, random: &'a mut dyn Random, node_id: u64, version: &'a str) -> Self {
        Self {
            now,
            random,
            node_id,
            system_ttl: SystemTtl::default(),
            user_lockout: UserLockout::NONE,
            open_ceremonies: OpenCeremonies::default(),
            epoch: 0,
            api_version: version,
            errands: Errands::default(),
            client_certificates: Arc::default(),
            trail: None,
        }
    }
}

impl Context<'_> {
    /// What only the node knows or can make, as a reply. If that is not known yet this is the end of the run, so the error must
    /// be handed up at once.
    pub fn ask_node(&mut self, action: Action) -> Result<Reply, Error> {
        match self.errands.ask(Errand::Node(action))? {
            Answer::Node(reply) => Ok(*reply),
            _ => Err(Error::internal("the answer is to another question")),
        }
    }

    /// The digest of a password; ends the run as [`Context::ask_node`] does.
    pub fn ask_digest(&mut self, password: Password) -> Result<Zeroizing<[u8; 32]>, Error> {
        match self.errands.ask(Errand::Digest(password))? {
            Answer::Digest(digest) => Ok(digest),
            _ => Err(Error::internal("the answer is to another question")),
        }
    }

    /// What a long computation comes to; ends the run as [`Context::ask_node`] does.
    ///
    /// # Errors
    /// What the computation failed with.
    pub fn ask_computation(&mut self, computation: Computation) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self.errands.ask(Errand::Compute(computation))? {
            Answer::Computed(answer) => Ok(answer),
            _ => Err(Error::internal("the answer is to another question")),
        }
    }

    /// What something outside answers; ends the run as [`Context::ask_node`] does. What changes something there needs an intent
    /// first: [`crate::engine::Call::begin_lease`].
    ///
    /// # Errors
    /// [`crate::error::ErrorKind::Unavailable`] if nothing was answered; it may have been done all the same.
    pub fn ask_outside(&mut self, outside: OutsideCall) -> Result<Zeroizing<Vec<u8>>, Error> {
        let target = outside.target.clone();
        match self.errands.ask(Errand::Outside(outside))? {
            Answer::Outside(Ok(answer)) => Ok(answer),
            Answer::Outside(Err(reason)) => Err(Error::unavailable(format!("{target} did not do its part: {reason}"))),
            _ => Err(Error::internal("the answer is to another question")),
        }
    }

    /// Random bytes that are the same in every run of a request, for what an errand is made from.
    pub fn lasting_bytes(&self, purpose: &str) -> Result<[u8; 32], Error> {
        self.errands.lasting(purpose)
    }

    /// Random bytes of a fixed number.
    pub fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let mut bytes = [0; N];
        self.random.fill(&mut bytes);
        bytes
    }

    /// A random text of letters and digits, each symbol equally likely (by rejection).
    pub fn base62(&mut self, length: usize) -> String {
        let mut text = String::with_capacity(length);
        while text.len() < length {
            for byte in self.bytes::<32>() {
                // 248 is the largest multiple of 62 in a byte; above it symbols would not be equally likely.
                if byte < 248 && text.len() < length {
                    text.push(char::from(BASE62[usize::from(byte % 62)]));
                }
            }
        }
        text
    }

    /// A random UUID, version 4 (RFC 9562, section 5.4).
    pub fn uuid(&mut self) -> String {
        let mut bytes = self.bytes::<16>();
        bytes[6] = (bytes[6] & 0x0f) | 0x40;
        bytes[8] = (bytes[8] & 0x3f) | 0x80;
        let text = hex::encode(bytes);
        format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
    }
}
