//! Whether the lines of audit files are those that were written: all of them, in order, and none other.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{self, BufRead};

use serde_json::Value;

use super::{BEGINNING, Link, split};

/// How far a chain certainly was, as the cluster committed it.
#[derive(Clone)]
pub struct Head {
    /// Who wrote it.
    pub node: String,
    /// The line.
    pub link: Link,
    /// Whether its chain may have gone on since: it is the newest of its node and device.
    pub is_newest: bool,
    /// Whether its chain is missing if the files do not have it.
    pub is_expected: bool,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A line that is no record, or has no link.
    Alien,
    /// A line whose value is not what its text and the line before come to: it or one of those was changed.
    Edited,
    /// Lines are missing in front of one.
    Gap,
    /// A line stands there again, or behind one that came later.
    Misplaced,
    /// The last lines are missing.
    CutTail,
    /// The chain was made anew: the cluster saw another value.
    Replaced,
    /// A whole chain is missing that the cluster saw last.
    Absent,
    /// Lines that nothing the cluster committed vouches for: a chain of its own needs no key.
    Unseen,
}

/// A fault and its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What is wrong.
    pub fault: Fault,
    /// Number of the file, counted from 0 in the order in which they were given, and of the line, counted from 1; absent where
    /// nothing stands.
    pub place: Option<(usize, usize)>,
    /// More of it, for people.
    pub detail: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alien => "no line of an audit device",
            Self::Edited => "changed, or the line before it was",
            Self::Gap => "lines are missing before it",
            Self::Misplaced => "repeated, or out of order",
            Self::CutTail => "the last lines are missing",
            Self::Replaced => "made anew: the cluster committed another value",
            Self::Absent => "a chain is missing that the cluster has seen",
            Self::Unseen => "the cluster has not seen it: made up, or written by a sealed node or in the last seconds",
        })
    }
}

/// How far one chain was followed.
struct Followed {
    first: u64,
    last: Link,
    /// Values at the numbers that the cluster committed.
    at_heads: BTreeMap<u64, [u8; 32]>,
}

/// That a line of one chain says which line of another it was written behind.
struct Follows {
    line: Link,
    before: Link,
}

/// Reads lines and remembers what is wrong with them.
pub struct Verifier {
    heads: Vec<Head>,
    chains: BTreeMap<[u8; 16], Followed>,
    follows: Vec<Follows>,
    /// The last whole line of the present file.
    before: Option<Link>,
    /// A line of the present file that is none, until what follows explains it.
    torn: Option<usize>,
    files: usize,
    lines: u64,
    findings: Vec<Finding>,
}

impl Verifier {
    /// With what the cluster committed; without, nobody notices a tail that was cut off.
    pub fn new(heads: Vec<Head>) -> Self {
        Self {
            heads,
            chains: BTreeMap::new(),
            follows: Vec::new(),
            before: None,
            torn: None,
            files: 0,
            lines: 0,
            findings: Vec::new(),
        }
    }

    /// Lines that were read.
    pub fn lines(&self) -> u64 {
        self.lines
    }

    /// The chains that were met: their names, their first and their last line.
    pub fn chains(&self) -> impl Iterator<Item = (String, u64, u64)> {
        self.chains.iter().map(|(id, chain)| (hex::encode(id), chain.first, chain.last.number))
    }

