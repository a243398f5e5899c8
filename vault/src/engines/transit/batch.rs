//! What is to be done: one item, or a list of them, each with an end of its own.

use base64::DecodeError;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use crate::engine::Call;
use crate::error::{Error, multi};
use crate::field::{Field, Kind, field};
use crate::reply::{Reply, Status};

/// Most items of a batch.
pub(super) const MAX_ITEMS: usize = 131_072;

/// What every path that takes lists has.
pub(super) const BATCH: Field =
    field("batch_input", Kind::Any, "A list of items in place of one; each is answered on its own, in order.");
/// The status of a list that failed in part.
pub(super) const PARTIAL: Field = field(
    "partial_failure_response_code",
    Kind::Int,
    "Status code where some items failed and some did not; 200 to 299 but 204 and 205, or 400 to 599.",
)
.or("400");

/// One item.
#[derive(Default)]
pub(super) struct Item {
    texts: Vec<(String, String)>,
    /// The version that is asked for; 0 is the newest.
    pub(super) version: i64,
}

/// All items of a request.
pub(super) struct Items {
    /// In order.
    pub(super) items: Vec<Item>,
    /// Whether they were sent as a list.
    pub(super) is_batch: bool,
}

/// How an item ended: fields of the reply, or what was wrong.
pub(super) type Ended = Result<Map<String, Value>, String>;

/// Why an item has no end of its own, or a bad one.
pub(super) enum Failure {
    /// Something is wrong with the item.
    Item(String),
    /// Something is wrong with the whole request.
    Request(Error),
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self::Item(reason)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Request(error)
    }
}

/// What became of an item, unless the whole request failed.
pub(super) fn settled<T>(result: Result<T, Failure>) -> Result<Result<T, String>, Error> {
    match result {
        Ok(done) => Ok(Ok(done)),
        Err(Failure::Item(reason)) => Ok(Err(reason)),
        Err(Failure::Request(error)) => Err(error),
    }
}

impl Item {
    /// A text, if it was sent.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts.iter().find(|(known, _)| known == name).map(|(_, text)| text.as_str())
    }

    /// Base64 that was sent, decoded; empty if none was.
    pub(super) fn bytes(&self, name: &str) -> Result<Vec<u8>, String> {
        decoded(self.text(name).unwrap_or_default())
    }
}

/// Base64 (RFC 4648, section 4), decoded.
pub(super) fn decoded(text: &str) -> Result<Vec<u8>, String> {
    STANDARD.decode(text).map_err(|error| match error {
        DecodeError::InvalidByte(at, _) => format!("illegal base64 data at input byte {at}"),
        _ => format!("illegal base64 data at input byte {}", text.len().saturating_sub(1) / 4 * 4),
    })
}

/// The items of a request. `names` are the fields that an item has, and `required` the one that an item of a list must have.
pub(super) fn items(call: &Call<'_, '_>, names: &[&str], required: Option<(&str, &str)>) -> Result<Items, Error> {
    let Some(list) = call.fields.any(BATCH.name).filter(|list| !list.is_null()) else {
        let texts = names.iter().filter_map(|name| Some(((*name).to_owned(), call.fields.text(name)?.to_owned())));
        let (texts, version) = (texts.collect(), call.fields.int("key_version").unwrap_or(0));
        return Ok(Items { items: vec![Item { texts, version }], is_batch: false });
    };
    let list = list.as_array().ok_or_else(|| refused("source data must be an array of maps"))?;
    if list.is_empty() {
        return Err(Error::invalid("missing batch input to process"));
    }
    if list.len() > MAX_ITEMS {
        return Err(Error::invalid(format!("the batch has {} items, at most {MAX_ITEMS} are taken", list.len())));
    }
    let items = list.iter().enumerate().map(|(place, value)| item(place, value, names, required));
    Ok(Items { items: items.collect::<Result<_, _>>()?, is_batch: true })
}

fn refused(reason: &str) -> Error {
    Error::invalid(multi(&format!("failed to parse batch input: {reason}")))
}

fn item(place: usize, value: &Value, names: &[&str], required: Option<(&str, &str)>) -> Result<Item, Error> {
    let map = value.as_object().ok_or_else(|| refused(&format!("'[{place}]' is no map")))?;
    let mut item = Item::default();
    for name in names.iter().copied().chain(["reference"]) {
        match map.get(name) {
            None | Some(Value::Null) => {}
            Some(Value::String(text)) => item.texts.push((name.to_owned(), text.clone())),
            Some(_) => return Err(refused(&format!("'[{place}].{name}' is no text"))),
        }
    }
    if let Some(version) = map.get("key_version").filter(|version| !version.is_null()) {
        let number = crate::field::int(version);
        item.version = number.ok_or_else(|| refused(&format!("'[{place}].key_version' is no whole number")))?;
    }
    match required {
        Some((name, complaint)) if item.text(name).is_none() => {
            Err(refused(&format!("'[{place}].{name}' {complaint}")))
        }
        _ => Ok(item),
    }
}

/// One way of answering lists.
#[derive(Clone, Copy)]
pub(super) struct Form {
    /// What an item says that failed, besides `error`.
    pub(super) failed: fn() -> Value,
    /// Whether a failed item makes the whole fail.
    pub(super) fails: bool,
}

/// The reply to a request whose items ended so.
pub(super) fn reply(call: &Call<'_, '_>, items: &Items, ended: Vec<Ended>, form: Form) -> Result<Reply, Error> {
    if !items.is_batch {
        let only = ended.into_iter().next().ok_or_else(|| Error::internal("an item was lost"))?;
        return only.map(|data| Reply { data: Some(data), ..Reply::default() }).map_err(Error::invalid);
    }
    let (failed, done) = (ended.iter().any(Result::is_err), ended.iter().any(Result::is_ok));
    let results = items.items.iter().zip(ended).map(|(item, ended)| {
        let mut map = ended.unwrap_or_else(|error| {
            let mut map = (form.failed)().as_object().cloned().unwrap_or_default();
            map.insert("error".into(), json!(error));
            map
        });
        map.insert("reference".into(), json!(item.text("reference").unwrap_or_default()));
        Value::Object(map)
    });
    let reply = Reply::data(json!({ "batch_results": results.collect::<Vec<_>>() }));
    let status = match (failed && form.fails, call.fields.int(PARTIAL.name)) {
        (false, _) => Status::Done,
        (true, Some(code)) if done => wanted(code)?,
        (true, _) => Status::Invalid,
    };
    Ok(Reply { status, ..reply })
}

fn wanted(code: i64) -> Result<Status, Error> {
    let code = u16::try_from(code).ok().filter(|code| matches!(code, 200..=203 | 206..=299 | 400..=599));
    code.map(Status::Wanted).ok_or_else(|| Error::invalid(format!("{} is out of its range", PARTIAL.name)))
}
