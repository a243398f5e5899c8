//! The layout of a policy file: one statement a line, two spaces for each open bracket, equal signs below each other.
//!
//! It is not the reader of policies: it knows how HCL is written, not which words a policy may hold, and so keeps
//! comments and texts as they are. What cannot be HCL is refused, with its line.

mod tokens;

use tokens::{Kind, Lexeme, tokens};

/// One line of the result, with how deep it stands.
enum Line {
    Blank,
    Plain(usize, String),
    /// A name and its value, on one line.
    Setting(usize, String, String),
}

/// Lays a file out, or says in which line it is no HCL.
pub(super) fn laid_out(text: &str) -> Result<String, String> {
    let mut writer = Writer { tokens: tokens(text)?, at: 0, lines: Vec::new() };
    writer.body(0, None)?;
    Ok(rendered(&writer.lines))
}

struct Writer<'a> {
    tokens: Vec<Lexeme<'a>>,
    at: usize,
    lines: Vec<Line>,
}

impl<'a> Writer<'a> {
    /// Statements up to the bracket that closes the one in line `opened`, or up to the end.
    fn body(&mut self, depth: usize, opened: Option<usize>) -> Result<(), String> {
        let first = self.lines.len();
        loop {
            let line_breaks = self.line_breaks();
            let Some(token) = self.peek() else {
                return opened.map_or(Ok(()), |line| Err(never_closed(line, '{')));
            };
            if token.kind == Kind::Close('}') && opened.is_some() {
                self.at += 1;
                return Ok(());
            }
            if line_breaks > 1 && self.lines.len() > first {
                self.lines.push(Line::Blank);
            }
            match token.kind {
                Kind::Comma => self.at += 1,
                Kind::Comment => self.comment(depth, token, line_breaks == 0),
                Kind::Word | Kind::Text => self.statement(depth)?,
                _ => return Err(token.unexpected("a name")),
            }
        }
    }

    /// A comment on a line of its own, or behind what stands before it.
    fn comment(&mut self, depth: usize, comment: Lexeme<'a>, is_behind: bool) {
        self.at += 1;
        match self.lines.last_mut().filter(|_| is_behind) {
            Some(Line::Plain(_, text) | Line::Setting(_, _, text)) => {
                text.push(' ');
                text.push_str(comment.text);
            }
            _ => self.lines.push(Line::Plain(depth, comment.text.to_owned())),
        }
    }

    /// `name = value`, or `name "label" { ... }`.
    fn statement(&mut self, depth: usize) -> Result<(), String> {
        let mut name = String::new();
        while let Some(token) = self.peek().filter(|token| matches!(token.kind, Kind::Word | Kind::Text)) {
            if !name.is_empty() {
                name.push(' ');
            }
            name.push_str(token.text);
            self.at += 1;
        }
        let next = self.next("`=` or `{`")?;
        match next.kind {
            Kind::Equals => self.value(depth, name),
            Kind::Open('{') => self.block(depth, &name, next.line),
            _ => Err(next.unexpected("`=` or `{`")),
        }
    }

    fn value(&mut self, depth: usize, name: String) -> Result<(), String> {
        self.line_breaks();
        let value = self.next("a value")?;
        match value.kind {
            Kind::Word | Kind::Text => self.lines.push(Line::Setting(depth, name, value.text.to_owned())),
            Kind::Open('{') => self.block(depth, &format!("{name} ="), value.line)?,
            Kind::Open(_) => self.list(depth, name, value.line)?,
            _ => return Err(value.unexpected("a value")),
        }
        Ok(())
    }

    fn block(&mut self, depth: usize, head: &str, line: usize) -> Result<(), String> {
        let open = format!("{head} {{");
        self.lines.push(Line::Plain(depth, open.clone()));
        self.body(depth + 1, Some(line))?;
        match self.lines.last_mut() {
            // Nothing came, not even a comment behind the bracket.
            Some(Line::Plain(_, text)) if *text == open => text.push('}'),
            _ => self.lines.push(Line::Plain(depth, "}".to_owned())),
        }
        Ok(())
    }

    /// A list stays on one line if it was written on one.
    fn list(&mut self, depth: usize, name: String, line: usize) -> Result<(), String> {
        let (mut items, mut is_long, mut needs_comma) = (Vec::<Line>::new(), false, false);
        loop {
            is_long |= self.line_breaks() > 0;
            let token = self.peek().ok_or_else(|| never_closed(line, '['))?;
            self.at += 1;
            match token.kind {
                Kind::Close(']') => break,
                Kind::Comma if needs_comma => needs_comma = false,
                Kind::Comment => {
                    is_long = true;
                    items.push(Line::Plain(depth + 1, token.text.to_owned()));
                }
                Kind::Word | Kind::Text if !needs_comma => {
                    needs_comma = true;
                    items.push(Line::Setting(depth + 1, token.text.to_owned(), String::new()));
                }
                _ => return Err(token.unexpected(if needs_comma { "`,` or `]`" } else { "a text or `]`" })),
            }
        }
        if !is_long || items.is_empty() {
            let words: Vec<String> = items.into_iter().filter_map(word).collect();
            self.lines.push(Line::Setting(depth, name, format!("[{}]", words.join(", "))));
            return Ok(());
        }
        self.lines.push(Line::Plain(depth, format!("{name} = [")));
        self.lines.extend(items.into_iter().map(|item| match item {
            Line::Setting(depth, word, _) => Line::Plain(depth, word + ","),
            other => other,
        }));
        self.lines.push(Line::Plain(depth, "]".to_owned()));
        Ok(())
    }

