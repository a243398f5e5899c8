//! Where results go: standard output for what was asked for, standard error for everything said besides.
//!
//! What surprises: a closed pipe is no failure, because `| head` is usual.

use std::io::{self, IsTerminal, Write};

use conclave_client::Reply;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;
use crate::format::{self, Format};
use crate::{golang, table};

/// How results are printed.
pub(crate) struct Output {
    pub(crate) format: Format,
    pub(crate) field: Option<String>,
    pub(crate) is_coloured: bool,
}

impl Output {
    /// Whether people read it.
    pub(crate) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Whether a program parses it.
    pub(crate) fn is_document(&self) -> bool {
        matches!(self.format, Format::Json | Format::Yaml)
    }

    /// Prints a reply in the format or the one field that was asked for.
    pub(crate) fn reply(&self, reply: &Reply) -> Result<(), Failure> {
        if self.field.is_none() && (self.format == Format::Raw || reply.json().is_null()) {
            return bytes(reply.bytes());
        }
        self.document(&format::enveloped(reply.json()))?;
        if self.is_table() {
            self.warnings(reply);
        }
        Ok(())
    }

    /// Says what the server warns of, besides the result.
    pub(crate) fn warnings(&self, reply: &Reply) {
        let warnings = reply.warnings();
        if !warnings.is_empty() {
            let list: String = warnings.iter().map(|warning| format!("\n  * {warning}")).collect();
            self.warn(&format!("The server warns:{list}"));
        }
    }

    /// Prints a document: an envelope or any object.
    pub(crate) fn document(&self, document: &Value) -> Result<(), Failure> {
        if let Some(name) = &self.field {
            return self.one_field(document, name);
        }
        match self.format {
            Format::Table => print(&format::reply_table(document)),
            Format::Json => print(&format::reply_json(document)),
            Format::Yaml => print(&format::yaml(document)),
            Format::Raw => print(&format!("{document}\n")),
        }
    }

    fn one_field(&self, document: &Value, name: &str) -> Result<(), Failure> {
        let value = format::field(document, name)
            .ok_or_else(|| Failure::Usage(format!("Field {name:?} not present in the reply")))?;
        self.bare(&value)
    }

    /// Prints a value and nothing around it; the line is ended only on a terminal.
    pub(crate) fn bare(&self, value: &Value) -> Result<(), Failure> {
        match self.format {
            Format::Json => print(&format::json(value)),
            Format::Yaml => print(&format::yaml(value)),
            Format::Table | Format::Raw => {
                let end = if io::stdout().is_terminal() { "\n" } else { "" };
                print(&format!("{}{end}", golang::value(value)))
            }
        }
    }

    /// Prints a table to people and a document to programs.
    pub(crate) fn either(&self, table: impl FnOnce() -> String, document: &Value) -> Result<(), Failure> {
        if self.is_table() && self.field.is_none() { print(&table()) } else { self.document(document) }
    }

    /// Prints a result whose members have an order.
    pub(crate) fn ordered(&self, table: impl FnOnce() -> String, result: &impl Serialize) -> Result<(), Failure> {
        if self.format == Format::Json && self.field.is_none() {
            return print(&format::json(result));
        }
        let value = serde_json::to_value(result).map_err(|error| Failure::Reply(error.to_string()))?;
        self.either(table, &value)
    }

    /// Prints the names of a listing.
    pub(crate) fn keys(&self, keys: &[String]) -> Result<(), Failure> {
        let document = Value::from(keys.to_vec());
        self.either(|| table::keys(keys), &document)
    }

    /// Prints an empty document to programs that parse what comes.
    pub(crate) fn nothing(&self) -> Result<(), Failure> {
        print("{}\n")
    }

    /// Says that something was done; programs that asked for another format read the exit code.
    pub(crate) fn done(&self, text: &str) -> Result<(), Failure> {
        if self.is_table() { print(&format!("{text}\n")) } else { Ok(()) }
    }

    /// Says something besides the result.
    pub(crate) fn warn(&self, text: &str) {
        say(&format!("WARNING! {text}"), self.is_coloured.then_some("33"));
    }
}

/// Writes to standard output.
pub(crate) fn print(text: &str) -> Result<(), Failure> {
    bytes(text.as_bytes())
}

/// Writes bytes to standard output.
pub(crate) fn bytes(bytes: &[u8]) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Stream(error)),
        _ => Ok(()),
    }
}

/// Writes an error, if it has words.
pub(crate) fn complain(text: &str, is_coloured: bool) {
    if !text.is_empty() {
        say(text, is_coloured.then_some("31"));
    }
}

fn say(text: &str, colour: Option<&str>) {
    let line = match colour {
        Some(colour) => format!("\u{1b}[{colour}m{text}\u{1b}[0m\n"),
        None => format!("{text}\n"),
    };
    // If standard error is gone there is nobody to tell.
    let _ = io::stderr().write_all(line.as_bytes());
}
