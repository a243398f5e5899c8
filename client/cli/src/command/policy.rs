//! `policy`: access policies.
//!
//! What surprises: `fmt` only tidies indentation and white space; whether a file is a policy is for the server to say.

use std::fs;
use std::io::Read as _;

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::json;

use crate::command::Outcome;
use crate::failure::Failure;
use crate::output;
use crate::session::Session;

/// What can be done with policies.
#[derive(Subcommand)]
pub(crate) enum Policy {
    /// Show the names of all policies.
    List,
    Read(Read),
    Write(Write),
    Delete(Delete),
    Fmt(Fmt),
}

/// Show a policy.
#[derive(Args)]
pub(crate) struct Read {
    /// The policy's name.
    name: String,
}

/// Write a policy.
#[derive(Args)]
pub(crate) struct Write {
    /// The policy's name.
    name: String,
    /// The file with the policy, or - for standard input.
    file: String,
}

/// Delete a policy.
#[derive(Args)]
pub(crate) struct Delete {
    /// The policy's name.
    name: String,
}

/// Indent a policy file evenly.
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
                let reply = session.fetch(&doing, &format!("policy {}", command.name), Request::get(path)).await?;
                let text = reply.json()["data"]["policy"].as_str().unwrap_or("").trim().to_owned();
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
                let text = tidy(&read(&command.file)?);
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

/// Two spaces for each open bracket, no blanks at ends of lines, one line break at the end.
fn tidy(text: &str) -> String {
    let mut depth = 0_usize;
    let mut tidied = String::new();
    for line in text.trim().lines().map(str::trim) {
        let (opened, closed) = brackets(line);
        let closes_first = line.starts_with(['}', ']']);
        let indent = depth.saturating_sub(usize::from(closes_first));
        if !line.is_empty() {
            tidied.push_str(&"  ".repeat(indent));
            tidied.push_str(line);
        }
        tidied.push('\n');
        depth = (depth + opened).saturating_sub(closed);
    }
    tidied
}

/// How many brackets a line opens and closes, outside of texts and comments.
fn brackets(line: &str) -> (usize, usize) {
    let (mut opened, mut closed, mut is_text, mut is_escaped) = (0, 0, false, false);
    for character in line.chars() {
        match character {
            _ if is_escaped => is_escaped = false,
            '\\' if is_text => is_escaped = true,
            '"' => is_text = !is_text,
            '#' if !is_text => break,
            '{' | '[' if !is_text => opened += 1,
            '}' | ']' if !is_text => closed += 1,
            _ => {}
        }
    }
    (opened, closed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_indented_by_its_brackets() {
        let untidy = "path \"a/{{x}}\" {\n      capabilities = [\n\"read\",  \n ]\n}\n\n\n";
        assert_eq!(tidy(untidy), "path \"a/{{x}}\" {\n  capabilities = [\n    \"read\",\n  ]\n}\n");
    }
}
