//! `{{identity.…}}` in the path of a block: filled in from the entity behind a request.
//!
//! It is no template language: there is a closed list of names, no functions, and a value is inserted only if it can
//! stand for nothing but itself. A block whose template cannot be filled in does not exist for that request; but a deny whose
//! value is there and unsafe denies all that it could have been about, so that nobody gets rid of it by their own metadata.

use std::collections::BTreeMap;

/// Somebody whom templates are about.
pub(crate) trait Subject {
    /// Adds what stands for everything that templates may find out about them, so that two of whom it is the same are the
    /// same to every template.
    fn fingerprint(&self, key: &mut Vec<u8>);

    /// What templates may refer to.
    fn values(&self) -> TemplateValues;
}

/// What templates of one request may refer to. Without an entity no template resolves.
#[derive(Clone, Default)]
pub struct TemplateValues {
    /// The request's entity.
    pub entity: Option<EntityValues>,
    /// All groups that the entity is in, directly or not.
    pub groups: Vec<GroupValues>,
}

/// An entity as templates see it.
#[derive(Clone, Default)]
pub struct EntityValues {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
    /// By accessor of the mount. If an entity has several on one mount, only the one that logged in belongs here.
    pub aliases: BTreeMap<String, AliasValues>,
}

/// An alias as templates see it.
#[derive(Clone, Default)]
pub struct AliasValues {
    /// Its id.
    pub id: String,
    /// Its name, which the auth method gave.
    pub name: String,
    /// What the auth method knows of the user.
    pub metadata: BTreeMap<String, String>,
    /// What an operator noted about the alias.
    pub custom_metadata: BTreeMap<String, String>,
}

/// A group as templates see it.
#[derive(Clone, Default)]
pub struct GroupValues {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Why a text is no template.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TemplateError {
    /// `{{` without `}}`, or the reverse.
    #[error("a template is not closed; write {{{{name}}}}")]
    Unbalanced,
    /// A name that no entity has.
    #[error(
        "unknown template {{{{{0}}}}}; known are identity.entity.{{id,name,metadata.KEY}}, \
         identity.entity.aliases.ACCESSOR.{{id,name,metadata.KEY,custom_metadata.KEY}}, \
         identity.groups.ids.ID.{{name,metadata.KEY}} and identity.groups.names.NAME.{{id,metadata.KEY}}"
    )]
    Unknown(String),
}

/// Why a template was not filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfilled {
    /// There is no such value, or no entity at all.
    Missing,
    /// The value is empty or holds `/`, `+`, `*`, `%`, `..`, braces, a backslash or a control character.
    Unsafe,
}

/// A path with templates in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Reference(Reference),
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Reference {
    Entity(Attribute),
    Alias { accessor: String, attribute: Attribute },
    GroupById { id: String, attribute: Attribute },
    GroupByName { name: String, attribute: Attribute },
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Attribute {
    Id,
    Name,
    Metadata(String),
    CustomMetadata(String),
}

/// Longest excerpt of an unknown name in a message, in characters.
const EXCERPT_CHARS: usize = 64;

impl Template {
    /// Parses a text; `None` if there is no template in it.
    pub(crate) fn parse(text: &str) -> Result<Option<Self>, TemplateError> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((literal, behind)) = rest.split_once("{{") {
            let (name, behind) = behind.split_once("}}").ok_or(TemplateError::Unbalanced)?;
            let name = name.trim();
            let unknown = || TemplateError::Unknown(name.chars().take(EXCERPT_CHARS).collect());
            parts.push(Part::Literal(literal.to_owned()));
            parts.push(Part::Reference(Reference::parse(name).ok_or_else(unknown)?));
            rest = behind;
        }
        parts.push(Part::Literal(rest.to_owned()));
        let is_open = |part: &Part| matches!(part, Part::Literal(literal) if literal.contains("}}"));
        if parts.iter().any(is_open) {
            return Err(TemplateError::Unbalanced);
        }
        Ok((parts.len() > 1).then(|| Self { text: text.to_owned(), parts }))
    }

    /// The path as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Every path that it could be filled in to: what stands before its first name, and whatever follows.
    pub(crate) fn cover(&self) -> String {
        let before = self.parts.iter().map_while(|part| match part {
            Part::Literal(literal) => Some(literal.as_str()),
            Part::Reference(_) => None,
        });
        before.chain(["*"]).collect()
    }

    /// Fills in every name.
    pub(crate) fn fill(&self, values: &TemplateValues) -> Result<String, Unfilled> {
        let mut filled = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(literal) => filled.push_str(literal),
                Part::Reference(name) => {
                    let value = name.find(values).ok_or(Unfilled::Missing)?;
                    if !is_harmless(value) {
                        return Err(Unfilled::Unsafe);
                    }
                    filled.push_str(value);
                }
            }
        }
        Ok(filled)
    }
}

