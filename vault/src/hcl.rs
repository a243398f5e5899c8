//! The documents that policies and configurations are written in: HCL in its first version, and JSON.
//!
//! It is not HCL 2, which other tools speak today: there are no expressions, so `${` and `%{` are plain text, a newline
//! is only a space, and a key may be quoted. What keys mean is for the caller. JSON is a document that begins with
//! a brace. `docs/decisions/0006-policy-parser.md` says why the parser is our own.
//!
//! Parsing takes time and memory proportional to the text, and recursion is bounded by [`MAX_HCL_DEPTH`].

mod lexer;

use serde_json::Number;

use crate::hcl::lexer::{Lexeme, LexemeKind, Lexer};
use crate::limits::MAX_HCL_DEPTH;

/// Why a text is no document. Lines and columns count from 1; a column is a number of characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: expected {expected}, found {found}")]
pub struct SyntaxError {
    /// Line of what was found.
    pub line: u32,
    /// Column of what was found.
    pub column: u32,
    /// What would have been right.
    pub expected: &'static str,
    /// What was there: a kind of token, or a short excerpt.
    pub found: String,
}

/// One entry of an object: `key = value`, `key { … }` or `key "label" { … }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Member {
    /// The key and its labels; never empty.
    pub keys: Vec<String>,
    /// What it is set to; an object if there are labels.
    pub value: Value,
    /// Line of the key, from 1.
    pub line: u32,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text, quoted or as a heredoc.
    Text(String),
    /// A number, with every digit it was written with.
    Number(Number),
    /// A truth value.
    Bool(bool),
    /// JSON's null.
    Null,
    /// A list.
    List(Vec<Value>),
    /// An object; a key may occur more than once, as blocks do.
    Object(Vec<Member>),
}

impl Value {
    /// What it is, for messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Bool(_) => "a truth value",
            Self::Null => "null",
            Self::List(_) => "a list",
            Self::Object(_) => "an object",
        }
    }

    /// The same as a JSON value; `None` if an object in it has labels or a key twice.
    pub fn to_json(&self) -> Option<serde_json::Value> {
        Some(match self {
            Self::Text(text) => serde_json::Value::String(text.clone()),
            Self::Number(number) => serde_json::Value::Number(number.clone()),
            Self::Bool(value) => serde_json::Value::Bool(*value),
            Self::Null => serde_json::Value::Null,
            Self::List(items) => serde_json::Value::Array(items.iter().map(Self::to_json).collect::<Option<_>>()?),
            Self::Object(members) => {
                let mut map = serde_json::Map::new();
                for member in members {
                    let [key] = member.keys.as_slice() else { return None };
                    if map.insert(key.clone(), member.value.to_json()?).is_some() {
                        return None;
                    }
                }
                serde_json::Value::Object(map)
            }
        })
    }
}

/// Parses a document into the entries of its outermost object. The caller bounds the size of the text.
pub fn parse(text: &str) -> Result<Vec<Member>, SyntaxError> {
    let mut parser = Parser::new(text)?;
    let members = if parser.token.kind == LexemeKind::OpenBrace {
        parser.advance()?;
        let members = parser.json_members()?;
        parser.take(LexemeKind::CloseBrace, "`,` or `}`")?;
        members
    } else {
        parser.members()?
    };
    match parser.token.kind {
        LexemeKind::End => Ok(members),
        _ => Err(parser.expected("a key or the end of the document")),
    }
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    /// The next token, not yet taken.
    token: Lexeme,
    depth: usize,
    /// Whether values follow JSON's rules; decided by the first token.
    json: bool,
}

impl<'a> Parser<'a> {
    fn new(text: &'a str) -> Result<Self, SyntaxError> {
        let mut lexer = Lexer::new(text);
        let token = lexer.next()?;
        let json = token.kind == LexemeKind::OpenBrace;
        Ok(Self { lexer, token, depth: 0, json })
    }

