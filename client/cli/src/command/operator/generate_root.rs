//! `operator generate-root`: a threshold of shares makes a root token.
//!
//! What surprises: whoever begins gets the one-time pad, the last holder of a share gets the hidden token; `-decode` puts
//! them together without asking a server.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use clap::Args;
use conclave_client::{Method, Request, Secret};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{golang, prompt, table};

/// Where the attempt lies.
const ATTEMPT: &str = "sys/generate-root/attempt";

/// Make a root token with a threshold of shares. Without a flag it gives one share, which it asks for.
#[derive(Args)]
pub(crate) struct GenerateRoot {
    /// Begin. Prints the nonce for the holders of shares, and the one-time pad that reveals the token.
    #[arg(long)]
    init: bool,
    /// Forget the attempt and the shares given so far.
    #[arg(long, conflicts_with = "init")]
    cancel: bool,
    /// Show how far the attempt is.
    #[arg(long, conflicts_with_all = ["init", "cancel"])]
    status: bool,
    /// Reveal this hidden token with the pad of -otp, without asking a server; - for standard input.
    #[arg(long, value_name = "TOKEN", conflicts_with_all = ["init", "cancel", "status"])]
    decode: Option<String>,
    /// Print a one-time pad for -init.
    #[arg(long, conflicts_with_all = ["init", "cancel", "status", "decode"])]
    generate_otp: bool,
    /// The one-time pad: for -decode, or one of your own for -init.
    #[arg(long)]
    otp: Option<String>,
    /// With -init: encrypt the token to this age recipient (age1…), in place of a pad.
    #[arg(long, value_name = "RECIPIENT", requires = "init", conflicts_with = "otp")]
    age_recipient: Option<String>,
    /// The nonce that -init printed; without it, the attempt's own is shown and used.
    #[arg(long)]
    nonce: Option<String>,
    /// The share, or - for standard input; without it, it is asked for.
    share: Option<String>,
}

impl GenerateRoot {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        if let Some(encoded) = &self.decode {
            return self.decode(session, encoded);
        }
        if self.generate_otp {
            return generate_pad(session).await;
        }
        let (doing, request) = match self {
            Self { init: true, otp, age_recipient, .. } => {
                let mut body = Map::new();
                body.extend(otp.as_ref().map(|otp| ("otp".to_owned(), json!(otp))));
                body.extend(age_recipient.as_ref().map(|recipient| ("age_recipient".to_owned(), json!(recipient))));
                ("initializing root generation", Request::new(Method::Put, ATTEMPT).json(&Value::Object(body)))
            }
            Self { cancel: true, .. } => {
                let request = Request::new(Method::Delete, ATTEMPT).about_one_node();
                session.send("canceling root token generation", request).await?;
                return session.output.done("Success! Root token generation canceled (if it was started)");
            }
            Self { status: true, .. } => ("getting root generation status", Request::get(ATTEMPT)),
            _ => ("posting unseal key", self.update(session).await?),
        };
        let reply = session.send(doing, request.about_one_node()).await?;
        session.output.either(|| text(reply.json()), reply.json())
    }

    async fn update(&self, session: &Session) -> Result<Request, Failure> {
        let nonce = match &self.nonce {
            Some(nonce) => nonce.clone(),
            None => started(session, "getting root generation status", Request::get(ATTEMPT)).await?,
        };
        let body = share_body(&nonce, self.share.as_deref(), session)?;
        Ok(Request::new(Method::Put, "sys/generate-root/update").json(&body))
    }

    fn decode(&self, session: &Session, encoded: &str) -> Outcome {
        let Some(otp) = self.otp.as_deref().filter(|otp| !otp.is_empty()) else {
            return Err(Failure::Usage("Missing otp: use -otp to supply it".to_owned()));
        };
        let given = match encoded {
            "-" => prompt::secret("Hidden token", session.may_ask)?,
            text => Secret::new(text.trim()),
        };
        let token = reveal(given.expose(), otp)?;
        session.output.either(|| format!("{token}\n"), &json!({ "token": token }))
    }
}

/// The nonce of the attempt under way, shown so that whoever gives a share sees for what.
pub(super) async fn started(session: &Session, doing: &str, request: Request) -> Result<String, Failure> {
    let reply = session.send(doing, request.about_one_node()).await?;
    let nonce = reply.json()["nonce"].as_str().unwrap_or_default().to_owned();
    if nonce.is_empty() {
        return Err(Failure::Usage("No attempt is under way on this node: begin one with -init.".to_owned()));
    }
    session.output.warn(&format!("Operation nonce: {nonce}"));
    Ok(nonce)
}

