//! Which texts are policies, and what passwords they make.

use super::*;
use crate::testing::Seeded;

const POLICY: &str = r#"
length = 20
rule "charset" {
  charset = "abcdefghij"
  min-chars = 1
}
rule "charset" {
  charset = "0123456789"
  min-chars = 2
}
"#;

fn refusal(text: &str) -> String {
    PasswordPolicy::parse(text).err().map(|error| error.to_string()).unwrap_or_default()
}

#[test]
fn a_password_has_the_length_and_the_characters_that_its_policy_demands() {
    let policy = PasswordPolicy::parse(POLICY).unwrap();
    let mut random = Seeded::new(1);
    let passwords: Vec<String> = (0..200).map(|_| policy.generate(&mut random)).collect();
    for password in &passwords {
        assert_eq!(password.len(), 20);
        let digits = password.chars().filter(char::is_ascii_digit).count();
        assert!((2..20).contains(&digits), "{password}");
        assert!(password.chars().all(|letter| "abcdefghij0123456789".contains(letter)), "{password}");
    }
    assert!(passwords.iter().any(|password| password.starts_with(|letter: char| letter.is_ascii_digit())));
    assert!(passwords.iter().any(|password| password.starts_with(|letter: char| letter.is_ascii_lowercase())));
}

#[test]
fn a_policy_that_chance_would_hardly_meet_makes_a_password_all_the_same() {
    let text = r#"length = 100
        rule "charset" { charset = "!" min-chars = 99 }
        rule "charset" { charset = "abcdefghijklmnopqrstuvwxyz" min-chars = 1 }"#;
    let password = PasswordPolicy::parse(text).unwrap().generate(&mut Seeded::new(1));
    assert_eq!((password.len(), password.matches('!').count()), (100, 99));
}

#[test]
fn json_says_the_same() {
    let text = r#"{"length": 8, "rule": [{"charset": {"charset": "a", "min-chars": 1}}]}"#;
    assert_eq!(PasswordPolicy::parse(text).unwrap().generate(&mut Seeded::new(1)), "aaaaaaaa");
}

#[test]
fn what_makes_no_password_is_refused_by_name() {
    for (text, reason) in [
        (r#"rule "charset" { charset = "ab" }"#, "length must be > 0"),
        (r#"length = 2 rule "charset" { charset = "ab" }"#, "between 4 and 100"),
        (r#"length = 101 rule "charset" { charset = "ab" }"#, "between 4 and 100"),
        (r#"length = 20 rule "emoji" { charset = "ab" }"#, "unrecognized rule type emoji"),
        (r#"length = 20 rule "charset" { min-chars = 1 }"#, "no charset specified"),
        (r#"length = 5 rule "charset" { charset = "ab" min-chars = 9 }"#, "at least 9 characters but 5"),
        (r#"length = 20"#, "at least one charset rule"),
        (r#"length = 20 width = 1 rule "charset" { charset = "ab" }"#, "width is not known"),
        (r#"length = -1 rule "charset" { charset = "ab" }"#, "length must be a whole number"),
        (r#"{"length": 20, "rule": [{"charset": {"charset": "a\u0007"}}]}"#, "cannot be printed"),
        ("length", "expected"),
    ] {
        assert!(refusal(text).contains(reason), "{text}: {}", refusal(text));
    }
}
