//! Fields: what a path takes, as data, and the loose typing with which clients send it.
//!
//! The command line sends every value as text, old libraries send lists as comma text, so a field is decoded by what
//! the path declares, never by what arrived. What is refused is refused with the field's name, never with its value.

mod typing;

use std::borrow::Cow;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::error::Error;
use crate::field::typing::Decoded;
pub use crate::field::typing::{boolean, boolean_text, parse_duration};
pub(crate) use crate::field::typing::{comma_list, duration, int, key_values, scalar_text};
use crate::spelling;

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// A name in which upper and lower case are one, kept as it was written. The engine finds it by its one spelling; the kind
    /// says so to those who compare what was sent.
    Name,
    /// Text, lowered.
    LowerText,
    /// The name of a policy: as text, and lowered.
    PolicyName,
    /// The path of a mount: slashes around it do not count.
    MountPath,
    /// A whole number.
    Int,
    /// A truth value.
    Bool,
    /// A duration: whole seconds, or text with units (`ns us ms s m h d`).
    Duration,
    /// A list of texts; a single text is a list of one.
    List,
    /// A list of texts; a single text is split at commas, and entries are trimmed.
    CommaList,
    /// A list as [`Kind::List`], of names whose case and surrounding white space do not count. The engine that takes
    /// them normalises them; the kind says so to those who compare what was sent.
    Names,
    /// A list as [`Kind::CommaList`], of such names.
    CommaNames,
    /// A map, kept as it is.
    Map,
    /// A map of text to text: a map, a list of `k=v`, or one `k=v`.
    KeyValues,
    /// Whatever JSON there is.
    Any,
}

/// One field that a path takes.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name in the body, the query or the path.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// What it is for, for people.
    pub help: &'static str,
    /// The present name of what this field sets, if this name is an old one: a limit on one name holds for the other.
    pub renamed: Option<&'static str>,
    /// Whether a request without it is refused. Told to clients; the handler refuses.
    pub is_required: bool,
    /// What counts if it is not sent, as text. Told to clients.
    pub default: Option<&'static str>,
    /// The only values that it takes; none is any. Told to clients; the handler refuses others.
    pub choices: &'static [&'static str],
}

/// Declares a field; keeps the tables of engines short.
pub const fn field(name: &'static str, kind: Kind, help: &'static str) -> Field {
    Field { name, kind, help, renamed: None, is_required: false, default: None, choices: &[] }
}

impl Field {
    /// The same field, as the old name of another.
    #[must_use]
    pub const fn renamed_to(mut self, name: &'static str) -> Self {
        self.renamed = Some(name);
        self
    }

    /// The same field, without which a request is refused.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    /// The same field, with what counts if it is not sent.
    #[must_use]
    pub const fn or(mut self, default: &'static str) -> Self {
        self.default = Some(default);
        self
    }

    /// The same field, with the only values that it takes.
    #[must_use]
    pub const fn one_of(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    /// What people should know of it besides its meaning; empty if there is nothing.
    pub(crate) fn remarks(&self) -> String {
        let mut remarks = Vec::new();
        if self.is_required {
            remarks.push("required".to_owned());
        }
        remarks.extend(self.default.filter(|default| !default.is_empty()).map(|default| format!("default {default}")));
        if !self.choices.is_empty() {
            remarks.push(format!("one of {}", self.choices.join(", ")));
        }
        remarks.extend(self.renamed.map(|name| format!("deprecated, use {name}")));
        remarks.join("; ")
    }

    /// Whether it is kept for old clients only.
    pub fn is_deprecated(&self) -> bool {
        self.renamed.is_some()
    }
}

impl Kind {
    /// Its name for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Name => "name",
            Self::LowerText | Self::PolicyName => "text, lowered",
            Self::MountPath => "path of a mount",
            Self::Int => "whole number",
            Self::Bool => "truth value",
            Self::Duration => "duration",
            Self::List => "list",
            Self::CommaList => "list, or comma text",
            Self::Names => "list of names",
            Self::CommaNames => "list of names, or comma text",
            Self::Map => "map",
            Self::KeyValues => "map of texts",
            Self::Any => "any JSON",
        }
    }

    /// The one spelling of a value that a path captured. The path is spelled so before policies are asked about it, so
    /// that what they see is what the handler uses.
    pub fn captured(self, value: &str) -> Cow<'_, str> {
        let bare = || value.strip_suffix('/').unwrap_or(value);
        match self {
            Self::LowerText => spelling::lower(value),
            Self::PolicyName => spelling::lower(bare()),
            Self::MountPath => Cow::Borrowed(bare()),
            _ => Cow::Borrowed(value),
        }
    }
}

