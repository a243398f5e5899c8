//! Roots, issuers and keys.

use serde_json::{Value, json};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::judge::Judge;
use super::{der, done, mounted, refused, text};

#[test]
fn a_root_of_each_kind_stands_up_to_openssl() {
    let judge = Judge::new("roots");
    for (kind, bits, pss) in
        [("ec", 256, false), ("ec", 384, false), ("ec", 521, false), ("ed25519", 0, false), ("rsa", 2048, true)]
    {
        let mut harness = mounted();
        let body = json!({
            "common_name": "Acme Root", "key_type": kind, "key_bits": bits, "use_pss": pss, "ttl": "87000h",
            "organization": "Acme,Bcme", "country": "DE", "max_path_length": 2, "permitted_dns_domains": "acme.example",
        });
        let root = done(&mut harness, "POST", "pki/root/generate/internal", body);
        let pem = text(&root, "certificate");
        assert!(root.get("private_key").is_none(), "check 124: an internal key stays inside");
        let file = judge.file("root.pem", &pem);
        let (went_well, said) = judge.verify(&harness, &file, &file, None);
        assert!(went_well, "{kind} {bits}: {said}");
        let (_, said) = judge.openssl(&["x509", "-in", "root.pem", "-noout", "-subject", "-nameopt", "RFC2253"]);
        assert!(said.contains("CN=Acme Root"), "{said}");
        let list = done(&mut harness, "GET", "pki/cert/crl", Value::Null);
        judge.file("crl.pem", text(&list, "certificate"));
        let (went_well, said) = judge.openssl(&["crl", "-in", "crl.pem", "-noout", "-verify", "-CAfile", "root.pem"]);
        assert!(went_well && said.contains("verify OK"), "{said}");
    }
}

#[test]
fn a_certificate_can_end_with_the_year_9999() {
    let mut harness = mounted();
    let body = json!({ "common_name": "Root", "key_type": "ec", "not_after": "9999-12-31T23:59:59Z" });
    let root = done(&mut harness, "POST", "pki/root/generate/internal", body);
    assert_eq!(root["expiration"], 253_402_300_799_i64);
    let der = der(&text(&root, "certificate"));
    let (_, certificate) = X509Certificate::from_der(&der).unwrap();
    assert_eq!(certificate.validity().not_after.timestamp(), 253_402_300_799);
}

// check 123
#[test]
fn serial_numbers_are_long_and_differ() {
    let mut harness = mounted();
    let mut serials = Vec::new();
    for _ in 0..4 {
        let body = json!({ "common_name": "Root", "key_type": "ec" });
        let root = done(&mut harness, "POST", "pki/root/generate/internal", body);
        serials.push(text(&root, "serial_number"));
    }
    assert!(serials.iter().all(|serial| serial.len() == 59), "{serials:?}");
    serials.sort_unstable();
    serials.dedup();
    assert_eq!(serials.len(), 4);
}

// check 120, 124
#[test]
fn keys_that_are_weak_or_unknown_are_refused_and_an_exported_one_is_shown_once() {
    let mut harness = mounted();
    let path = "pki/root/generate/exported";
    for (kind, bits) in [("rsa", 1024), ("rsa", 2049), ("ec", 224), ("ec", 2048), ("dsa", 0)] {
        refused(&mut harness, path, json!({ "common_name": "X", "key_type": kind, "key_bits": bits }));
    }
    let root = done(&mut harness, "POST", path, json!({ "common_name": "X", "key_type": "ec", "issuer_name": "x" }));
    assert!(text(&root, "private_key").starts_with("-----BEGIN EC PRIVATE KEY-----"));
    for read in ["pki/issuer/x", "pki/cert/ca", "pki/issuer/x/json", &format!("pki/key/{}", text(&root, "key_id"))] {
        let shown = done(&mut harness, "GET", read, Value::Null).to_string();
        assert!(!shown.contains("PRIVATE") && !shown.contains("private"), "{read}");
    }
}

