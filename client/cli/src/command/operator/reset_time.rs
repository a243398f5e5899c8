//! `operator reset-time`: gives one share that cluster time may be set.

use clap::Args;
use conclave_client::{Method, Request, Secret};
use serde_json::{Value, json};

use crate::command::Outcome;
use crate::session::Session;
use crate::{golang, prompt};

/// Give one share that sets cluster time to the clock of the node, after clocks that were wrong took it ahead. Asks for the share
/// without showing it.
#[derive(Args)]
pub(crate) struct ResetTime {
    /// The share, or - for standard input; without it, it is asked for.
    share: Option<String>,
}

impl ResetTime {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let share = match self.share.as_deref() {
            None | Some("-") => prompt::secret("Unseal Key", session.may_ask)?,
            Some(share) => Secret::new(share.trim()),
        };
        let body = json!({ "key": share.expose(), "reset_time": true });
        let request = Request::new(Method::Put, "sys/unseal").json(&body).about_one_node();
        let reply = session.send_anonymously("giving a share", request).await?;
        let state = &reply.json()["reset_time"];
        session.output.either(|| text(state), state)
    }
}

fn text(state: &Value) -> String {
    let number = |name: &str| golang::value(&state[name]);
    match state["epoch"].as_u64() {
        Some(epoch) => format!("Success! Cluster time is the node's clock; epoch {epoch} has begun.\n"),
        None => format!("{} of {} shares were given on this node.\n", number("progress"), number("threshold")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_how_many_shares_are_there_and_when_it_is_done() {
        assert_eq!(
            text(&json!({ "progress": 1, "threshold": 3, "epoch": null })),
            "1 of 3 shares were given on this node.\n"
        );
        assert!(text(&json!({ "progress": 3, "threshold": 3, "epoch": 2 })).contains("epoch 2"));
    }
}
