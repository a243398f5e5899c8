//! `policy`: access policies.
//!
//! What surprises: `fmt` knows only how HCL is written; whether a file is a policy is for the server to say.

mod layout;

use std::fs;
use std::io::Read as _;

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::output;
use crate::session::Session;

/// What can be done with policies.
#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Show the names of all policies.
    List,
    Read(PolicyRead),
    Write(PolicyWrite),
    Delete(PolicyDelete),
    Fmt(Fmt),
}

/// Show a policy.
#[derive(Args)]
pub(crate) struct PolicyRead {
    /// The policy's name.
    name: String,
}

/// Write a policy.
#[derive(Args)]
pub(crate) struct PolicyWrite {
    /// The policy's name.
    name: String,
    /// The file with the policy, or - for standard input.
    file: String,
}

/// Delete a policy.
#[derive(Args)]
pub(crate) struct PolicyDelete {
    /// The policy's name.
    name: String,
}

/// Lay a policy file out evenly; what is no HCL is refused.
#[derive(Args)]
pub(crate) struct Fmt {
    /// The file, which is written anew.
    file: String,
}

impl Policy {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::List => {
                let reply = session.send("listing policies", Request::list("sys/policies/acl")).await?;
                let keys: Vec<_> = reply.keys().into_iter().map(str::to_owned).collect();
                let names = keys.join("\n");
                session.output.either(|| format!("{names}\n"), &json!(keys))
            }
            Self::Read(command) => {
                let path = format!("sys/policies/acl/{}", command.name);
                let doing = format!("reading policy {}", command.name);
                let reply = match session.fetch(&doing, &path.clone(), Request::get(path)).await {
                    Err(Failure::NotFound { .. }) => {
                        return Err(Failure::Reply(format!("No policy named: {}", command.name)));
                    }
                    other => other?,
                };
                let text = reply.json()["data"]["policy"].as_str().unwrap_or("").trim().to_owned();
                // The policy `root` is a name without a text: what it allows stands in no rules.
                if text.is_empty() {
                    return Err(Failure::Reply(format!("No policy named: {}", command.name)));
                }
                session.output.either(|| format!("{text}\n"), &json!({ "policy": text }))
            }
            Self::Write(command) => {
                let text = read(&command.file)?;
                let request = Request::post(format!("sys/policies/acl/{}", command.name), &json!({ "policy": text }));
                let reply = session.send(&format!("uploading policy {}", command.name), request).await?;
                session.output.warnings(&reply);
                session.output.done(&format!("Success! Uploaded policy: {}", command.name))
            }
            Self::Delete(command) => {
                let request = Request::delete(format!("sys/policies/acl/{}", command.name));
                session.send(&format!("deleting policy {}", command.name), request).await?;
                session.output.done(&format!("Success! Deleted policy: {}", command.name))
            }
            Self::Fmt(command) => {
                let laid_out = layout::laid_out(&read(&command.file)?);
                let text = laid_out.map_err(|reason| Failure::Usage(format!("{}, {reason}", command.file)))?;
                if command.file == "-" {
                    return output::print(&text);
                }
                fs::write(&command.file, text).map_err(Failure::file(&command.file))?;
                session.output.done(&format!("Success! Formatted policy: {}", command.file))
            }
        }
    }
}

fn read(file: &str) -> Result<String, Failure> {
    if file != "-" {
        return fs::read_to_string(file).map_err(Failure::file(file));
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    Ok(text)
}