/// Whether a value can only be (part of) one literal segment.
fn is_harmless(value: &str) -> bool {
    let is_special = |c: char| matches!(c, '/' | '+' | '*' | '%' | '\\' | '{' | '}') || c.is_control();
    !value.is_empty() && value != "." && !value.contains("..") && !value.contains(is_special)
}

impl Reference {
    fn parse(text: &str) -> Option<Self> {
        let text = text.strip_prefix("identity.")?;
        if let Some(rest) = text.strip_prefix("entity.aliases.") {
            let (accessor, rest) = rest.split_once('.')?;
            return Some(Self::Alias { accessor: accessor.to_owned(), attribute: Attribute::parse(rest, true)? });
        }
        if let Some(rest) = text.strip_prefix("entity.") {
            return Some(Self::Entity(Attribute::parse(rest, false)?));
        }
        if let Some(rest) = text.strip_prefix("groups.ids.") {
            let (id, rest) = rest.split_once('.')?;
            return Some(Self::GroupById { id: id.to_owned(), attribute: Attribute::parse(rest, false)? });
        }
        let (name, attribute) = group_name(text.strip_prefix("groups.names.")?)?;
        Some(Self::GroupByName { name: name.to_owned(), attribute })
    }

    fn find<'v>(&self, values: &'v TemplateValues) -> Option<&'v str> {
        let entity = values.entity.as_ref()?;
        match self {
            Self::Entity(attribute) => attribute.of(&entity.id, &entity.name, &entity.metadata, None),
            Self::Alias { accessor, attribute } => {
                let alias = entity.aliases.get(accessor)?;
                attribute.of(&alias.id, &alias.name, &alias.metadata, Some(&alias.custom_metadata))
            }
            Self::GroupById { id, attribute } => {
                attribute.of_group(values.groups.iter().find(|group| group.id == *id)?)
            }
            Self::GroupByName { name, attribute } => {
                attribute.of_group(values.groups.iter().find(|group| group.name == *name)?)
            }
        }
    }
}

/// Splits `NAME.id`, `NAME.name` and `NAME.metadata.KEY`; the name may hold dots.
fn group_name(text: &str) -> Option<(&str, Attribute)> {
    let (name, attribute) = match text.split_once(".metadata.") {
        Some((name, key)) => (name, Attribute::Metadata(key.to_owned())),
        None => match text.rsplit_once('.')? {
            (name, "id") => (name, Attribute::Id),
            (name, "name") => (name, Attribute::Name),
            _ => return None,
        },
    };
    (!name.is_empty()).then_some((name, attribute))
}

impl Attribute {
    /// What follows the thing; the key of metadata is all of the rest and may hold dots.
    fn parse(text: &str, is_alias: bool) -> Option<Self> {
        Some(match text {
            "id" => Self::Id,
            "name" => Self::Name,
            _ => match text.split_once('.')? {
                (_, "") => return None,
                ("metadata", key) => Self::Metadata(key.to_owned()),
                ("custom_metadata", key) if is_alias => Self::CustomMetadata(key.to_owned()),
                _ => return None,
            },
        })
    }

