//! `run`: a program with secrets.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use conclave_client::{Request, Secret};
use serde_json::Value;
use zeroize::Zeroizing;

use super::kv::place::Location;
use crate::failure::{Failure, Outcome};
use crate::launch::folder::SecretFolder;
use crate::launch::forms::forms;
use crate::launch::mask::{Patterns, SHORTEST_BYTES};
use crate::launch::reference::Reference;
use crate::launch::{child, env_file};
use crate::session::Session;

/// All secrets of one program that are looked for in its output: each takes many times its size in memory.
const MAX_MASKED_BYTES: usize = 32 << 10;

/// Shorter tokens are those of dev servers, such as `root`, which are no secrets and stand in other words.
const SHORTEST_TOKEN_BYTES: usize = 16;

/// How many references one program may have: each secret is a call.
const MAX_REFERENCES: usize = 256;

/// Run a program with secrets: each variable that is a reference, vault://MOUNT/PATH#FIELD, becomes a file in memory,
/// named by the variable with _FILE behind it.
#[derive(Args)]
pub(crate) struct Run {
    /// A file of NAME=value lines, which win over the environment; may be repeated.
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Hand the secrets over as values of the variables, which all that the program starts inherits.
    #[arg(long)]
    environment: bool,
    /// Leave the output as it is; the program then has the terminal itself.
    #[arg(long)]
    no_masking: bool,
    /// The program and its arguments, behind --.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A variable's name and the secret it stands for.
type Values = Vec<(String, Zeroizing<String>)>;

impl Run {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let mut variables = self.variables()?;
        let secrets = read(session, &references(&variables)?).await?;
        let patterns = if self.no_masking { None } else { Some(self.patterns(session, &secrets)?) };
        // Held until the program has ended.
        let folder = if self.environment || secrets.is_empty() { None } else { Some(SecretFolder::make()?) };
        for (name, value) in &secrets {
            match &folder {
                None if value.contains('\0') => {
                    let words =
                        format!("The secret of {name} has a zero byte, which no variable can: leave out -environment.");
                    return Err(Failure::Usage(words));
                }
                None => variables.insert(name.into(), value.as_str().into()),
                Some(folder) => {
                    variables.remove(&OsString::from(name));
                    variables.insert(format!("{name}_FILE").into(), folder.write(name, value)?.into())
                }
            };
        }
        drop(secrets);
        match child::run(&self.command, variables, patterns).await? {
            0 => Ok(()),
            code => Err(Failure::Quiet(code)),
        }
    }

    /// The environment with the files' variables over it.
    fn variables(&self) -> Result<BTreeMap<OsString, OsString>, Failure> {
        let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        for path in &self.env_file {
            let text = contents(path)?;
            let found =
                env_file::parse(&text).map_err(|reason| Failure::Usage(format!("{}, {reason}", path.display())))?;
            variables.extend(found.into_iter().map(|(name, value)| (name.into(), value.into())));
        }
        Ok(variables)
    }

    /// What must not be seen in the output: the secrets, and the token, which the program may have inherited.
    fn patterns(&self, session: &Session, secrets: &[(String, Zeroizing<String>)]) -> Result<Patterns, Failure> {
        if secrets.iter().map(|(_, value)| value.len()).sum::<usize>() > MAX_MASKED_BYTES {
            let words = format!(
                "The secrets have more than {MAX_MASKED_BYTES} bytes together, which is too much to look for in the output: \
                 -no-masking leaves it as it is."
            );
            return Err(Failure::Usage(words));
        }
        for (name, _) in secrets.iter().filter(|(_, value)| value.trim().len() < SHORTEST_BYTES) {
            session.output.warn(&format!("The secret of {name} is too short to be masked in the output."));
        }
        let token = session.token.iter().map(Secret::expose).filter(|token| token.len() >= SHORTEST_TOKEN_BYTES);
        let token = token.flat_map(forms);
        Ok(Patterns::new(secrets.iter().flat_map(|(_, value)| forms(value)).chain(token)))
    }
}

fn contents(path: &Path) -> Result<Zeroizing<String>, Failure> {
    let mut text = Zeroizing::new(String::new());
    let file = std::fs::File::open(path).map_err(Failure::file(path))?;
    file.take(env_file::MAX_BYTES + 1).read_to_string(&mut text).map_err(Failure::file(path))?;
    if text.len() as u64 > env_file::MAX_BYTES {
        return Err(Failure::Usage(format!("{} is larger than {} bytes", path.display(), env_file::MAX_BYTES)));
    }
    Ok(text)
}

/// The variables that stand for secrets.
fn references(variables: &BTreeMap<OsString, OsString>) -> Result<Vec<(String, Reference)>, Failure> {
    let mut found = Vec::new();
    for (name, value) in variables {
        let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else { continue };
        if Reference::is_meant(value) {
            let reference = value
                .parse()
                .map_err(|reason| Failure::Usage(format!("{name}: {reason}, such as vault://secret/app#password")))?;
            // A name may hold anything but =; a file's name may not.
            if name.contains('/') {
                return Err(Failure::Usage(format!(
                    "{name}: a variable that stands for a secret has no / in its name"
                )));
            }
            found.push((name.to_owned(), reference));
        }
    }
    if found.len() > MAX_REFERENCES {
        return Err(Failure::Usage(format!(
            "There are {} references, and {MAX_REFERENCES} is the limit.",
            found.len()
        )));
    }
    Ok(found)
}

/// Reads each path once, so that the name and password of one set of credentials belong together.
async fn read(session: &Session, references: &[(String, Reference)]) -> Result<Values, Failure> {
    let mut known = BTreeMap::new();
    let mut found = Vec::with_capacity(references.len());
    for (name, Reference { path, field }) in references {
        if !known.contains_key(path) {
            known.insert(path, secret(session, path).await?);
        }
        let value = match known.get(path).and_then(|data| data.get(field)) {
            Some(Value::String(text)) => text.clone(),
            Some(other) if !other.is_null() => other.to_string(),
            _ => {
                let words =
                    format!("{name}: {path} has no field `{field}`; `conclave kv get {path}` shows which it has.");
                return Err(Failure::Usage(words));
            }
        };
        found.push((name.clone(), Zeroizing::new(value)));
    }
    Ok(found)
}

async fn secret(session: &Session, path: &str) -> Result<Value, Failure> {
    let place = Location { mount: None, path: path.to_owned() }.find(session).await?;
    let path = place.api_path("data");
    let reply = session.fetch(&format!("reading {path}"), &path, Request::get(&path)).await;
    let reply = reply.map_err(|failure| place.explain(failure))?;
    if reply.json()["wrap_info"].is_object() {
        return Err(Failure::Usage(
            "`run` needs the secrets themselves: leave out -wrap-ttl (VAULT_WRAP_TTL).".to_owned(),
        ));
    }
    let data = &reply.json()["data"];
    Ok(if place.is_versioned { data["data"].clone() } else { data.clone() })
}
