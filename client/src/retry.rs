//! What to do after one attempt: pure decisions, without clock, chance or network.
//!
//! The statuses are those of the Vault API. What surprises: a 5xx counts as the server's word only if its body is the
//! API's own; one without was written by a proxy, which cannot know whether the server behind it did the work. And a
//! Conclave node that lost its leader under way answers 503 too, saying that the outcome is unknown.

use std::time::Duration;

use crate::method::Effect;
use crate::reply::Voice;

/// A server error with a body of its own is often final (a bad configuration is 500 too), so it is repeated this often
/// and then believed.
pub(crate) const MAX_SERVER_ERRORS: u32 = 2;

/// How long and how often a client tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) deadline: Duration,
    pub(crate) attempt_timeout: Duration,
    pub(crate) max_retries: Option<u32>,
    pub(crate) patience: Option<Duration>,
}

/// What an answer means for the course of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judgement {
    /// Hand it to the caller.
    Final,
    /// The node did nothing and cannot serve now; another may.
    Elsewhere,
    /// The node did nothing and asks for patience.
    Patience,
    /// The server tried and failed; worth another attempt if a repeated request is safe.
    ServerError,
    /// Nobody can tell from it whether the request was carried out.
    Undecided,
}

/// Judges an answer by its status and by whose words it carries.
pub(crate) fn judge(status: u16, voice: Voice) -> Judgement {
    match status {
        500..=599 if voice == Voice::UndecidedServer => Judgement::Undecided,
        412 | 429 => Judgement::Patience,
        501 => Judgement::Final,
        503 if voice == Voice::Server => Judgement::Elsewhere,
        500..=599 if voice == Voice::Server => Judgement::ServerError,
        500..=599 => Judgement::Undecided,
        _ => Judgement::Final,
    }
}

/// Whether a request may be sent again although an earlier attempt may have been carried out.
pub(crate) fn may_repeat(effect: Effect, server_remembers: bool) -> bool {
    effect == Effect::Read || server_remembers
}

const SHORTEST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// A server that asks for more patience than this gets this much.
const LONGEST_ASKED: Duration = Duration::from_secs(60);

/// A node that cannot serve now gets at most this much patience, because another may lead sooner than it thinks.
const LONGEST_ADVISED: Duration = Duration::from_secs(5);

/// How long to wait when no node can serve and one of them says when to come back.
pub(crate) fn advised_pause(asked: Duration) -> Duration {
    asked.min(LONGEST_ADVISED)
}

/// How long to wait before the next round over all nodes. `chance` lies in 0..1 and spreads clients that failed
/// together; `asked` is the server's `Retry-After`.
pub(crate) fn pause(round: u32, chance: f64, asked: Option<Duration>) -> Duration {
    let doubled = SHORTEST_PAUSE.saturating_mul(1_u32 << round.min(16)).min(LONGEST_PAUSE);
    let spread = doubled.mul_f64(0.5 + chance.clamp(0.0, 1.0));
    asked.map_or(spread, |asked| asked.min(LONGEST_ASKED).max(spread))
}

/// How long one attempt may take: patience doubles with each round, so that a slow cluster is not always cut off.
pub(crate) fn attempt_timeout(configured: Duration, round: u32, remaining: Duration) -> Duration {
    configured.saturating_mul(1_u32 << round.min(8)).min(remaining)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_node_is_left_for_another() {
        assert_eq!(judge(503, Voice::Server), Judgement::Elsewhere);
    }

    #[test]
    fn a_503_of_a_proxy_proves_nothing() {
        assert_eq!(judge(503, Voice::Proxy), Judgement::Undecided);
    }

    #[test]
    fn a_503_of_a_server_that_does_not_know_proves_nothing() {
        assert_eq!(judge(503, Voice::UndecidedServer), Judgement::Undecided);
    }

    #[test]
    fn an_uninitialised_server_is_final() {
        assert_eq!(judge(501, Voice::Server), Judgement::Final);
    }

    #[test]
    fn a_write_is_repeated_only_where_the_server_remembers_it() {
        assert!(may_repeat(Effect::Read, false));
        assert!(!may_repeat(Effect::Write, false));
        assert!(may_repeat(Effect::Write, true));
    }

    #[test]
    fn pauses_grow_to_a_limit() {
        assert_eq!(pause(0, 0.5, None), Duration::from_millis(100));
        assert_eq!(pause(3, 0.5, None), Duration::from_millis(800));
        assert_eq!(pause(40, 0.5, None), LONGEST_PAUSE);
    }

    #[test]
    fn a_server_may_ask_for_a_longer_pause_but_not_for_an_endless_one() {
        assert_eq!(pause(0, 0.5, Some(Duration::from_secs(3))), Duration::from_secs(3));
        assert_eq!(pause(0, 0.5, Some(Duration::from_secs(90_000))), LONGEST_ASKED);
    }

    #[test]
    fn a_node_that_cannot_serve_is_believed_for_five_seconds_at_most() {
        assert_eq!(advised_pause(Duration::from_secs(2)), Duration::from_secs(2));
        assert_eq!(advised_pause(Duration::from_secs(600)), LONGEST_ADVISED);
    }

    #[test]
    fn an_attempt_never_outlives_the_call() {
        let left = Duration::from_secs(7);
        assert_eq!(attempt_timeout(Duration::from_secs(5), 1, left), left);
    }
}
