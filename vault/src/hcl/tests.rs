use super::*;
use crate::limits::MAX_HCL_DEPTH;

/// A document in one line: keys joined with a dot, so that a test can compare the whole.
fn shown(text: &str) -> String {
    match parse(text) {
        Ok(members) => object(&members),
        Err(error) => format!("ERROR {error}"),
    }
}

fn object(members: &[Member]) -> String {
    members
        .iter()
        .map(|member| format!("{}={}", member.keys.join("."), value(&member.value)))
        .collect::<Vec<_>>()
        .join(" ")
}

fn value(shown: &Value) -> String {
    match shown {
        Value::Text(text) => format!("{text:?}"),
        Value::Number(number) => number.to_string(),
        Value::Bool(value) => value.to_string(),
        Value::Null => "null".to_owned(),
        Value::List(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(" ")),
        Value::Object(members) => format!("{{{}}}", object(members)),
    }
}

fn check(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        assert_eq!(shown(text), *expected, "{text}");
    }
}

#[test]
fn every_way_to_write_an_entry_is_understood() {
    check(&[
        ("", ""),
        ("# only\n// comments\n/* of\nthree kinds */", ""),
        ("\u{feff}a = 1", "a=1"),
        ("a = 1 b = 2, c = 3", "a=1 b=2 c=3"),
        ("a = [1, \"x\", true,]", "a=[1 \"x\" true]"),
        ("path \"a\" { b = [] c { \"*\" = [] } }", "path.a={b=[] c={*=[]}}"),
        ("\"path\" \"a\" {} path = { \"b\" = {} }", "path.a={} path={b={}}"),
        ("a = { b = { c = \"d\" }, e = 1 }", "a={b={c=\"d\"} e=1}"),
        ("a=-1.50 b=false", "a=-1.50 b=false"),
    ]);
}

#[test]
fn json_is_a_document_that_begins_with_a_brace() {
    check(&[
        ("{}", ""),
        (
            "{\"path\":{\"c/*\":{\"capabilities\":[\"read\"],\"x\":null}}}",
            "path={c/*={capabilities=[\"read\"] x=null}}",
        ),
        ("{\"a\": \"\\u00fc\\ud83d\\ude00\\/\"}", "a=\"ü😀/\""),
        ("{\"a\" 1}", "ERROR line 1, column 6: expected `:` after the key, found a number"),
        ("{\"a\":1 \"b\":2}", "ERROR line 1, column 8: expected `,` or `}`, found a quoted text"),
        ("{} x", "ERROR line 1, column 4: expected a key or the end of the document, found the word `x`"),
    ]);
}

#[test]
fn text_is_literal_but_for_its_escapes() {
    check(&[
        (r#"a = "${b} %{c} {{d}} ${""#, r#"a="${b} %{c} {{d}} ${""#),
        (r#"a = "\"\\\t\x41\u00e9""#, "a=\"\\\"\\\\\\tAé\""),
        ("a = <<EOF\n  one\n two\nEOF\nb = 1", "a=\"  one\\n two\\n\" b=1"),
        ("a = <<-EOF\n  one\n   two\n  EOF", "a=\"one\\n two\\n\""),
        ("a = <<EOF\nEOF", "a=\"\""),
    ]);
}

#[test]
fn an_error_says_where_and_what_was_expected() {
    check(&[
        ("path \"a\" {", "ERROR line 1, column 11: expected a key or `}`, found the end of the document"),
        ("path \"a\"\n= 1", "ERROR line 2, column 1: expected `{` after a label, found `=`"),
        ("a", "ERROR line 1, column 2: expected `=`, `{` or a label after the key, found the end of the document"),
        (
            "a = b",
            "ERROR line 1, column 5: expected a value: \
             a quoted text, a number, true, false, a list or an object, found the word `b`",
        ),
        ("a = 0x1F", "ERROR line 1, column 5: expected a decimal number, found `0x1F`"),
        ("a = 010", "ERROR line 1, column 5: expected a decimal number, found `010`"),
        (
            "a = \"b\nc\"",
            "ERROR line 1, column 5: expected a `\"` at the end of the text that begins here, \
             on the same line, found the end of the line",
        ),
        (
            "/* a",
            "ERROR line 1, column 1: expected `*/` at the end of the comment that begins here, \
             found the end of the document",
        ),
        (
            "a = <<EOF\nb",
            "ERROR line 1, column 5: expected a line with the word that ends the text which begins here, \
             found the end of the document",
        ),
        ("a = ]", "ERROR line 1, column 5: expected a value, found `]`"),
        ("a = 1 }", "ERROR line 1, column 7: expected a key or the end of the document, found `}`"),
        ("a = \u{0}", "ERROR line 1, column 5: expected a key, a value or one of `{}[]=,`, found the character '\\0'"),
    ]);
}

#[test]
fn depth_is_bounded_in_both_forms() {
    // check 67
    for text in [
        format!("a = {}", "[".repeat(1 << 20)),
        "a {".repeat(300_000),
        format!("{{\"a\":{}", "{\"a\":".repeat(200_000)),
    ] {
        assert!(shown(&text).contains("expected at most 32 levels of nesting"));
    }
    let nested = |depth| format!("a = {}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(parse(&nested(MAX_HCL_DEPTH)).is_ok() && parse(&nested(MAX_HCL_DEPTH + 1)).is_err());
}

#[test]
fn heredocs_without_end_take_linear_time() {
    // check 67
    let text = "a = <<E\n".repeat(130_000);
    assert!(parse(&text).is_err());
}