    fn advance(&mut self) -> Result<Lexeme, SyntaxError> {
        let next = self.lexer.next()?;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn take(&mut self, kind: LexemeKind, expected: &'static str) -> Result<Lexeme, SyntaxError> {
        if self.token.kind == kind { self.advance() } else { Err(self.expected(expected)) }
    }

    fn expected(&self, expected: &'static str) -> SyntaxError {
        SyntaxError { line: self.token.line, column: self.token.column, expected, found: self.token.kind.describe() }
    }

    /// HCL entries, until something that is no key. Commas between them are allowed and mean nothing.
    fn members(&mut self) -> Result<Vec<Member>, SyntaxError> {
        let mut members = Vec::new();
        while matches!(self.token.kind, LexemeKind::Word(_) | LexemeKind::Text(_)) {
            members.push(self.member()?);
            if self.token.kind == LexemeKind::Comma {
                self.advance()?;
            }
        }
        Ok(members)
    }

    fn member(&mut self) -> Result<Member, SyntaxError> {
        let line = self.token.line;
        let mut keys = Vec::new();
        while let LexemeKind::Word(key) | LexemeKind::Text(key) = &mut self.token.kind {
            keys.push(std::mem::take(key));
            self.advance()?;
        }
        let value = match self.token.kind {
            LexemeKind::OpenBrace => self.value()?,
            LexemeKind::Assign if keys.len() == 1 => {
                self.advance()?;
                self.value()?
            }
            LexemeKind::Assign => return Err(self.expected("`{` after a label")),
            _ if keys.len() == 1 => return Err(self.expected("`=`, `{` or a label after the key")),
            _ => return Err(self.expected("`{` after the labels")),
        };
        Ok(Member { keys, value, line })
    }

    fn json_members(&mut self) -> Result<Vec<Member>, SyntaxError> {
        let mut members = Vec::new();
        while let LexemeKind::Text(key) = &mut self.token.kind {
            let (keys, line) = (vec![std::mem::take(key)], self.token.line);
            self.advance()?;
            self.take(LexemeKind::Colon, "`:` after the key")?;
            members.push(Member { keys, value: self.value()?, line });
            if self.token.kind != LexemeKind::Comma {
                break;
            }
            self.advance()?;
        }
        Ok(members)
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        if self.depth == MAX_HCL_DEPTH {
            return Err(self.expected("at most 32 levels of nesting"));
        }
        self.depth += 1;
        let value = match &mut self.token.kind {
            LexemeKind::OpenBrace => self.object()?,
            LexemeKind::OpenBracket => self.list()?,
            _ => self.scalar()?,
        };
        self.depth -= 1;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, SyntaxError> {
        self.advance()?;
        let members = if self.json { self.json_members()? } else { self.members()? };
        self.take(LexemeKind::CloseBrace, if self.json { "`,` or `}`" } else { "a key or `}`" })?;
        Ok(Value::Object(members))
    }

    fn list(&mut self) -> Result<Value, SyntaxError> {
        self.advance()?;
        let mut items = Vec::new();
        while self.token.kind != LexemeKind::CloseBracket {
            items.push(self.value()?);
            if self.token.kind != LexemeKind::Comma {
                break;
            }
            self.advance()?;
        }
        self.take(LexemeKind::CloseBracket, "`,` or `]`")?;
        Ok(Value::List(items))
    }

    fn scalar(&mut self) -> Result<Value, SyntaxError> {
        let value = match &mut self.token.kind {
            LexemeKind::Text(text) => Value::Text(std::mem::take(text)),
            LexemeKind::Number(number) => Value::Number(number.clone()),
            LexemeKind::Word(word) => match word.as_str() {
                "true" => Value::Bool(true),
                "false" => Value::Bool(false),
                "null" if self.json => Value::Null,
                _ => return Err(self.expected("a value: a quoted text, a number, true, false, a list or an object")),
            },
            _ => return Err(self.expected("a value")),
        };
        self.advance()?;
        Ok(value)
    }
}

#[cfg(test)]
mod tests;
