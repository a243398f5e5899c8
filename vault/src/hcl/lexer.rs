//! From text to tokens. Comments (`#`, `//`, `/* */`) and white space vanish here.

use serde_json::Number;

use crate::hcl::SyntaxError;

/// Longest excerpt of the text in a message, in characters.
const EXCERPT_CHARS: usize = 24;

/// One token and where it begins.
pub(super) struct Lexeme {
    pub(super) kind: LexemeKind,
    pub(super) line: u32,
    pub(super) column: u32,
}

#[derive(PartialEq)]
pub(super) enum LexemeKind {
    Word(String),
    Text(String),
    Number(Number),
    OpenBrace,
    CloseBrace,
    OpenBracket,
    CloseBracket,
    Assign,
    Colon,
    Comma,
    End,
}

impl LexemeKind {
    /// What it is, for messages.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Word(word) => format!("the word `{}`", excerpt(word)),
            Self::Text(_) => "a quoted text".to_owned(),
            Self::Number(_) => "a number".to_owned(),
            Self::OpenBrace => "`{`".to_owned(),
            Self::CloseBrace => "`}`".to_owned(),
            Self::OpenBracket => "`[`".to_owned(),
            Self::CloseBracket => "`]`".to_owned(),
            Self::Assign => "`=`".to_owned(),
            Self::Colon => "`:`".to_owned(),
            Self::Comma => "`,`".to_owned(),
            Self::End => "the end of the document".to_owned(),
        }
    }
}

fn excerpt(text: &str) -> String {
    text.chars().take(EXCERPT_CHARS).collect()
}

