//! `operator rekey`: a threshold of shares makes new ones.
//!
//! What surprises: with `-verify` at `-init` the old shares count until enough new ones were given with `-verify`, so that
//! new ones that reached nobody lock nobody out.

use clap::Args;
use conclave_client::{Method, Request};
use serde_json::{Value, json};

use super::generate_root::{share_body, started};
use crate::failure::Outcome;
use crate::session::Session;
use crate::{golang, table};

/// Where the attempt lies.
const ATTEMPT: &str = "sys/rekey/init";
/// Where the trial of new shares lies.
const TRIAL: &str = "sys/rekey/verify";

/// Make new shares with a threshold of the present ones. Without a flag it gives one share, which it asks for.
#[derive(Args)]
pub(crate) struct Rekey {
    /// Begin. Prints the nonce for the holders of shares.
    #[arg(long)]
    init: bool,
    /// Forget the attempt and the shares given so far; with -verify, the new shares given so far.
    #[arg(long, conflicts_with = "init")]
    cancel: bool,
    /// Show how far the attempt is; with -verify, the trial of the new shares.
    #[arg(long, conflicts_with_all = ["init", "cancel"])]
    status: bool,
    /// With -init: the new shares count only once enough of them were given. Else: this is one of the new shares.
    #[arg(long)]
    verify: bool,
    /// How many shares to make.
    #[arg(long, short = 'n', default_value_t = 5)]
    key_shares: u32,
    /// How many of them unseal.
    #[arg(long, short = 't', default_value_t = 3)]
    key_threshold: u32,
    /// With -init: encrypt the new shares, each to one of these age recipients (age1…), with commas between.
    #[arg(long, value_name = "RECIPIENTS", value_delimiter = ',', requires = "init")]
    age_recipients: Vec<String>,
    /// The nonce that -init printed, or that of the verification; without it, the attempt's own is shown and used.
    #[arg(long)]
    nonce: Option<String>,
    /// The share, or - for standard input; without it, it is asked for.
    share: Option<String>,
}

impl Rekey {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let place = if self.verify { TRIAL } else { ATTEMPT };
        if self.init {
            let mut body = json!({
                "secret_shares": self.key_shares,
                "secret_threshold": self.key_threshold,
                "require_verification": self.verify,
            });
            if !self.age_recipients.is_empty() {
                body["age_recipients"] = json!(self.age_recipients);
            }
            return show(session, "initializing rekey", Request::new(Method::Put, ATTEMPT).json(&body)).await;
        }
        if self.cancel {
            let request = Request::new(Method::Delete, place).about_one_node();
            session.send("canceling rekey", request).await?;
            return session.output.done("Success! Canceled rekeying (if it was started)");
        }
        if self.status {
            return show(session, "getting rekey status", Request::get(place)).await;
        }
        let nonce = match &self.nonce {
            Some(nonce) => nonce.clone(),
            None => started(session, "getting rekey status", Request::get(place)).await?,
        };
        let body = share_body(&nonce, self.share.as_deref(), session)?;
        let place = if self.verify { TRIAL } else { "sys/rekey/update" };
        show(session, "posting unseal key", Request::new(Method::Put, place).json(&body)).await
    }
}

async fn show(session: &Session, doing: &str, request: Request) -> Outcome {
    let reply = session.send(doing, request.about_one_node()).await?;
    session.output.either(|| text(reply.json()), reply.json())
}

fn text(state: &Value) -> String {
    match (state["complete"].as_bool(), state["keys_base64"].as_array()) {
        (Some(true), Some(keys)) => new_shares(state, keys),
        (Some(true), None) => "Success! The new shares are verified, and they count from now on.\n".to_owned(),
        _ => status(state),
    }
}

fn new_shares(state: &Value, keys: &[Value]) -> String {
    let mut text = String::new();
    for (number, key) in keys.iter().enumerate() {
        text.push_str(&format!("Key {}: {}\n", number + 1, golang::value(key)));
    }
    text.push_str(&format!("\nOperation nonce: {}\n\n", golang::value(&state["nonce"])));
    if state["verification_required"].as_bool().unwrap_or(false) {
        text.push_str(&format!(
            "Verification nonce: {}\n\nThe old shares count until enough of these were given with `operator rekey -verify`.\n\
             Give each of them to another person now; they are not shown again.\n",
            golang::value(&state["verification_nonce"])
        ));
    } else {
        text.push_str(
            "The new shares count from now on, and the old ones no more. Give each of them to another person now: they\n\
             are not kept anywhere and not shown again.\n",
        );
    }
    text
}

fn status(state: &Value) -> String {
    let row = |title: &'static str, name: &str| (title, golang::value(&state[name]));
    let mut rows = vec![row("Nonce", "nonce"), row("Started", "started")];
    if state["started"].as_bool().unwrap_or(false) {
        let required = if state["required"].is_null() { &state["t"] } else { &state["required"] };
        let progress = format!("{}/{}", golang::value(&state["progress"]), golang::value(required));
        rows.extend([("Rekey Progress", progress), row("New Shares", "n"), row("New Threshold", "t")]);
    }
    if state["verification_required"].is_boolean() {
        rows.push(row("Verification Required", "verification_required"));
    }
    if state["verification_nonce"].is_string() {
        rows.push(row("Verification Nonce", "verification_nonce"));
    }
    table::plain(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_shows_how_far_it_is_and_what_it_makes() {
        let state = json!({
            "nonce": "abc", "started": true, "t": 2, "n": 3, "progress": 1, "required": 3,
            "verification_required": false
        });
        let expected = "\
Nonce                    abc
Started                  true
Rekey Progress           1/3
New Shares               3
New Threshold            2
Verification Required    false
";
        assert_eq!(text(&state), expected);
    }

    #[test]
    fn new_shares_stand_where_scripts_look_for_them() {
        let state = json!({
            "nonce": "abc", "complete": true, "keys_base64": ["AA==", "AQ=="], "verification_required": true,
            "verification_nonce": "def"
        });
        let shown = text(&state);
        assert!(shown.starts_with("Key 1: AA==\nKey 2: AQ==\n\nOperation nonce: abc\n"), "{shown}");
        assert!(shown.contains("Verification nonce: def") && shown.contains("old shares count until"), "{shown}");
        assert!(text(&json!({ "nonce": "def", "complete": true })).starts_with("Success!"));
    }
}