/// The fields of one request, decoded. A field that was sent as `null` has the value that stands for nothing (an empty
/// text, 0, false, an empty list), as clients send it to reset a field; one that was not sent is absent.
#[derive(Default)]
pub struct Fields {
    values: Vec<(&'static str, Decoded)>,
    /// Names that were sent as `null`.
    nulls: Vec<&'static str>,
    /// What the client should know: parameters that were ignored or replaced.
    pub warnings: Vec<String>,
}

impl Fields {
    /// Decodes what was sent and what the path captured; the path wins.
    pub fn decode(
        fields: &[&[Field]],
        data: &Map<String, Value>,
        captures: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let find = |name: &str| fields.iter().copied().flatten().find(|field| field.name == name);
        let mut decoded = Self::default();
        let (mut ignored, mut replaced) = (Vec::new(), Vec::new());
        for (name, value) in data {
            if captures.iter().any(|(captured, _)| captured == name) {
                replaced.push(name.as_str());
            } else if let Some(field) = find(name) {
                if value.is_null() {
                    decoded.nulls.push(field.name);
                }
                decoded.values.push((field.name, decode(field, value)?));
            } else {
                ignored.push(name.as_str());
            }
        }
        for (name, value) in captures {
            let kind = find(name).map_or(Kind::Text, |field| field.kind);
            decoded.values.push((name, Decoded::Text(kind.captured(value).into_owned())));
        }
        decoded.warn("Endpoint ignored these unrecognized parameters", ignored);
        decoded.warn(
            "Endpoint replaced the value of these parameters with the values captured from the endpoint's path",
            replaced,
        );
        Ok(decoded)
    }

    fn warn(&mut self, text: &str, mut names: Vec<&str>) {
        if !names.is_empty() {
            names.sort_unstable();
            self.warnings.push(format!("{text}: [{}]", names.join(" ")));
        }
    }

    fn get(&self, name: &str) -> Option<&Decoded> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    /// Whether the field was sent, as `null` too.
    pub fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Whether the field was sent as `null`.
    pub fn is_null(&self, name: &str) -> bool {
        self.nulls.contains(&name)
    }

