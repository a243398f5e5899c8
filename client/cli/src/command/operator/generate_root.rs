//! `operator generate-root`: a new root token, made by a threshold of share holders.
//!
//! What surprises: the token comes back hidden behind a one-time password (token XOR password, in base64), and
//! `-decode` uncovers it here, without asking a server.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use clap::Args;
use conclave_client::{Method, Request};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::command::Outcome;
use crate::failure::Failure;
use crate::session::Session;
use crate::{golang, prompt, table};

/// Where attempts are begun, shown and cancelled.
const ATTEMPT: &str = "sys/generate-root/attempt";

/// Make a new root token with a threshold of shares.
#[derive(Args)]
pub(crate) struct GenerateRoot {
    /// Begin an attempt; the server chooses the one-time password and shows it this one time.
    #[arg(long, group = "action")]
    init: bool,
    /// Show the attempt under way.
    #[arg(long, group = "action")]
    status: bool,
    /// Give the attempt under way up.
    #[arg(long, group = "action")]
    cancel: bool,
    /// Uncover this token, without asking a server; needs -otp.
    #[arg(long, group = "action", value_name = "ENCODED")]
    decode: Option<String>,
    /// The one-time password that the attempt began with.
    #[arg(long)]
    otp: Option<String>,
    /// The attempt's nonce; without it, that of the attempt under way.
    #[arg(long)]
    nonce: Option<String>,
    /// A share, or - for standard input; without it, it is asked for.
    share: Option<String>,
}

impl GenerateRoot {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        if let Some(encoded) = &self.decode {
            return self.uncover(session, encoded);
        }
        let request = if self.init {
            let body = self.otp.as_ref().map_or_else(|| json!({}), |otp| json!({ "otp": otp }));
            Request::new(Method::Put, ATTEMPT).json(&body)
        } else if self.status {
            Request::get(ATTEMPT)
        } else if self.cancel {
            session.send("canceling root generation", Request::delete(ATTEMPT).about_one_node()).await?;
            return session.output.done("Success! Root token generation canceled (if it was started)");
        } else {
            self.update(session).await?
        };
        let reply = session.send("generating a root token", request.about_one_node()).await?;
        session.output.either(|| text(reply.json()), reply.json())
    }

    async fn update(&self, session: &Session) -> Result<Request, Failure> {
        let nonce = match &self.nonce {
            Some(nonce) => nonce.clone(),
            None => {
                let status = session.send("reading the attempt", Request::get(ATTEMPT).about_one_node()).await?;
                if !status.json()["started"].as_bool().unwrap_or(false) {
                    return Err(Failure::Usage("no attempt is under way; begin one with -init".to_owned()));
                }
                status.json()["nonce"].as_str().unwrap_or("").to_owned()
            }
        };
        let share = match self.share.as_deref() {
            None | Some("-") => prompt::secret("Unseal Key", session.may_ask)?,
            Some(share) => conclave_client::Secret::new(share.trim()),
        };
        let body = json!({ "key": share.expose(), "nonce": nonce });
        Ok(Request::new(Method::Put, "sys/generate-root/update").json(&body))
    }

    fn uncover(&self, session: &Session, encoded: &str) -> Outcome {
        let Some(otp) = &self.otp else {
            return Err(Failure::Usage("-decode needs the one-time password; add -otp".to_owned()));
        };
        let token = uncovered(encoded, otp)?;
        if session.output.is_table() {
            return session.output.bare(&json!(token.as_str()));
        }
        session.output.document(&json!({ "token": token.as_str() }))
    }
}

fn uncovered(encoded: &str, otp: &str) -> Result<Zeroizing<String>, Failure> {
    let hidden = STANDARD_NO_PAD
        .decode(encoded.trim().trim_end_matches('='))
        .map_err(|_| Failure::Usage("the encoded token is not base64; copy all of it".to_owned()))?;
    if hidden.len() != otp.len() {
        let (hidden, otp) = (hidden.len(), otp.len());
        return Err(Failure::Usage(format!(
            "the encoded token has {hidden} bytes and the one-time password {otp}; they belong to different attempts"
        )));
    }
    let bytes = hidden.iter().zip(otp.bytes()).map(|(hidden, key)| hidden ^ key).collect();
    String::from_utf8(bytes)
        .map(Zeroizing::new)
        .map_err(|_| Failure::Usage("the one-time password does not fit the encoded token".to_owned()))
}

fn text(attempt: &Value) -> String {
    let progress = format!("{}/{}", golang::value(&attempt["progress"]), golang::value(&attempt["required"]));
    let mut rows = vec![
        ("Nonce".to_owned(), golang::value(&attempt["nonce"])),
        ("Started".to_owned(), golang::value(&attempt["started"])),
        ("Progress".to_owned(), progress),
        ("Complete".to_owned(), golang::value(&attempt["complete"])),
    ];
    let optional = [
        ("OTP", "otp"),
        ("OTP Length", "otp_length"),
        ("PGP Fingerprint", "pgp_fingerprint"),
        ("Encoded Token", "encoded_token"),
    ];
    for (title, name) in optional {
        if !matches!(&attempt[name], Value::Null) && attempt[name].as_str() != Some("") {
            rows.push((title.to_owned(), golang::value(&attempt[name])));
        }
    }
    table::pairs(&rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_uncovered_with_its_password() {
        let (token, otp) = ("hvs.abcd", "Zk3Lp0Qx");
        let hidden: Vec<u8> = token.bytes().zip(otp.bytes()).map(|(token, key)| token ^ key).collect();
        assert_eq!(uncovered(&STANDARD_NO_PAD.encode(hidden), otp).unwrap().as_str(), token);
    }

    #[test]
    fn a_password_of_another_length_is_refused() {
        assert!(uncovered(&STANDARD_NO_PAD.encode("12345678"), "1234").is_err());
    }
}
