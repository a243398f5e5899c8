use super::super::forms::forms;
use super::*;

fn patterns(secrets: &[&str]) -> Patterns {
    Patterns::new(secrets.iter().flat_map(|secret| forms(secret)))
}

/// The text as it comes out, told to the masker in pieces of so many bytes.
fn masked(patterns: &Patterns, text: &str, piece: usize) -> String {
    let mut masker = Masker::new(patterns);
    let mut shown: Vec<u8> = text.as_bytes().chunks(piece).flat_map(|bytes| masker.push(bytes)).collect();
    shown.extend(masker.finish());
    String::from_utf8(shown).unwrap()
}

#[test]
fn a_secret_is_masked_in_pieces_of_any_size() {
    let patterns = patterns(&["hunter2hunter2"]);
    for piece in 1..30 {
        assert_eq!(masked(&patterns, "password=hunter2hunter2;\n", piece), "password=********;\n");
    }
}

#[test]
fn what_only_begins_like_a_secret_is_shown() {
    let patterns = patterns(&["hunter2hunter2"]);
    assert_eq!(masked(&patterns, "hunter2hunters hunt", 3), "hunter2hunters ********");
    assert_eq!(masked(&patterns, "hunter2hunters hun", 3), "hunter2hunters hun");
}

#[test]
fn secrets_that_overlap_are_masked_whole() {
    let patterns = patterns(&["abcdef", "defghi", "bcde"]);
    assert_eq!(masked(&patterns, "-abcdefghi-xbcdex-", 3), "-********-x********x-");
}

#[test]
fn a_secret_within_the_failed_beginning_of_another_is_masked() {
    let patterns = patterns(&["abcdefgh", "cdef"]);
    assert_eq!(masked(&patterns, "abcdefgX", 1), "ab********gX");
}

#[test]
fn what_is_too_short_is_left_alone() {
    assert_eq!(masked(&patterns(&["1"]), "1 of 11", 3), "1 of 11");
}

#[test]
fn prompt_text_is_not_held_back() {
    let patterns = patterns(&["hunter2hunter2"]);
    assert_eq!(Masker::new(&patterns).push(b"Continue? "), b"Continue? ");
}

#[test]
fn each_encoding_is_masked_in_pieces_of_three() {
    let patterns = patterns(&["zürich/pa ss+w\"o"]);
    for encoded in [
        "zürich/pa ss+w\"o",
        "esO8cmljaC9wYSBzcyt3Im8",
        "7ac3bc726963682f70612073732b77226f",
        "7AC3BC726963682F70612073732B77226F",
        "z%C3%BCrich%2Fpa%20ss%2Bw%22o",
        "z%c3%bcrich%2fpa%20ss%2bw%22o",
        "z%C3%BCrich%2Fpa+ss%2Bw%22o",
        "z%C3%BCrich/pa%20ss%2Bw%22o",
        "zürich/pa ss+w\\\"o",
        "zürich\\/pa ss+w\\\"o",
        "z\\u00fcrich/pa ss+w\\\"o",
        "z\\u00FCrich/pa ss+w\\\"o",
    ] {
        assert_eq!(masked(&patterns, &format!("<{encoded}>"), 3), "<********>", "{encoded}");
    }
}
