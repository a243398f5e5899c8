//! `operator init`: makes the root key, its shares and the first token.
//!
//! What surprises: what it prints exists nowhere else and is never shown again.

use clap::Args;
use conclave_client::Request;
use serde::Serialize;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Initialise the cluster. Prints the shares and the first token, this one time.
#[derive(Args)]
pub(crate) struct Init {
    /// How many shares to make.
    #[arg(long, short = 'n', default_value_t = 5)]
    key_shares: u32,
    /// How many of them unseal.
    #[arg(long, short = 't', default_value_t = 3)]
    key_threshold: u32,
    /// Encrypt the shares, each to one of these age recipients (age1…), with commas between.
    #[arg(long, value_name = "RECIPIENTS", value_delimiter = ',')]
    age_recipients: Vec<String>,
    /// Encrypt the first token to this age recipient.
    #[arg(long, value_name = "RECIPIENT")]
    root_token_age_recipient: Option<String>,
    /// Only say whether it was done: the exit code is 0 if so, and 2 if not.
    #[arg(long)]
    status: bool,
}

/// What programs read; the names and their order are those of Vault.
#[derive(Serialize)]
struct Made {
    unseal_keys_b64: Vec<String>,
    unseal_keys_hex: Vec<String>,
    unseal_shares: u32,
    unseal_threshold: u32,
    recovery_keys_b64: Vec<String>,
    recovery_keys_hex: Vec<String>,
    recovery_keys_shares: u32,
    recovery_keys_threshold: u32,
    root_token: String,
}

impl Init {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        if self.status {
            return status(session).await;
        }
        let mut body = json!({ "secret_shares": self.key_shares, "secret_threshold": self.key_threshold });
        if !self.age_recipients.is_empty() {
            body["age_recipients"] = json!(self.age_recipients);
        }
        if let Some(recipient) = &self.root_token_age_recipient {
            body["root_token_age_recipient"] = json!(recipient);
        }
        let request = Request::new(conclave_client::Method::Put, "sys/init").json(&body).about_one_node();
        let reply = session.send_anonymously("initializing", request).await?;
        let made = self.made(reply.json())?;
        session.output.ordered(|| text(&made), &made)
    }

    fn made(&self, document: &Value) -> Result<Made, Failure> {
        let shares = texts(&document["keys_base64"]);
        let Some(root_token) = document["root_token"].as_str().filter(|_| !shares.is_empty()) else {
            return Err(Failure::Reply("the server was initialised, but sent no shares or no token".to_owned()));
        };
        Ok(Made {
            unseal_keys_b64: shares,
            unseal_keys_hex: texts(&document["keys"]),
            unseal_shares: self.key_shares,
            unseal_threshold: self.key_threshold,
            recovery_keys_b64: texts(&document["recovery_keys_base64"]),
            recovery_keys_hex: texts(&document["recovery_keys"]),
            recovery_keys_shares: 0,
            recovery_keys_threshold: 0,
            root_token: root_token.to_owned(),
        })
    }
}

async fn status(session: &Session) -> Outcome {
    let request = Request::get("sys/init").about_one_node();
    let reply = session.send_anonymously("checking initialization status", request).await?;
    let is_done = reply.json()["initialized"].as_bool().unwrap_or(false);
    let answer = if is_done { "Vault is initialized" } else { "Vault is not initialized" };
    session.output.either(|| format!("{answer}\n"), reply.json())?;
    if is_done { Ok(()) } else { Err(Failure::Quiet(2)) }
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

fn text(made: &Made) -> String {
    let mut text = String::new();
    for (number, share) in made.unseal_keys_b64.iter().enumerate() {
        text.push_str(&format!("Unseal Key {}: {share}\n", number + 1));
    }
    let (shares, threshold) = (made.unseal_shares, made.unseal_threshold);
    text.push_str(&format!(
        "\nInitial Root Token: {}\n\n\
         The cluster is initialized with {shares} key shares; any {threshold} of them unseal it. Give each share to\n\
         another person now: they are not kept anywhere and not shown again. After a restart {threshold} shares are\n\
         needed to unseal, and nothing can replace them if fewer are left.\n",
        made.root_token
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn init(shares: u32) -> Init {
        Init {
            key_shares: shares,
            key_threshold: shares,
            age_recipients: Vec::new(),
            root_token_age_recipient: None,
            status: false,
        }
    }

    #[test]
    fn shares_and_token_stand_where_scripts_look_for_them() {
        let init = init(2);
        let document = json!({"keys": ["00", "01"], "keys_base64": ["AA==", "AQ=="], "root_token": "hvs.x"});
        let shown = text(&init.made(&document).unwrap());
        assert!(shown.starts_with("Unseal Key 1: AA==\nUnseal Key 2: AQ==\n\nInitial Root Token: hvs.x\n"), "{shown}");
    }

    #[test]
    fn programs_get_the_shares_under_the_usual_names() {
        let init = init(1);
        let document = json!({"keys": ["00"], "keys_base64": ["AA=="], "root_token": "hvs.x"});
        let made = serde_json::to_value(init.made(&document).unwrap()).unwrap();
        assert_eq!((&made["unseal_keys_b64"], &made["unseal_keys_hex"]), (&json!(["AA=="]), &json!(["00"])));
        assert_eq!((&made["unseal_threshold"], &made["root_token"]), (&json!(1), &json!("hvs.x")));
    }
}