#[test]
fn an_issuer_is_found_by_its_names_and_a_name_is_used_once() {
    let mut harness = mounted();
    let body = |name: &str| json!({ "common_name": name, "key_type": "ec", "issuer_name": name });
    let first = done(&mut harness, "POST", "pki/root/generate/internal", body("one"));
    done(&mut harness, "POST", "pki/root/generate/internal", body("two"));
    assert!(refused(&mut harness, "pki/root/generate/internal", body("one")).contains("in use"));
    let by_name = done(&mut harness, "GET", "pki/issuer/one", Value::Null);
    let by_id = done(&mut harness, "GET", &format!("pki/issuer/{}", text(&first, "issuer_id")), Value::Null);
    assert_eq!(by_name, by_id);
    done(&mut harness, "POST", "pki/issuer/one", json!({ "issuer_name": "uno" }));
    assert_eq!(harness.request("GET", "pki/issuer/one", Value::Null).0, 500, "clients know it by this status");
    done(&mut harness, "GET", "pki/issuer/uno", Value::Null);
    done(&mut harness, "DELETE", "pki/root", Value::Null);
    assert_eq!(harness.request("LIST", "pki/issuers", Value::Null).0, 404);
    assert_eq!(harness.request("LIST", "pki/keys", Value::Null).0, 404);
}

// check 65
#[test]
fn an_issuer_is_changed_only_by_who_has_the_right_to_it() {
    let mut harness = mounted();
    let body = |name: &str| json!({ "common_name": name, "key_type": "ec", "issuer_name": name });
    done(&mut harness, "POST", "pki/root/generate/internal", body("one"));
    done(&mut harness, "POST", "pki/root/generate/internal", body("two"));
    let token = harness.token_with(r#"path "pki/issuer/one" { capabilities = ["update", "delete"] }"#);
    for (issuer, expected) in [("one", 200), ("two", 403)] {
        for verb in ["POST", "DELETE"] {
            let (status, reply) = harness.request_as(&token, verb, &format!("pki/issuer/{issuer}"), json!({}));
            assert_eq!(status, expected, "{verb} {issuer}: {reply}");
        }
    }
}

#[test]
fn a_list_is_renewed_before_it_runs_out_and_its_number_grows() {
    let mut harness = mounted();
    done(&mut harness, "POST", "pki/root/generate/internal", json!({ "common_name": "R", "key_type": "ec" }));
    let number = |harness: &mut super::Harness| {
        let list = done(harness, "GET", "pki/cert/crl", Value::Null);
        let pem = x509_parser::pem::parse_x509_pem(text(&list, "certificate").as_bytes()).unwrap().1;
        let (_, list) = x509_parser::revocation_list::CertificateRevocationList::from_der(&pem.contents).unwrap();
        let end = list.next_update().map(|end| end.timestamp()).unwrap_or_default();
        (list.crl_number().map(|number| number.to_string()), end)
    };
    let (first, end) = number(&mut harness);
    harness.advance(61 * 3600);
    harness.run_tasks();
    let (second, later) = number(&mut harness);
    assert!(first != second && later > end, "{first:?} {second:?}");
}

// check 2
#[test]
fn only_what_anybody_may_know_answers_without_a_token() {
    let open: Vec<_> =
        super::super::ENGINE.paths().filter(|path| !path.needs_token()).map(|path| path.pattern).collect();
    let expected = [
        "issuers/?",
        "issuer/{issuer_ref}/json",
        "issuer/{issuer_ref}/pem",
        "issuer/{issuer_ref}/der",
        "ocsp",
        "ocsp/{request..}",
        "crl",
        "crl/pem",
        "crl/delta",
        "crl/delta/pem",
        "issuer/{issuer_ref}/crl",
        "issuer/{issuer_ref}/crl/delta",
        "issuer/{issuer_ref}/crl/pem",
        "issuer/{issuer_ref}/crl/der",
        "issuer/{issuer_ref}/crl/delta/pem",
        "issuer/{issuer_ref}/crl/delta/der",
        "ca",
        "ca/pem",
        "ca_chain",
        "cert/ca",
        "cert/ca_chain",
        "cert/crl",
        "cert/delta-crl",
        "cert/{serial..}/raw/pem",
        "cert/{serial..}/raw",
        "cert/{serial..}",
    ];
    assert_eq!(open, expected);
}
