//! The words and signs of HCL, as they stand in a file, with their lines.

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// A name, a number, a truth value.
    Word,
    /// A text in quotes, or from `<<END` to `END`.
    Text,
    Comment,
    /// `=`, or `:` as JSON writes it.
    Equals,
    Comma,
    Open(char),
    Close(char),
    LineBreak,
}

/// A piece of the file.
#[derive(Clone, Copy)]
pub(super) struct Lexeme<'a> {
    pub(super) kind: Kind,
    pub(super) text: &'a str,
    /// Where it begins, from 1.
    pub(super) line: usize,
}

impl Lexeme<'_> {
    /// The error for this token at this place.
    pub(super) fn unexpected(&self, expected: &str) -> String {
        let shown = if self.kind == Kind::LineBreak { "the end of the line" } else { self.text };
        format!("line {}: `{shown}` stands where {expected} is expected", self.line)
    }
}

/// Cuts a file into its tokens, or says in which line it has none.
pub(super) fn tokens(text: &str) -> Result<Vec<Lexeme<'_>>, String> {
    let (mut found, mut rest, mut line) = (Vec::new(), text, 1);
    while let Some(first) = rest.chars().next() {
        if first != '\n' && first.is_whitespace() {
            rest = &rest[first.len_utf8()..];
            continue;
        }
        let (kind, length) = first_token(rest, first).map_err(|reason| format!("line {line}: {reason}"))?;
        let text = &rest[..length];
        found.push(Lexeme { kind, text: text.trim_end(), line });
        line += text.matches('\n').count();
        rest = &rest[length..];
    }
    Ok(found)
}

/// What the rest begins with, and how many bytes of it that is.
fn first_token(rest: &str, first: char) -> Result<(Kind, usize), String> {
    let one = |kind| Ok((kind, 1));
    let line_length = || rest.find('\n').unwrap_or(rest.len());
    match first {
        '\n' => one(Kind::LineBreak),
        ',' => one(Kind::Comma),
        '=' | ':' => one(Kind::Equals),
        '{' | '[' => one(Kind::Open(first)),
        '}' | ']' => one(Kind::Close(first)),
        '#' => Ok((Kind::Comment, line_length())),
        '/' if rest.starts_with("//") => Ok((Kind::Comment, line_length())),
        '/' if rest.starts_with("/*") => match rest.find("*/") {
            Some(end) => Ok((Kind::Comment, end + 2)),
            None => Err("the comment is never closed".to_owned()),
        },
        '"' => quoted_length(rest).map(|length| (Kind::Text, length)),
        '<' if rest.starts_with("<<") => heredoc_length(rest).map(|length| (Kind::Text, length)),
        _ => match rest.find(|c: char| !c.is_alphanumeric() && !"_-.+".contains(c)).unwrap_or(rest.len()) {
            0 => Err(format!("`{first}` has no meaning here")),
            length => Ok((Kind::Word, length)),
        },
    }
}

fn quoted_length(rest: &str) -> Result<usize, String> {
    let mut is_escaped = false;
    for (at, character) in rest.char_indices().skip(1) {
        match character {
            '\n' => break,
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return Ok(at + 1),
            _ => {}
        }
    }
    Err("the text is never closed".to_owned())
}

/// Up to the line that holds nothing but the word behind `<<` or `<<-`.
fn heredoc_length(rest: &str) -> Result<usize, String> {
    let mut length = 0;
    let mut lines = rest.split_inclusive('\n');
    let head = lines.next().unwrap_or("");
    let end = head.trim_start_matches("<<").trim_start_matches('-').trim();
    length += head.len();
    for line in lines {
        if line.trim() == end && !end.is_empty() {
            return Ok(length + line.trim_end().len());
        }
        length += line.len();
    }
    Err("the text is never closed".to_owned())
}
