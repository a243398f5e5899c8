//! Keeping a token alive for as long as the server lets it live.
//!
//! It is a future that the caller runs beside its work, not a thread of its own. What surprises: a renewal that finds no
//! leader, a sealed cluster or a broken connection ends nothing; it is tried again until the token itself has ended.

use std::time::{Duration, Instant};

use crate::client::Client;
use crate::error::Error;
use crate::reply::Auth;
use crate::retry;

/// After how much of its life a token is renewed: early enough for several tries, late enough to be no load.
const RENEW_AFTER: f64 = 2.0 / 3.0;
/// How much of the life left passes at most between two tries of a renewal that failed for now.
const TRY_AFTER: f64 = 1.0 / 10.0;

/// Why a token is not renewed any longer.
#[derive(Debug)]
#[non_exhaustive]
pub enum TokenEnd {
    /// It never ends, so there is nothing to renew.
    Unlimited,
    /// It cannot be renewed, or not beyond this time from now; log in again before.
    Limited {
        /// How long it still lives.
        left: Duration,
    },
    /// The server refuses to renew it: it was revoked, or has ended.
    Refused(Error),
    /// It ended while no server could renew it; the newest reason why.
    Missed(Error),
}

impl Client {
    /// Renews this client's token whenever two thirds of its life are over, by `increment` (`1h`) if the server agrees,
    /// and comes back when that is over, saying why. Meant to be run beside the work, such as by `tokio::spawn`.
    pub async fn keep_token(&self, increment: Option<&str>) -> TokenEnd {
        let mut ends: Option<Instant> = None;
        let mut tries = 0;
        loop {
            let asked = Instant::now();
            let left = ends.map(|ends| ends.saturating_duration_since(asked));
            match self.tokens().renew_self(increment).await {
                Ok(auth) => {
                    tries = 0;
                    let life = match life(&auth, left) {
                        Ok(life) => life,
                        Err(end) => return end,
                    };
                    ends = Some(asked + life);
                    tokio::time::sleep(life.mul_f64(RENEW_AFTER)).await;
                }
                Err(error) if is_final(&error) => return TokenEnd::Refused(error),
                Err(error) => {
                    let left = ends.map(|ends| ends.saturating_duration_since(Instant::now()));
                    if left.is_some_and(|left| left.is_zero()) {
                        return TokenEnd::Missed(error);
                    }
                    let pause = retry::pause(tries, rand::random(), None);
                    tries += 1;
                    tokio::time::sleep(left.map_or(pause, |left| pause.min(left.mul_f64(TRY_AFTER)))).await;
                }
            }
        }
    }
}

/// How long the token lives now, or that no renewal makes it live longer; `left` is what it had before this one.
fn life(auth: &Auth, left: Option<Duration>) -> Result<Duration, TokenEnd> {
    if auth.lease_duration == 0 {
        return Err(TokenEnd::Unlimited);
    }
    let life = Duration::from_secs(auth.lease_duration);
    // Servers round to seconds, so a second is no gain.
    let gains = left.is_none_or(|left| life > left + Duration::from_secs(1));
    if auth.renewable && gains { Ok(life) } else { Err(TokenEnd::Limited { left: life }) }
}

/// Whether the server's answer will not change by waiting.
fn is_final(error: &Error) -> bool {
    match error {
        Error::Status(answer) => (300..500).contains(&answer.status) && !matches!(answer.status, 412 | 429),
        Error::Configuration(_) | Error::InvalidRequest { .. } | Error::RedirectRefused { .. } => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn auth(lease_duration: u64, renewable: bool) -> Auth {
        let fields = json!({ "client_token": "t", "lease_duration": lease_duration, "renewable": renewable });
        serde_json::from_value(fields).unwrap()
    }

    #[test]
    fn a_token_at_its_longest_life_is_not_renewed_again() {
        let left = Some(Duration::from_secs(20));
        assert!(matches!(life(&auth(60, true), left), Ok(life) if life.as_secs() == 60));
        assert!(matches!(life(&auth(20, true), left), Err(TokenEnd::Limited { left }) if left.as_secs() == 20));
        assert!(matches!(life(&auth(60, false), None), Err(TokenEnd::Limited { .. })));
        assert!(matches!(life(&auth(0, true), None), Err(TokenEnd::Unlimited)));
    }
}
