//! `sys/config/ui/headers`: headers that a user interface sends with its pages. They are kept for the tools that set them;
//! this server has no pages to send them with.

use prost::Message;
use serde_json::json;

use crate::engine::{Access, Call, Path};
use crate::engines::listing;
use crate::error::Error;
use crate::field::{Field, Kind, field};
use crate::reply::{Reply, Status};
use crate::request::Operation;

/// Most headers, and most values of one.
const MAX_UI_HEADERS: usize = 64;
/// Longest name and longest value of a header, in bytes.
const MAX_UI_HEADER_BYTES: usize = 4 << 10;
/// Where the record lies in the system area.
const UI_HEADERS: &[&str] = &["core", "ui-headers"];

const HEADER: Field = field("header", Kind::Text, "Name of the header");

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "config/ui/headers/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, list)],
        access: Access::Sudo,
        help: "List the headers of the user interface",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/ui/headers/{header}",
        fields: &[&[
            HEADER,
            field("values", Kind::CommaList, "Its values"),
            field("multivalue", Kind::Bool, "Whether to read all values, not only the first"),
        ]],
        operations: &[(Operation::Read, read), (Operation::Update, write), (Operation::Delete, delete)],
        access: Access::Sudo,
        help: "Read, write or delete a header of the user interface; there is no interface that sends it",
        ..Path::DEFAULT
    },
];

#[derive(Clone, PartialEq, Message)]
struct UiHeader {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, repeated, tag = "2")]
    values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct UiHeaders {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<UiHeader>,
}

impl UiHeaders {
    fn load(call: &mut Call<'_, '_>) -> Result<Self, Error> {
        let system = call.store.system();
        Ok(call.store.get(&system, UI_HEADERS)?.unwrap_or_default())
    }

    fn save(&self, call: &mut Call<'_, '_>) -> Result<(), Error> {
        let system = call.store.system();
        call.store.put(&system, UI_HEADERS, self)
    }
}

fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = UiHeaders::load(call)?.headers.into_iter().map(|header| header.name).collect();
    listing::page(names, &call.fields)
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty("header").to_owned();
    let headers = UiHeaders::load(call)?.headers;
    let header = headers.into_iter().find(|header| header.name.eq_ignore_ascii_case(&name));
    let values = header.ok_or_else(Error::not_found)?.values;
    Ok(Reply::data(match call.fields.bool("multivalue") {
        Some(true) => json!({ "values": values }),
        _ => json!({ "value": values.first() }),
    }))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty("header").to_owned();
    let values = call.fields.list("values").unwrap_or_default().to_vec();
    if name.is_empty() || values.is_empty() {
        return Err(Error::invalid("header and values must be specified"));
    }
    if name.to_ascii_lowercase().starts_with("x-vault-") {
        return Err(Error::invalid("X-Vault headers cannot be set"));
    }
    let is_printable = |text: &str| text.len() <= MAX_UI_HEADER_BYTES && !text.chars().any(char::is_control);
    if !is_printable(&name) || !values.iter().all(|value| is_printable(value)) || values.len() > MAX_UI_HEADERS {
        return Err(Error::invalid(format!(
            "a header has at most {MAX_UI_HEADERS} values of {MAX_UI_HEADER_BYTES} bytes, without control characters"
        )));
    }
    let mut all = UiHeaders::load(call)?;
    all.headers.retain(|header| !header.name.eq_ignore_ascii_case(&name));
    if all.headers.len() >= MAX_UI_HEADERS {
        return Err(Error::invalid(format!("there are {MAX_UI_HEADERS} headers, the most that are kept")));
    }
    all.headers.push(UiHeader { name, values });
    all.headers.sort_by(|one, other| one.name.cmp(&other.name));
    all.save(call)?;
    Ok(Reply { status: Status::Wanted(200), ..Reply::empty() })
}

fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = call.fields.text_or_empty("header").to_owned();
    let mut all = UiHeaders::load(call)?;
    all.headers.retain(|header| !header.name.eq_ignore_ascii_case(&name));
    all.save(call)?;
    Ok(Reply::empty())
}