pub(super) struct Lexer<'a> {
    /// What is not read yet.
    rest: &'a str,
    line: u32,
    column: u32,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        Self { rest: text.strip_prefix('\u{feff}').unwrap_or(text), line: 1, column: 1 }
    }

    /// The next token; [`LexemeKind::End`] at the end, as often as asked.
    pub(super) fn next(&mut self) -> Result<Lexeme, SyntaxError> {
        self.skip_blank()?;
        let (line, column) = (self.line, self.column);
        let Some(first) = self.rest.chars().next() else {
            return Ok(Lexeme { kind: LexemeKind::End, line, column });
        };
        let kind = match first {
            '"' => LexemeKind::Text(self.quoted()?),
            '<' if self.rest.starts_with("<<") => LexemeKind::Text(self.heredoc()?),
            '-' | '0'..='9' => LexemeKind::Number(self.number()?),
            c if c.is_alphabetic() || c == '_' => {
                LexemeKind::Word(self.take_while(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.')).to_owned())
            }
            c => self.mark(c)?,
        };
        Ok(Lexeme { kind, line, column })
    }

    fn mark(&mut self, c: char) -> Result<LexemeKind, SyntaxError> {
        let kind = match c {
            '{' => LexemeKind::OpenBrace,
            '}' => LexemeKind::CloseBrace,
            '[' => LexemeKind::OpenBracket,
            ']' => LexemeKind::CloseBracket,
            '=' => LexemeKind::Assign,
            ':' => LexemeKind::Colon,
            ',' => LexemeKind::Comma,
            _ => return Err(self.error("a key, a value or one of `{}[]=,`", format!("the character {c:?}"))),
        };
        self.bump();
        Ok(kind)
    }

    fn error(&self, expected: &'static str, found: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, column: self.column, expected, found: found.into() }
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        if c == '\n' {
            self.line += 1;
            self.column = 1;
        } else {
            self.column += 1;
        }
        Some(c)
    }

    fn take_while(&mut self, accept: impl Fn(char) -> bool) -> &'a str {
        let before = self.rest;
        while self.rest.chars().next().is_some_and(&accept) {
            self.bump();
        }
        &before[..before.len() - self.rest.len()]
    }

    fn skip_blank(&mut self) -> Result<(), SyntaxError> {
        loop {
            self.take_while(|c| matches!(c, ' ' | '\t' | '\r' | '\n'));
            if self.rest.starts_with('#') || self.rest.starts_with("//") {
                self.take_while(|c| c != '\n');
            } else if self.rest.starts_with("/*") {
                self.skip_comment()?;
            } else {
                return Ok(());
            }
        }
    }

    fn skip_comment(&mut self) -> Result<(), SyntaxError> {
        let unclosed = self.error("`*/` at the end of the comment that begins here", "the end of the document");
        let length = self.rest[2..].find("*/").ok_or(unclosed)? + 4;
        let target = self.rest.len() - length;
        while self.rest.len() > target {
            self.bump();
        }
        Ok(())
    }

    /// A number as JSON writes it (RFC 8259, section 6). HCL's hexadecimal and octal forms are refused, so that no two
    /// readers see different numbers.
    fn number(&mut self) -> Result<Number, SyntaxError> {
        let mut start = self.error("a decimal number", "");
        let text = self.take_while(|c| c.is_alphanumeric() || matches!(c, '+' | '-' | '.' | '_'));
        serde_json::from_str(text).map_err(|_| {
            start.found = format!("`{}`", excerpt(text));
            start
        })
    }

    fn quoted(&mut self) -> Result<String, SyntaxError> {
        let unclosed =
            self.error("a `\"` at the end of the text that begins here, on the same line", "the end of the line");
        self.bump();
        let mut text = String::new();
        loop {
            text.push_str(self.take_while(|c| !matches!(c, '"' | '\\' | '\n')));
            match self.rest.chars().next() {
                Some('"') => {
                    self.bump();
                    return Ok(text);
                }
                Some('\\') => text.push(self.escape()?),
                _ => return Err(unclosed),
            }
        }
    }

    fn escape(&mut self) -> Result<char, SyntaxError> {
        let wrong = self
            .error("one of the escapes \\\" \\\\ \\/ \\a \\b \\f \\n \\r \\t \\v \\xHH \\uHHHH \\UHHHHHHHH", "another");
        self.bump();
        let code = match self.bump().ok_or_else(|| wrong.clone())? {
            c @ ('"' | '\\' | '/') => return Ok(c),
            'a' => 0x07,
            'b' => 0x08,
            'f' => 0x0c,
            'n' => 0x0a,
            'r' => 0x0d,
            't' => 0x09,
            'v' => 0x0b,
            'x' => self.hex(2).filter(|code| *code < 0x80).ok_or_else(|| wrong.clone())?,
            'u' => self.utf16().ok_or_else(|| wrong.clone())?,
            'U' => self.hex(8).ok_or_else(|| wrong.clone())?,
            _ => return Err(wrong),
        };
        char::from_u32(code).ok_or(wrong)
    }

    fn hex(&mut self, digits: usize) -> Option<u32> {
        let mut code = 0u32;
        for _ in 0..digits {
            code = code.checked_mul(16)? + self.bump()?.to_digit(16)?;
        }
        Some(code)
    }

    /// Four digits, or two times four that make a surrogate pair (RFC 8259, section 7).
    fn utf16(&mut self) -> Option<u32> {
        let high = self.hex(4)?;
        if !(0xd800..0xdc00).contains(&high) {
            return Some(high);
        }
        let (Some('\\'), Some('u')) = (self.bump(), self.bump()) else { return None };
        let low = self.hex(4).filter(|low| (0xdc00..0xe000).contains(low))?;
        Some(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00))
    }

    /// `<<WORD`, lines, and a line that holds only the word. With `<<-`, the smallest indentation is cut off.
    fn heredoc(&mut self) -> Result<String, SyntaxError> {
        let unclosed =
            self.error("a line with the word that ends the text which begins here", "the end of the document");
        self.bump();
        self.bump();
        let cut = self.rest.starts_with('-');
        if cut {
            self.bump();
        }
        let word = self.take_while(|c| c.is_alphanumeric() || c == '_');
        self.take_while(|c| c == '\r');
        if word.is_empty() || self.bump() != Some('\n') {
            return Err(self.error("a word and a new line after `<<`", "something else"));
        }
        let mut lines = Vec::new();
        loop {
            let line = self.take_while(|c| c != '\n');
            if line.trim() == word {
                break;
            }
            self.bump().ok_or_else(|| unclosed.clone())?;
            lines.push(line);
        }
        let indentation = |line: &&str| line.len() - line.trim_start_matches([' ', '\t']).len();
        let cut = if cut { lines.iter().map(indentation).min().unwrap_or(0) } else { 0 };
        Ok(lines.iter().flat_map(|line| [&line[cut..], "\n"]).collect())
    }
}
