//! `audit verify`: whether audit files hold what was written to them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use clap::Args;
use conclave_client::Request;
use serde_json::{Value, json};

use crate::audit_chain::verify::{Finding, Head, Verifier};
use crate::audit_chain::{BEGINNING, Link};
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// Most findings that are shown; there are seldom few or all.
const MAX_SHOWN: usize = 100;
/// Longest first line of a file that is looked at for its device, in bytes.
const MAX_LINE_BYTES: u64 = 1 << 20;

/// Check that audit files hold all lines that were written to them, and none other.
#[derive(Args)]
pub(crate) struct Verify {
    /// The device that wrote them, if not the one that the first line names.
    #[arg(long)]
    device: Option<String>,
    /// Ask no server: a tail that was cut off, or files that were made anew, go unnoticed.
    #[arg(long)]
    offline: bool,
    /// Later files exist that are not named.
    #[arg(long)]
    part: bool,
    /// The files, oldest first.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
}

impl Verify {
    pub(super) async fn run(&self, session: &Session) -> Outcome {
        let heads = if self.offline { Vec::new() } else { self.heads(session).await? };
        let are_heads_known = !heads.is_empty();
        let mut verifier = Verifier::new(heads);
        for path in &self.files {
            let file = File::open(path).map_err(Failure::file(path))?;
            verifier.read(BufReader::new(file)).map_err(Failure::file(path))?;
        }
        let lines = verifier.lines();
        let chains: Vec<_> = verifier.chains().collect();
        let findings = verifier.finish(self.part);
        let document = json!({
            "lines": lines,
            "chains": chains.iter().map(|(id, first, last)| json!({ "id": id, "first": first, "last": last })).collect::<Value>(),
            "heads_checked": are_heads_known,
            "findings": findings.iter().map(|finding| self.document(finding)).collect::<Value>(),
        });
        session.output.either(|| self.text(lines, chains.len(), are_heads_known, &findings), &document)?;
        if findings.is_empty() { Ok(()) } else { Err(Failure::Quiet(2)) }
    }

    /// How far the cluster saw the chains of the device.
    async fn heads(&self, session: &Session) -> Result<Vec<Head>, Failure> {
        let device = match &self.device {
            Some(device) => device.clone(),
            None => named_device(&self.files[0])?,
        };
        let path = format!("sys/audit-chain/{}", device.trim_matches('/'));
        let reply = session.send(&format!("reading {path}"), Request::get(path.clone())).await?;
        let heads = reply.json()["data"]["heads"].as_array().cloned().unwrap_or_default();
        let head = |head: &Value| {
            let text = |name: &str| head[name].as_str();
            Some(Head {
                node: text("node")?.to_owned(),
                link: Link::parse(text("chain")?, head["number"].as_u64()?, text("value")?)?,
                is_newest: head["newest"].as_bool()?,
                is_expected: head["newest"].as_bool()? && self.holds(text("node")?),
            })
        };
        heads.iter().map(head).collect::<Option<_>>().ok_or_else(|| Failure::Reply("a head is not as expected".into()))
    }

    /// Whether the files are those of a node: each node has its own, so others' chains are not missing in them.
    fn holds(&self, node: &str) -> bool {
        self.files.iter().any(|file| first_beginning(file).is_some_and(|beginning| beginning["node"] == node))
    }

    fn place(&self, finding: &Finding) -> Option<(String, usize)> {
        finding.place.and_then(|(file, line)| Some((self.files.get(file)?.display().to_string(), line)))
    }

    fn document(&self, finding: &Finding) -> Value {
        let (file, line) = self.place(finding).unzip();
        json!({ "fault": finding.fault.to_string(), "file": file, "line": line, "detail": finding.detail })
    }

    fn text(&self, lines: u64, chains: usize, are_heads_known: bool, findings: &[Finding]) -> String {
        let mut text = String::new();
        for finding in findings.iter().take(MAX_SHOWN) {
            if let Some((file, line)) = self.place(finding) {
                text.push_str(&format!("{file}:{line}: "));
            }
            text.push_str(&finding.fault.to_string());
            if !finding.detail.is_empty() {
                text.push_str(&format!(" ({})", finding.detail));
            }
            text.push('\n');
        }
        if findings.len() > MAX_SHOWN {
            text.push_str(&format!("… and {} more\n", findings.len() - MAX_SHOWN));
        }
        let extent = format!("{lines} lines of {chains} chains");
        text.push_str(&match (findings.len(), are_heads_known) {
            (0, true) => format!("Success! {extent} are whole, as far as the cluster knows them.\n"),
            (0, false) => format!("{extent} fit together. Whether the last ones are missing is not known: no committed head was compared.\n"),
            (faults, _) => format!("{extent} were read; {faults} faults.\n"),
        });
        text
    }
}

/// The first line of a file, if a chain begins there.
fn first_beginning(path: &Path) -> Option<Value> {
    let mut line = String::new();
    let file = BufReader::new(File::open(path).ok()?);
    std::io::Read::take(file, MAX_LINE_BYTES).read_line(&mut line).ok()?;
    let object: Value = serde_json::from_str(&line[line.find('{')?..]).ok()?;
    (object["type"] == BEGINNING).then_some(object)
}

fn named_device(path: &Path) -> Result<String, Failure> {
    let beginning = first_beginning(path);
    let device = beginning.as_ref().and_then(|beginning| beginning["device"].as_str());
    device.map(str::to_owned).ok_or_else(|| {
        Failure::Usage(format!(
            "{} does not begin with a line that names its device; name it with -device",
            path.display()
        ))
    })
}