    /// Reads the next file, oldest first.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn read(&mut self, mut file: impl BufRead) -> io::Result<()> {
        let (mut line, mut number) = (Vec::new(), 0);
        self.before = None;
        loop {
            line.clear();
            if file.read_until(b'\n', &mut line)? == 0 {
                break;
            }
            number += 1;
            self.lines += 1;
            self.line(line.strip_suffix(b"\n").unwrap_or(&line), number);
        }
        self.settle_torn();
        self.files += 1;
        Ok(())
    }

    /// What is wrong, with the files as a whole too. `is_part` says that later files exist that were not read.
    pub fn finish(mut self, is_part: bool) -> Vec<Finding> {
        self.find_unseen();
        for head in std::mem::take(&mut self.heads) {
            let (id, node) = (hex::encode(head.link.id), &head.node);
            match self.chains.get(&head.link.id) {
                Some(chain) if head.link.number > chain.last.number => {
                    let missing = head.link.number - chain.last.number;
                    if !is_part {
                        self.find(
                            Fault::CutTail,
                            None,
                            format!("at least {missing} lines of chain {id}, of node {node}"),
                        );
                    }
                }
                Some(chain) => {
                    let value = chain.at_heads.get(&head.link.number);
                    if value.is_some_and(|value| *value != head.link.value) {
                        self.find(
                            Fault::Replaced,
                            None,
                            format!("line {} of chain {id}, of node {node}", head.link.number),
                        );
                    }
                }
                None if head.is_expected && !is_part => {
                    let lines = head.link.number;
                    self.find(Fault::Absent, None, format!("chain {id} of node {node}, of at least {lines} lines"));
                }
                None => {}
            }
        }
        self.findings
    }

    /// Up to which line each chain is vouched for: by its committed value, or by one of another chain, below which a line
    /// says that it was written behind this one.
    fn vouched(&self) -> BTreeMap<[u8; 16], u64> {
        let mut vouched = BTreeMap::new();
        for head in &self.heads {
            let upto = vouched.entry(head.link.id).or_insert(0);
            *upto = head.link.number.max(*upto);
        }
        loop {
            let is_covered = |link: &Link, vouched: &BTreeMap<[u8; 16], u64>| {
                vouched.get(&link.id).is_some_and(|upto| link.number <= *upto)
            };
            let next = self
                .follows
                .iter()
                .find(|follows| is_covered(&follows.line, &vouched) && !is_covered(&follows.before, &vouched));
            let Some(Follows { before, .. }) = next else { return vouched };
            vouched.insert(before.id, before.number);
        }
    }

    /// Finds lines that could be anybody's: of chains that no committed value vouches for, and of old ones behind it. The newest
    /// of a node goes on between two commits.
    fn find_unseen(&mut self) {
        if self.heads.is_empty() {
            return;
        }
        let vouched = self.vouched();
        let is_newest = |id: &[u8; 16]| self.heads.iter().any(|head| head.is_newest && head.link.id == *id);
        let mut unseen = Vec::new();
        for (id, chain) in self.chains.iter().filter(|(id, _)| !is_newest(id)) {
            let first = vouched.get(id).map_or(chain.first, |upto| chain.first.max(upto + 1));
            if chain.last.number >= first {
                let last = chain.last.number;
                unseen.push(format!("lines {first} to {last} of chain {}", hex::encode(id)));
            }
        }
        unseen.into_iter().for_each(|detail| self.find(Fault::Unseen, None, detail));
    }

    fn find(&mut self, fault: Fault, line: Option<usize>, detail: String) {
        self.findings.push(Finding { fault, place: line.map(|line| (self.files, line)), detail });
    }

    /// A line that nothing explains is no line of a device.
    fn settle_torn(&mut self) {
        if let Some(line) = self.torn.take() {
            self.find(Fault::Alien, Some(line), String::new());
        }
    }

    fn line(&mut self, line: &[u8], number: usize) {
        let object = line.iter().position(|byte| *byte == b'{').map(|start| &line[start..]);
        let object: Option<Value> = object.and_then(|object| serde_json::from_slice(object).ok());
        let (Some(object), Some((text, link))) = (object, split(line)) else {
            self.settle_torn();
            self.torn = Some(number);
            return;
        };
        let beginning = (object["type"] == BEGINNING).then_some(&object);
        self.check_beginning(beginning, link, number);
        self.check_link(beginning, text, link, number);
        self.before = Some(link);
    }

    /// A beginning says what stood before it in the file, and whether that was half a line.
    fn check_beginning(&mut self, beginning: Option<&Value>, link: Link, number: usize) {
        let is_torn = beginning.is_some_and(|beginning| beginning["torn"] == true);
        match (self.torn, is_torn) {
            (Some(_), true) => self.torn = None,
            (None, true) => self.find(Fault::Gap, Some(number), "half a line is gone that stood before it".into()),
            _ => self.settle_torn(),
        }
        let Some(beginning) = beginning else { return };
        let after = &beginning["after"];
        let digits = |name: &str| after[name].as_str().unwrap_or_default();
        let after = Link::parse(digits("id"), after["number"].as_u64().unwrap_or_default(), digits("value"));
        if after != self.before {
            let detail = "what stood before it is not what it was written behind";
            self.find(Fault::Gap, Some(number), detail.into());
        } else if let Some(before) = after {
            self.follows.push(Follows { line: link, before });
        }
    }

    fn check_link(&mut self, beginning: Option<&Value>, text: &[u8], link: Link, number: usize) {
        let previous = beginning.and_then(|beginning| beginning["previous"].as_str());
        let named = previous.and_then(|value| Link::parse(&hex::encode(link.id), link.number.checked_sub(1)?, value));
        let known = self.chains.get(&link.id).map(|chain| chain.last);
        let expected = match known {
            Some(last) if link.number <= last.number => {
                return self.find(Fault::Misplaced, Some(number), format!("line {} of its chain", link.number));
            }
            Some(last) if link.number == last.number + 1 => {
                if named.is_some_and(|named| named != last) {
                    self.find(Fault::Edited, Some(number), "it was written behind another line".into());
                }
                Some(last)
            }
            None if link.number == 1 => Some(Link::before_first(link.id)),
            Some(_) | None => {
                // A file that was begun in the middle of a chain may be the first that is read.
                if known.is_some() || named.is_none() {
                    let missing = link.number - 1 - known.map_or(0, |last| last.number);
                    self.find(Fault::Gap, Some(number), format!("{missing} of its chain"));
                }
                named
            }
        };
        if expected.is_some_and(|expected| expected.next(text) != link) {
            self.find(Fault::Edited, Some(number), format!("line {} of its chain", link.number));
        }
        let is_head = self.heads.iter().any(|head| (head.link.id, head.link.number) == (link.id, link.number));
        let chain = self.chains.entry(link.id).or_insert_with(|| Followed {
            first: link.number,
            last: link,
            at_heads: BTreeMap::new(),
        });
        chain.last = link;
        if is_head {
            chain.at_heads.insert(link.number, link.value);
        }
    }
}

#[cfg(test)]
mod tests;
