//! `auth`: the auth methods.

use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::engine::{Disable, Enable, EngineList, Family, Move, Tune};
use crate::failure::Outcome;
use crate::session::Session;

const METHODS: Family = Family { root: "sys/auth", name: "auth method", own_column: ("Token Type", "token_type") };

/// What can be done with auth methods.
#[derive(Subcommand)]
pub(crate) enum Auth {
    /// Show the auth methods.
    List(EngineList),
    /// Enable an auth method.
    Enable(Enable),
    /// Disable an auth method; tokens it gave end.
    Disable(Disable),
    /// Change settings of an auth method.
    Tune(AuthTune),
    /// Give an auth method another path.
    Move(Move),
}

/// Change settings of an auth method.
#[derive(Args)]
pub(crate) struct AuthTune {
    #[command(flatten)]
    tune: Tune,
    /// After how many wrong logins a user is locked out.
    #[arg(long, value_name = "COUNT")]
    user_lockout_threshold: Option<u64>,
    /// How long a user is locked out, such as 15m.
    #[arg(long, value_name = "DURATION")]
    user_lockout_duration: Option<String>,
    /// How long after the last wrong login they are forgotten.
    #[arg(long, value_name = "DURATION")]
    user_lockout_counter_reset_duration: Option<String>,
    /// Lock nobody out; =false does again.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true", value_name = "BOOL")]
    user_lockout_disable: Option<bool>,
}

impl AuthTune {
    async fn run(&self, session: &Session) -> Outcome {
        let fields = [
            ("lockout_threshold", self.user_lockout_threshold.map(Value::from)),
            ("lockout_duration", self.user_lockout_duration.as_ref().map(|time| json!(time))),
            (
                "lockout_counter_reset_duration",
                self.user_lockout_counter_reset_duration.as_ref().map(|time| json!(time)),
            ),
            ("lockout_disable", self.user_lockout_disable.map(Value::Bool)),
        ];
        let fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let lockout: Map<String, Value> = fields.collect();
        let mut own = Map::new();
        if !lockout.is_empty() {
            own.insert("user_lockout_config".to_owned(), Value::Object(lockout));
        }
        self.tune.run_with(session, &METHODS, own).await
    }
}

impl Auth {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::List(command) => command.run(session, &METHODS).await,
            Self::Enable(command) => command.run(session, &METHODS).await,
            Self::Disable(command) => command.run(session, &METHODS).await,
            Self::Tune(command) => command.run(session).await,
            Self::Move(command) => command.run(session, &METHODS).await,
        }
    }
}
