//! Compares the reference pages with the path tables. `CONCLAVE_WRITE_REFERENCE=1` writes the tables anew instead.

use std::fs;
use std::path::PathBuf;

use super::*;
use crate::engines::{ENGINES, approle, cert, cubbyhole, identity, jwt, kubernetes, kv1, kv2, sys, token, userpass};
use crate::engines::{ldap, pki, ssh, totp, transit};

/// In front of the table.
const BEGIN: &str = "<!-- paths -->\n";
/// Behind it.
const END: &str = "<!-- /paths -->";

/// Each page, the engine that it describes, and where that is mounted.
const PAGES: [(&str, &Engine, &str); 16] = [
    ("sys", &sys::ENGINE, "sys/"),
    ("token", &token::ENGINE, "auth/token/"),
    ("kv-v1", &kv1::ENGINE, "{mount}/"),
    ("kv-v2", &kv2::ENGINE, "{mount}/"),
    ("transit", &transit::ENGINE, "{mount}/"),
    ("pki", &pki::ENGINE, "{mount}/"),
    ("totp", &totp::ENGINE, "{mount}/"),
    ("ssh", &ssh::ENGINE, "{mount}/"),
    ("cubbyhole", &cubbyhole::ENGINE, "cubbyhole/"),
    ("approle", &approle::ENGINE, "auth/approle/"),
    ("userpass", &userpass::ENGINE, "auth/userpass/"),
    ("cert", &cert::ENGINE, "auth/cert/"),
    ("jwt", &jwt::ENGINE, "auth/jwt/"),
    ("kubernetes", &kubernetes::ENGINE, "auth/kubernetes/"),
    ("ldap", &ldap::ENGINE, "auth/ldap/"),
    ("identity", &identity::ENGINE, "identity/"),
];

fn file(page: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../docs/reference/{page}.md"))
}

/// A page with its table replaced; `None` if the page has no place for one.
fn with_table(text: &str, table: &str) -> Option<String> {
    let (head, rest) = text.split_once(BEGIN)?;
    let (_, tail) = rest.split_once(END)?;
    Some(format!("{head}{BEGIN}{table}{END}{tail}"))
}

#[expect(clippy::disallowed_methods, reason = "the pages lie outside the core, and only this test writes them")]
fn write(page: &str, text: &str) {
    fs::write(file(page), text).expect("a page of the reference can be written");
}

#[test]
fn every_page_of_the_reference_has_the_paths_of_its_engine() {
    let is_writing = std::env::var_os("CONCLAVE_WRITE_REFERENCE").is_some();
    for (page, engine, mount) in PAGES {
        let text = fs::read_to_string(file(page)).unwrap_or_else(|_| panic!("docs/reference/{page}.md is missing"));
        let expected = with_table(&text, &render(engine, mount));
        let expected = expected.unwrap_or_else(|| panic!("docs/reference/{page}.md has no `<!-- paths -->` block"));
        if is_writing {
            write(page, &expected);
        } else {
            assert!(
                text == expected,
                "docs/reference/{page}.md is old; run CONCLAVE_WRITE_REFERENCE=1 cargo test -p conclave-vault reference"
            );
        }
    }
}

#[test]
fn every_engine_has_a_page() {
    let has_page = |engine: &Engine| PAGES.iter().any(|(_, described, _)| std::ptr::eq(*described, engine));
    let is_shown = |engine: &&&Engine| engine.kind != "counter" && engine.paths().next().is_some();
    let missing: Vec<_> = ENGINES.iter().filter(is_shown).filter(|engine| !has_page(engine)).collect();
    let kinds: Vec<_> = missing.iter().map(|engine| engine.kind).collect();
    assert!(kinds.is_empty(), "no row in PAGES for {kinds:?}");
}

#[test]
fn a_path_shows_its_captures_its_rights_and_whether_it_needs_a_token() {
    let text = render(&sys::ENGINE, "sys/");
    for row in [
        "| `sys/mounts/{path}` | read, update, delete | ",
        "| `sys/rotate` | update + sudo | ",
        "| `sys/wrapping/unwrap` | update; no token | ",
        "| `sys/version-history` | list | ",
    ] {
        assert!(text.contains(row), "{row} is not in\n{text}");
    }
    let text = render(&kv2::ENGINE, "{mount}/");
    assert!(text.contains("| `{mount}/data/{path}` | read, create, update, patch, delete | "), "{text}");
}