    fn peek(&self) -> Option<Lexeme<'a>> {
        self.tokens.get(self.at).copied()
    }

    fn next(&mut self, expected: &str) -> Result<Lexeme<'a>, String> {
        let last = self.tokens.last().map_or(1, |token| token.line);
        let token = self.peek().ok_or_else(|| format!("line {last}: {expected} is missing at the end"))?;
        self.at += 1;
        Ok(token)
    }

    /// Skips line breaks and says how many there were.
    fn line_breaks(&mut self) -> usize {
        let before = self.at;
        while self.peek().is_some_and(|token| token.kind == Kind::LineBreak) {
            self.at += 1;
        }
        self.at - before
    }
}

fn word(item: Line) -> Option<String> {
    match item {
        Line::Setting(_, word, _) => Some(word),
        _ => None,
    }
}

fn never_closed(line: usize, bracket: char) -> String {
    format!("line {line}: the `{bracket}` is never closed")
}

/// Settings that follow each other have their equal signs below each other.
fn rendered(lines: &[Line]) -> String {
    let mut text = String::new();
    let mut width = 0;
    for (number, line) in lines.iter().enumerate() {
        match line {
            Line::Blank => {}
            Line::Plain(depth, plain) => text.push_str(&format!("{}{plain}", "  ".repeat(*depth))),
            Line::Setting(depth, name, value) => {
                if number == 0 || !matches!(lines[number - 1], Line::Setting(..)) {
                    width = run_width(&lines[number..]);
                }
                text.push_str(&format!("{}{name:<width$} = {value}", "  ".repeat(*depth)));
            }
        }
        text.push('\n');
    }
    text
}

/// The longest name among the settings that begin here without a gap.
fn run_width(lines: &[Line]) -> usize {
    let names = lines.iter().map_while(|line| match line {
        Line::Setting(_, name, _) => Some(name.chars().count()),
        _ => None,
    });
    names.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(written: &str, expected: &str) {
        assert_eq!(laid_out(written).as_deref(), Ok(expected));
        assert_eq!(laid_out(expected).as_deref(), Ok(expected), "what is laid out stays as it is");
    }

    #[test]
    fn a_block_on_one_line_is_unfolded() {
        check(
            "path \"a\" { capabilities=[\"create\",\"read\"] }",
            "path \"a\" {\n  capabilities = [\"create\", \"read\"]\n}\n",
        );
    }

    #[test]
    fn a_list_over_several_lines_stays_long() {
        check(
            "path \"a/{{x}}\" {\n      capabilities = [\n\"read\",  # why\n \"list\" ]\n}\n\n\n",
            "path \"a/{{x}}\" {\n  capabilities = [\n    \"read\",\n    # why\n    \"list\",\n  ]\n}\n",
        );
    }

    #[test]
    fn equal_signs_stand_below_each_other() {
        check(
            "path \"a\" {\ncapabilities = [\"read\"]\nmin_wrapping_ttl = \"1s\"\n}",
            "path \"a\" {\n  capabilities     = [\"read\"]\n  min_wrapping_ttl = \"1s\"\n}\n",
        );
    }

    #[test]
    fn comments_and_blank_lines_between_statements_are_kept() {
        check(
            "# head\n\n\n\npath \"a\" {} // behind\n/* two\nlines */\npath \"b\" { # here\n}\n",
            "# head\n\npath \"a\" {} // behind\n/* two\nlines */\npath \"b\" { # here\n}\n",
        );
    }

    #[test]
    fn objects_are_unfolded_too() {
        check(
            "path \"a\" { allowed_parameters = { \"*\" = [] } }",
            "path \"a\" {\n  allowed_parameters = {\n    \"*\" = []\n  }\n}\n",
        );
    }

    #[test]
    fn what_is_no_hcl_is_refused_with_its_line() {
        for (text, reason) in [
            ("path \"a\" {", "line 1: the `{` is never closed"),
            ("path \"a\" {\n}\n}", "line 3: `}` stands where a name is expected"),
            ("path \"a {\n}", "line 1: the text is never closed"),
            ("path \"a\"", "line 1: `=` or `{` is missing at the end"),
            ("a = [\"x\" \"y\"]", "line 1: `\"y\"` stands where `,` or `]` is expected"),
            ("a = [\"x\"", "line 1: the `[` is never closed"),
            ("a = ;", "line 1: `;` has no meaning here"),
        ] {
            assert_eq!(laid_out(text), Err(reason.to_owned()), "{text}");
        }
    }
}
