use crate::limits::MAX_POLICY_BYTES;
use proptest::prelude::*;

use super::*;

fn check_errors(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let error = parse(text).err().map(|error| error.to_string()).unwrap_or_default();
        assert!(error.contains(expected), "{text}\n  is refused with: {error}\n  expected:        {expected}");
    }
}

#[test]
fn what_a_policy_cannot_mean_is_refused_with_the_place() {
    check_errors(&[
        ("path \"a\" {", "line 1, column 11: expected a key or `}`"),
        ("paths \"a\" { capabilities = [\"read\"] }", "line 1: invalid key \"paths\""),
        (
            "\n\npath \"a\" {\n capability = [\"read\"] }",
            "line 4: path \"a\": invalid key \"capability\"; expected one of capabilities,",
        ),
        (
            "path \"a\" { capabilities = [\"fly\"] }",
            "path \"a\": invalid capability \"fly\"; expected one of create, delete, deny",
        ),
        ("path \"a\" { capabilities = [\"Read\"] }", "invalid capability \"Read\""),
        (
            "path \"a\" { capabilities = \"read\" }",
            "capabilities takes a list of texts, such as [\"read\"], found a text",
        ),
        ("path \"a\" { capabilities = [1] }", "capabilities takes a text, found a number"),
        ("path \"a/+*\" { capabilities = [\"read\"] }", "path \"a/+*\": invalid use of wildcards ('+*' is forbidden)"),
        ("path \"a\" { policy = \"maybe\" }", "path \"a\": invalid policy \"maybe\""),
        (
            "path \"a\" { min_wrapping_ttl = \"2h\"\n max_wrapping_ttl = \"1h\" }",
            "max_wrapping_ttl cannot be less than min_wrapping_ttl",
        ),
        ("path \"a\" { capabilities = [] capabilities = [\"sudo\"] }", "\"capabilities\" is given twice"),
        ("path \"a\" { allowed_parameters = { \"A\" = [], \"a\" = [1] } }", "\"a\" is given twice"),
        ("path \"a\" { allowed_parameters = { \"a\" = \"x\" } }", "allowed_parameters takes a list for each parameter"),
        ("path \"a\" \"b\" { }", "line 1: expected path \"…\" { … }, found a path with a second label"),
        ("path = [1]", "found a list"),
        ("path { \"a\" = 1 }", "found a number"),
        ("path \"\" { }", "path \"\": the path is empty"),
        ("path \"a\\u0000\" { }", "control character"),
        ("path \"a/{{identity.entity.id\" { }", "a template is not closed"),
        ("path \"a/{{identity.user}}\" { }", "unknown template {{identity.user}}"),
        ("path \"a\" { expiration = \"soon\" }", "expiration takes a time such as"),
        ("path \"a\" { pagination_limit = -1 }", "pagination_limit takes a whole number, not negative"),
        ("path \"a\" { min_wrapping_ttl = \"-5s\" }", "min_wrapping_ttl takes a duration"),
        ("path \"a\" { min_wrapping_ttl = \"99999999999h\" }", "min_wrapping_ttl takes a duration"),
        ("path \"a\" { list_scan_response_keys_filter_path = \"a\" }", "the filter path must contain {{ .key }}"),
        ("path \"a\" { mfa_methods = [\"m\"] }", "mfa_methods cannot be enforced"),
        ("path \"a\" { control_group = { ttl = \"1h\" } }", "control_group cannot be enforced"),
        (
            "{\"path\":{\"a\":{\"capabilities\":[\"read\"],\"capabilities\":[\"sudo\"]}}}",
            "\"capabilities\" is given twice",
        ),
    ]);
}

#[test]
fn every_documented_form_is_accepted() {
    for (text, rules) in [
        ("", 0),
        ("# nothing", 0),
        ("name = \"x\"\npath \"a\" { capabilities = [\"read\"] }", 1),
        ("path \"/a/b\" { capabilities = [\"read\"] }", 1),
        ("path \"a\" { policy = \"write\" }", 1),
        ("path \"a\" { }\npath \"a\" { }", 2),
        ("\"path\" \"a\" { \"capabilities\" = [\"read\"] }", 1),
        ("path = { \"a\" = { capabilities = [\"read\"] }, \"b\" = {} }", 2),
        ("path { \"a\" { capabilities = [\"read\"] } }", 1),
        ("{\"path\":{\"c/*\":{\"capabilities\":[\"read\"]}}}", 1),
        ("{\"path\":[{\"a\":{}},{\"b\":[{},{}]}]}", 3),
        ("path \"a\" { allowed_parameters { \"x\" = [] \"*\" = [] } denied_parameters = {} }", 1),
        ("path \"a/{{identity.entity.id}}\" { comment = \"${x} %{y}\" expiration = 1900000000 }", 1),
        ("path \"a\" { comment = <<E\nfor \"them\"\nE\n expiration = \"2030-01-31T12:00:00+01:00\" }", 1),
        ("path \"a\" { mfa_methods = [] subscribe_event_types = [\"*\"] pagination_limit = 100 }", 1),
    ] {
        assert_eq!(parse(text).map(|policy| policy.rules.len()), Ok(rules), "{text}");
    }
}

#[test]
fn size_is_bounded_and_large_documents_parse() {
    // check 67
    let paths: String =
        (0..19_500).map(|n| format!("path \"secret/data/{n}\" {{ capabilities = [\"read\"] }}\n")).collect();
    assert!(paths.len() <= MAX_POLICY_BYTES && paths.len() > MAX_POLICY_BYTES * 9 / 10);
    assert_eq!(parse(&paths).unwrap().rules.len(), 19_500);
    let long = format!("#{}", "a".repeat(MAX_POLICY_BYTES));
    assert_eq!(parse(&long).err(), Some(ParseError::TooLong { size_bytes: MAX_POLICY_BYTES + 1 }));
}

#[test]
fn a_message_never_repeats_a_long_text() {
    // check 67
    let long = "x".repeat(MAX_POLICY_BYTES / 2);
    for text in [
        long.clone(),
        format!("path \"{long}\" {{ {long} = 1 }}"),
        format!("path \"a\" {{ capabilities = [\"{long}\"] }}"),
        format!("a = 1{long}"),
    ] {
        assert!(parse(&text).unwrap_err().to_string().len() < 1000);
    }
}

/// Pieces from which random documents get far into the parser.
const PIECES: [&str; 34] = [
    "path",
    "\"a/+/b*\"",
    "\"{{identity.entity.id}}\"",
    "{",
    "}",
    "[",
    "]",
    "=",
    ":",
    ",",
    "\"",
    "\\",
    "\n",
    " ",
    "#",
    "//",
    "/*",
    "*/",
    "<<E\n",
    "<<-E\n",
    "E\n",
    "capabilities",
    "\"read\"",
    "\"deny\"",
    "allowed_parameters",
    "\"*\"",
    "1",
    "-",
    "true",
    "null",
    "policy",
    "expiration",
    "\\u",
    "é",
];

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    // check 67
    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&String::from_utf8_lossy(&bytes));
    }

    // check 67
    #[test]
    fn no_mixture_of_tokens_makes_the_parser_panic(
        pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..60),
    ) {
        let _ = parse(&pieces.concat());
    }
}