    /// A text, if it was sent.
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name) {
            Some(Decoded::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// A text; empty if it was not sent.
    pub fn text_or_empty(&self, name: &str) -> &str {
        self.text(name).unwrap_or("")
    }

    /// A whole number, if it was sent.
    pub fn int(&self, name: &str) -> Option<i64> {
        match self.get(name) {
            Some(Decoded::Int(number)) => Some(*number),
            _ => None,
        }
    }

    /// A truth value, if it was sent.
    pub fn bool(&self, name: &str) -> Option<bool> {
        match self.get(name) {
            Some(Decoded::Bool(value)) => Some(*value),
            _ => None,
        }
    }

    /// A truth value that is `default` where it was reset: `present` if it was not sent, the default if it is `null`.
    pub fn bool_or(&self, name: &str, present: bool, default: bool) -> bool {
        if self.is_null(name) { default } else { self.bool(name).unwrap_or(present) }
    }

    /// A duration, if it was sent.
    pub fn duration(&self, name: &str) -> Option<Duration> {
        match self.get(name) {
            Some(Decoded::Duration(duration)) => Some(*duration),
            _ => None,
        }
    }

    /// A list, if it was sent.
    pub fn list(&self, name: &str) -> Option<&[String]> {
        match self.get(name) {
            Some(Decoded::List(list)) => Some(list),
            _ => None,
        }
    }

    /// A map, if it was sent; of a [`Kind::KeyValues`] field every value is text.
    pub fn map(&self, name: &str) -> Option<&Map<String, Value>> {
        match self.get(name) {
            Some(Decoded::Map(map)) => Some(map),
            _ => None,
        }
    }

    /// The JSON value, if it was sent.
    pub fn any(&self, name: &str) -> Option<&Value> {
        match self.get(name) {
            Some(Decoded::Any(value)) => Some(value),
            _ => None,
        }
    }
}

fn decode(field: &Field, value: &Value) -> Result<Decoded, Error> {
    typing::decode(field.kind, value).ok_or_else(|| {
        let expected = match field.kind {
            Kind::Text | Kind::Name | Kind::LowerText | Kind::PolicyName | Kind::MountPath => "text",
            Kind::Int => "a whole number",
            Kind::Bool => "true or false",
            Kind::Duration => "a duration such as 30, \"90s\", \"1.5h\" or \"2d\", not negative and at most 292 years",
            Kind::List | Kind::CommaList | Kind::Names | Kind::CommaNames => "a list of texts",
            Kind::Map => "a map, within the limits of a body",
            Kind::KeyValues => "a map of texts",
            Kind::Any => "JSON",
        };
        let name = field.name;
        Error::invalid(format!(
            "Field validation failed: error converting input for field \"{name}\": expected {expected}"
        ))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_path_does_not_take_is_named() {
        let fields = [field("ttl", Kind::Duration, "")];
        let data = json!({"ttl": "1h", "zzz": 1, "aaa": 2, "name": "x"});
        let fields = Fields::decode(&[&fields], data.as_object().unwrap(), &[("name", "y")]).unwrap();
        assert_eq!(fields.text("name"), Some("y"));
        assert_eq!(fields.duration("ttl"), Some(Duration::from_secs(3600)));
        assert_eq!(fields.warnings[0], "Endpoint ignored these unrecognized parameters: [aaa zzz]");
    }

    #[test]
    fn what_people_should_know_of_a_field_is_said_in_one_place() {
        const PLAIN: Field = field("a", Kind::Text, "");
        assert_eq!(PLAIN.remarks(), "");
        assert_eq!(PLAIN.required().one_of(&["x", "y"]).remarks(), "required; one of x, y");
        assert_eq!(PLAIN.or("5").renamed_to("b").remarks(), "default 5; deprecated, use b");
    }

    #[test]
    fn null_resets_and_absence_does_not() {
        let fields = [field("on", Kind::Bool, ""), field("list", Kind::CommaList, ""), field("n", Kind::Int, "")];
        let data = json!({"on": null, "list": null});
        let fields = Fields::decode(&[&fields], data.as_object().unwrap(), &[]).unwrap();
        assert_eq!((fields.list("list"), fields.int("n")), (Some(&[][..]), None));
        assert!(fields.has("on") && fields.is_null("on") && !fields.has("n"));
        assert!(fields.bool_or("on", false, true));
        assert!(!fields.bool_or("off", false, true));
    }

    #[test]
    fn a_captured_name_has_one_spelling() {
        let cases = [
            (Kind::LowerText, "PROD", "prod"),
            (Kind::LowerText, "ǅ", "ǆ"),
            (Kind::PolicyName, "Team/Prod/", "team/prod"),
            (Kind::MountPath, "Vip/", "Vip"),
            (Kind::Text, "A/", "A/"),
        ];
        for (kind, raw, expected) in cases {
            assert_eq!(kind.captured(raw), expected);
            assert_eq!(kind.captured(expected), expected, "{kind:?} is not stable");
        }
    }
}