    fn of<'v>(
        &self,
        id: &'v str,
        name: &'v str,
        metadata: &'v BTreeMap<String, String>,
        custom: Option<&'v BTreeMap<String, String>>,
    ) -> Option<&'v str> {
        match self {
            Self::Id => Some(id),
            Self::Name => Some(name),
            Self::Metadata(key) => metadata.get(key).map(String::as_str),
            Self::CustomMetadata(key) => custom?.get(key).map(String::as_str),
        }
    }

    fn of_group<'v>(&self, group: &'v GroupValues) -> Option<&'v str> {
        self.of(&group.id, &group.name, &group.metadata, None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(entries: &[(&str, &str)]) -> BTreeMap<String, String> {
        entries.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn values() -> TemplateValues {
        let alias = AliasValues {
            id: "alias-1".into(),
            name: "ann".into(),
            metadata: map(&[("org", "o1")]),
            custom_metadata: map(&[("zone", "north")]),
        };
        let metadata = map(&[
            ("team", "red"),
            ("a.b", "dotted"),
            ("empty", ""),
            ("slash", "a/b"),
            ("encoded", "a%2fb"),
            ("up", ".."),
        ]);
        let entity = EntityValues {
            id: "e-1".into(),
            name: "e-ann".into(),
            metadata,
            aliases: [("acc_1".to_owned(), alias)].into(),
        };
        let group = GroupValues { id: "g-1".into(), name: "crew.one".into(), metadata: map(&[("floor", "3")]) };
        TemplateValues { entity: Some(entity), groups: vec![group] }
    }

    fn fill(text: &str, values: &TemplateValues) -> Result<String, Unfilled> {
        Template::parse(text).unwrap().unwrap().fill(values)
    }

    #[test]
    fn every_name_resolves() {
        for (text, expected) in [
            ("a/{{identity.entity.id}}/{{ identity.entity.name }}/*", "a/e-1/e-ann/*"),
            ("{{identity.entity.metadata.team}}", "red"),
            ("{{identity.entity.metadata.a.b}}", "dotted"),
            ("{{identity.entity.aliases.acc_1.id}}-{{identity.entity.aliases.acc_1.name}}", "alias-1-ann"),
            ("{{identity.entity.aliases.acc_1.metadata.org}}", "o1"),
            ("{{identity.entity.aliases.acc_1.custom_metadata.zone}}", "north"),
            ("{{identity.groups.ids.g-1.name}}", "crew.one"),
            ("{{identity.groups.names.crew.one.id}}", "g-1"),
            ("{{identity.groups.names.crew.one.metadata.floor}}", "3"),
        ] {
            assert_eq!(fill(text, &values()).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_is_missing_or_unsafe_fills_nothing() {
        // check 52
        for (key, expected) in [
            ("absent", Unfilled::Missing),
            ("empty", Unfilled::Unsafe),
            ("slash", Unfilled::Unsafe),
            ("encoded", Unfilled::Unsafe),
            ("up", Unfilled::Unsafe),
        ] {
            assert_eq!(fill(&format!("{{{{identity.entity.metadata.{key}}}}}"), &values()), Err(expected), "{key}");
        }
        for text in ["{{identity.entity.id}}", "{{identity.groups.ids.g-1.name}}"] {
            let without_entity = TemplateValues { entity: None, ..values() };
            assert_eq!(fill(text, &without_entity), Err(Unfilled::Missing));
        }
    }

    #[test]
    fn wildcards_and_controls_in_a_value_are_unsafe() {
        // check 52
        for value in ["*", "a*", "+", "a+b", "a\\b", "a\0b", ".", "a..b", "{{identity.entity.id}}", "50%", "\u{7f}"] {
            assert!(!is_harmless(value), "{value:?}");
        }
        assert!(is_harmless("ann.lee@example.com"));
    }

    #[test]
    fn a_wrong_template_is_refused() {
        for text in ["{{identity.entity.id", "identity}}", "{{identity.entity.id}}}}"] {
            assert_eq!(Template::parse(text), Err(TemplateError::Unbalanced), "{text}");
        }
        for name in [
            "",
            "time.now",
            "identity.entity",
            "identity.entity.metadata",
            "identity.entity.metadata.",
            "identity.entity.custom_metadata.k",
            "identity.entity.aliases.acc",
            "identity.groups.names.n",
            "identity.entity.aliases.acc.other",
        ] {
            let found = Template::parse(&format!("{{{{{name}}}}}"));
            assert_eq!(found, Err(TemplateError::Unknown(name.to_owned())));
        }
        assert_eq!(Template::parse("a/{b}/${c}"), Ok(None));
    }
}