/// A share and the nonce of its attempt.
pub(super) fn share_body(nonce: &str, share: Option<&str>, session: &Session) -> Result<Value, Failure> {
    let share = match share {
        None | Some("-") => prompt::secret("Unseal Key", session.may_ask)?,
        Some(share) => Secret::new(share.trim()),
    };
    Ok(json!({ "key": share.expose(), "nonce": nonce }))
}

/// A pad as long as the server wants it, of letters and digits.
async fn generate_pad(session: &Session) -> Outcome {
    let reply = session.send("getting root generation status", Request::get(ATTEMPT).about_one_node()).await?;
    let length = reply.json()["otp_length"].as_u64().and_then(|length| usize::try_from(length).ok());
    let length = length.filter(|length| (1..=256).contains(length));
    let length = length.ok_or_else(|| Failure::Reply("the server does not say how long the pad must be".to_owned()))?;
    let pad = random_pad(length)?;
    session.output.either(|| format!("{pad}\n"), &json!({ "otp": pad, "otp_length": length }))
}

/// Letters and digits, each equally likely.
fn random_pad(length: usize) -> Result<String, Failure> {
    let mut pad = String::with_capacity(length);
    while pad.len() < length {
        let mut bytes = [0; 64];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| std::io::Error::other("the system gives no random bytes"))?;
        let letters = bytes.iter().map(|byte| char::from(byte & 0x7f)).filter(char::is_ascii_alphanumeric);
        pad.extend(letters.take(length - pad.len()));
    }
    Ok(pad)
}

fn reveal(encoded: &str, otp: &str) -> Result<String, Failure> {
    let wrong = |text: &str| Failure::Usage(text.to_owned());
    let hidden = STANDARD_NO_PAD.decode(encoded.trim_end_matches('='));
    let hidden = hidden.map_err(|_| wrong("The token is not in base64."))?;
    if hidden.len() != otp.len() {
        return Err(wrong("The token and the pad have different lengths: they are not of one attempt."));
    }
    let token = hidden.iter().zip(otp.as_bytes()).map(|(one, other)| one ^ other).collect();
    String::from_utf8(token).map_err(|_| wrong("That is no token: the token and the pad are not of one attempt."))
}

fn text(status: &Value) -> String {
    let row = |title: &'static str, name: &str| (title, golang::value(&status[name]));
    let progress = format!("{}/{}", golang::value(&status["progress"]), golang::value(&status["required"]));
    let mut rows =
        vec![row("Nonce", "nonce"), row("Started", "started"), ("Progress", progress), row("Complete", "complete")];
    for (title, name) in [("Encoded Token", "encoded_token"), ("OTP", "otp")] {
        rows.extend(status[name].as_str().filter(|text| !text.is_empty()).map(|text| (title, text.to_owned())));
    }
    if status["otp_length"].as_u64() > Some(0) {
        rows.push(row("OTP Length", "otp_length"));
    }
    let mut text = table::plain(&rows);
    if status["otp"].as_str().is_some_and(|otp| !otp.is_empty()) {
        text.push_str("\nThe OTP is shown this one time: keep it, it reveals the token (-decode).\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_revealed_by_its_own_pad() {
        let (token, otp) = ("hvs.0123456789", "abcdefghijklmn");
        let hidden: Vec<u8> = token.bytes().zip(otp.bytes()).map(|(one, other)| one ^ other).collect();
        assert_eq!(reveal(&STANDARD_NO_PAD.encode(hidden), otp).unwrap(), token);
        assert!(reveal("AAAA", otp).is_err() && reveal("?", otp).is_err());
    }

    #[test]
    fn a_pad_is_as_long_as_wanted_and_each_time_another() {
        let (one, other) = (random_pad(28).unwrap(), random_pad(28).unwrap());
        assert_eq!((one.len(), one.chars().all(|letter| letter.is_ascii_alphanumeric())), (28, true));
        assert_ne!(one, other);
    }

    #[test]
    fn the_beginning_shows_the_pad_and_the_end_the_hidden_token() {
        let begun = json!({
            "nonce": "n", "started": true, "progress": 0, "required": 3, "complete": false, "encoded_token": "",
            "otp": "abc", "otp_length": 28
        });
        let expected = "\
Nonce         n
Started       true
Progress      0/3
Complete      false
OTP           abc
OTP Length    28

The OTP is shown this one time: keep it, it reveals the token (-decode).
";
        assert_eq!(text(&begun), expected);
        let ended = json!({
            "nonce": "n", "started": true, "progress": 3, "required": 3, "complete": true, "encoded_token": "AAA",
            "otp": "", "otp_length": 0
        });
        assert!(text(&ended).ends_with("Complete         true\nEncoded Token    AAA\n"), "{}", text(&ended));
    }
}
