//! `login`: gets a token and keeps it for the next commands.
//!
//! What surprises: VAULT_TOKEN wins over the token kept here, so a login then says that it will not be used.

use clap::Args;
use conclave_client::{Reply, Request, Secret};
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Outcome};
use crate::session::{LOGIN_FORBIDDEN, Session};
use crate::{assignment, format, prompt};

/// Log in and keep the token for the next commands.
#[derive(Args)]
pub(crate) struct Login {
    /// token, userpass, ldap, radius, okta, approle, jwt, kubernetes, cert or github.
    #[arg(long, default_value = "token")]
    method: String,
    /// Where the method is mounted, if not at its own name.
    #[arg(long)]
    path: Option<String>,
    /// Print the token, but do not keep it.
    #[arg(long)]
    no_store: bool,
    /// Print nothing.
    #[arg(long)]
    no_print: bool,
    /// Print the token alone, and do not keep it.
    #[arg(long)]
    token_only: bool,
    /// The token, or - for standard input, or what the method needs as name=value.
    data: Vec<String>,
}

impl Login {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let document =
            if self.method == "token" { self.by_token(session).await? } else { self.by_method(session).await? };
        if document["wrap_info"].is_object() {
            return session.output.document(&document);
        }
        let Some(token) = document["auth"]["client_token"].as_str() else {
            return Err(Failure::Reply("the server accepted the login, but sent no token".to_owned()));
        };
        if self.token_only {
            return session.output.bare(&Value::from(token));
        }
        if !self.no_store {
            keep(session, &Secret::new(token))?;
        }
        if self.no_print {
            return Ok(());
        }
        session.output.either(|| self.greeting(&document), &document)
    }

    fn greeting(&self, document: &Value) -> String {
        let kept = if self.no_store { "It was not kept; set VAULT_TOKEN to use it." } else { "Later commands use it." };
        format!("Success! You are logged in, and the token is below. {kept}\n\n{}", format::reply_table(document))
    }

    /// Looks a token up, in the shape that a login has.
    async fn by_token(&self, session: &Session) -> Result<Value, Failure> {
        let given = match self.data.first().map(String::as_str) {
            None | Some("-") => prompt::secret("Token", session.may_ask)?,
            Some(word) => Secret::new(word.strip_prefix("token=").unwrap_or(word)),
        };
        let request = Request::get("auth/token/lookup-self").token(given.clone());
        let reply = session.send("authenticating", request).await;
        let reply = reply.map_err(|failure| {
            failure.if_forbidden(
                "The token is wrong, expired or revoked. For a login by something else, name it: -method=userpass.",
            )
        })?;
        Ok(as_login(&reply, &given))
    }

    async fn by_method(&self, session: &Session) -> Result<Value, Failure> {
        let mut data = assignment::from_process(&self.data)?;
        let mount = self.path.as_deref().unwrap_or(&self.method).trim_matches('/').to_owned();
        let mount = mount.strip_prefix("auth/").unwrap_or(&mount);
        let path = match self.method.as_str() {
            "userpass" | "ldap" | "radius" | "okta" => {
                let name = user(&mut data)?;
                ask(&mut data, "password", "Password", session)?;
                format!("auth/{mount}/login/{name}")
            }
            "github" => {
                ask(&mut data, "token", "GitHub Personal Access Token", session)?;
                format!("auth/{mount}/login")
            }
            "approle" | "jwt" | "kubernetes" | "cert" => format!("auth/{mount}/login"),
            other => {
                let reason = "use token, userpass, ldap, radius, okta, approle, jwt, kubernetes, cert or github";
                return Err(Failure::Usage(format!("this program cannot log in by `{other}`; {reason}")));
            }
        };
        let request = Request::post(path, &Value::Object(data));
        let reply = session
            .send_anonymously("authenticating", request)
            .await
            .map_err(|failure| failure.if_forbidden(LOGIN_FORBIDDEN))?;
        let document = reply.json().clone();
        if document["auth"]["mfa_requirement"].is_object() {
            show_codes(session, &document).await
        } else {
            Ok(document)
        }
    }
}

/// Ends a login that asks for one-time codes with those that are asked for here: one for each enforcement, by its first method.
async fn show_codes(session: &Session, document: &Value) -> Result<Value, Failure> {
    let requirement = &document["auth"]["mfa_requirement"];
    let mut codes = Map::new();
    for (name, constraint) in requirement["mfa_constraints"].as_object().into_iter().flatten() {
        let Some(id) = constraint["any"][0]["id"].as_str() else { continue };
        if !codes.contains_key(id) {
            let code = prompt::secret(&format!("One-time code for {name}"), session.may_ask)?;
            codes.insert(id.to_owned(), json!([code.expose()]));
        }
    }
    let body = json!({ "mfa_request_id": requirement["mfa_request_id"], "mfa_payload": codes });
    let reply = session.send_anonymously("showing codes", Request::post("sys/mfa/validate", &body)).await;
    let hint = "A code counts once, and for about a minute. After too many wrong ones nobody may try for a while.";
    Ok(reply.map_err(|failure| failure.if_forbidden(hint))?.json().clone())
}

fn keep(session: &Session, token: &Secret) -> Outcome {
    let Some(file) = &session.token_file else {
        return Err(Failure::Usage("HOME is not set, so the token cannot be kept; add -no-store".to_owned()));
    };
    file.write(token)?;
    if session.has_environment_token {
        session.output.warn("VAULT_TOKEN is set and wins over the token just kept; unset it to use that one.");
    }
    Ok(())
}

fn user(data: &mut Map<String, Value>) -> Result<String, Failure> {
    let named = data.remove("username").and_then(|name| name.as_str().map(str::to_owned));
    let system = || std::env::var("USER").ok().filter(|name| !name.is_empty());
    named.or_else(system).ok_or_else(|| Failure::Usage("add username=NAME".to_owned()))
}

/// Asks for a field that was not given.
fn ask(data: &mut Map<String, Value>, name: &str, question: &str, session: &Session) -> Result<(), Failure> {
    if !data.contains_key(name) {
        let answer = prompt::secret(question, session.may_ask)?;
        data.insert(name.to_owned(), Value::from(answer.expose()));
    }
    Ok(())
}

/// What is known of a token, as an envelope of a login that made it.
fn as_login(reply: &Reply, token: &Secret) -> Value {
    let empty = Map::new();
    let known = reply.data().unwrap_or(&empty);
    let field = |name: &str| known.get(name).cloned().unwrap_or(Value::Null);
    json!({
        "request_id": "", "lease_id": "", "lease_duration": 0, "renewable": false, "data": null, "warnings": null,
        "auth": {
            "client_token": token.expose(),
            "accessor": field("accessor"),
            "policies": field("policies"),
            "token_policies": field("policies"),
            "identity_policies": field("identity_policies"),
            "metadata": field("meta"),
            "orphan": field("orphan"),
            "entity_id": field("entity_id"),
            "lease_duration": field("ttl"),
            "renewable": known.get("renewable").cloned().unwrap_or(Value::Bool(false)),
        }
    })
}
