//! Revoking, lists and OCSP.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::issuing::with_role;
use super::judge::Judge;
use super::{der, done, refused, text};
use crate::request::Request;
use crate::testing::{Harness, context};

fn leaf(harness: &mut Harness) -> Value {
    done(harness, "POST", "pki/issue/r", json!({ "common_name": "a.example.com" }))
}

fn revoke(harness: &mut Harness, leaf: &Value) -> Value {
    done(harness, "POST", "pki/revoke", json!({ "serial_number": leaf["serial_number"] }))
}

/// Number of a list, the number that it adds to, and what is on it.
fn list(harness: &mut Harness, path: &str) -> (u64, Option<u64>, Vec<String>) {
    let pem = text(&done(harness, "GET", path, Value::Null), "certificate");
    let der = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap().1.contents;
    let (_, list) = CertificateRevocationList::from_der(&der).unwrap();
    let number = list.crl_number().unwrap().to_string().parse().unwrap();
    let base = list.extensions().iter().find(|extension| extension.oid.to_id_string() == "2.5.29.27");
    let base = base.map(|extension| extension.value[2..].iter().fold(0, |sum, byte| (sum << 8) | u64::from(*byte)));
    let serials = list.iter_revoked_certificates().map(|revoked| super::super::der::with_colons(revoked.raw_serial()));
    (number, base, serials.collect())
}

// check 121
#[test]
fn a_revoked_certificate_is_on_the_next_list_and_stays_there() {
    let (mut harness, _) = with_role(json!({}));
    let (one, other) = (leaf(&mut harness), leaf(&mut harness));
    let first = revoke(&mut harness, &one);
    harness.advance(5);
    assert_eq!(revoke(&mut harness, &one), first, "the second time changes nothing");
    let serial = text(&one, "serial_number");
    assert_eq!(list(&mut harness, "pki/cert/crl").2, std::slice::from_ref(&serial));
    revoke(&mut harness, &other);
    done(&mut harness, "GET", "pki/crl/rotate", Value::Null);
    assert!(list(&mut harness, "pki/cert/crl").2.contains(&serial));
    harness.advance(71 * 3600);
    harness.run_tasks();
    assert!(list(&mut harness, "pki/cert/crl").2.contains(&serial));
    assert_eq!(done(&mut harness, "LIST", "pki/certs/revoked", Value::Null)["keys"].as_array().unwrap().len(), 2);
}

// check 122
#[test]
fn only_what_the_mount_issued_is_revoked_and_only_by_who_may() {
    let (mut harness, _) = with_role(json!({}));
    let (own, other) = (leaf(&mut harness), leaf(&mut harness));
    let foreign = rcgen::generate_simple_self_signed(vec!["a.example.com".to_owned()]).unwrap().cert.pem();
    refused(&mut harness, "pki/revoke", json!({ "certificate": foreign }));
    refused(&mut harness, "pki/revoke", json!({ "serial_number": "00:11:22" }));
    refused(&mut harness, "pki/revoke", json!({}));
    let both = json!({ "serial_number": own["serial_number"], "certificate": own["certificate"] });
    refused(&mut harness, "pki/revoke", both);
    let with_key =
        |of: &Value, key: &Value| json!({ "serial_number": of["serial_number"], "private_key": key["private_key"] });
    refused(&mut harness, "pki/revoke-with-key", with_key(&own, &other));
    let revoked = done(&mut harness, "POST", "pki/revoke-with-key", with_key(&own, &own));
    assert_eq!(revoked["state"], "revoked");
}

#[test]
fn a_delta_lists_what_came_since_and_counts_on() {
    let (mut harness, _) = with_role(json!({}));
    let early = leaf(&mut harness);
    revoke(&mut harness, &early);
    refused(&mut harness, "pki/config/crl", json!({ "enable_delta": true }));
    done(&mut harness, "POST", "pki/config/crl", json!({ "auto_rebuild": true, "enable_delta": true }));
    let (complete, _, on_it) = list(&mut harness, "pki/cert/crl");
    assert_eq!(on_it.len(), 1);
    assert_eq!(list(&mut harness, "pki/cert/delta-crl"), (complete + 1, Some(complete), Vec::new()));
    let late = leaf(&mut harness);
    revoke(&mut harness, &late);
    assert_eq!(list(&mut harness, "pki/cert/crl").2.len(), 1, "it waits for the next list");
    harness.advance(16 * 60);
    harness.run_tasks();
    let delta = list(&mut harness, "pki/cert/delta-crl");
    assert_eq!(delta, (complete + 2, Some(complete), vec![text(&late, "serial_number")]));
    done(&mut harness, "GET", "pki/crl/rotate", Value::Null);
    assert_eq!(list(&mut harness, "pki/cert/crl").0, complete + 3);
    assert_eq!(list(&mut harness, "pki/cert/delta-crl"), (complete + 4, Some(complete + 3), Vec::new()));
}

/// The body of a reply that is no JSON.
fn answered(harness: &mut Harness, request: &Request) -> Vec<u8> {
    let mut context = context(&mut harness.random, harness.now);
    let done = harness.core.handle(&mut context, &harness.table, request);
    done.result.ok().and_then(|reply| reply.raw).expect("OCSP answers in DER").body
}

/// What openssl says of a reply to its own request.
fn asked(harness: &mut Harness, judge: &Judge, certificate: &Value, root: &Value) -> String {
    judge.file("leaf.pem", text(certificate, "certificate"));
    judge.file("root.pem", text(root, "certificate"));
    let (went_well, said) =
        judge.openssl(&["ocsp", "-issuer", "root.pem", "-cert", "leaf.pem", "-no_nonce", "-reqout", "request.der"]);
    assert!(went_well, "{said}");
    let request = STANDARD.encode(judge.read("request.der"));
    let request = harness.build("", "POST", "pki/ocsp", json!({ "request": request }));
    let reply = answered(harness, &request);
    judge.file("reply.der", reply);
    let now = harness.now.secs().to_string();
    let (went_well, said) = judge.openssl(&[
        "ocsp",
        "-respin",
        "reply.der",
        "-issuer",
        "root.pem",
        "-cert",
        "leaf.pem",
        "-CAfile",
        "root.pem",
        "-no_nonce",
        "-attime",
        &now,
        "-validity_period",
        "999999999",
    ]);
    assert!(went_well && said.contains("Response verify OK"), "{said}");
    said
}

// check 121
#[test]
fn ocsp_says_good_revoked_or_unknown() {
    let judge = Judge::new("ocsp");
    let (mut harness, root) = with_role(json!({}));
    let own = leaf(&mut harness);
    assert!(asked(&mut harness, &judge, &own, &root).contains("leaf.pem: good"));
    revoke(&mut harness, &own);
    assert!(asked(&mut harness, &judge, &own, &root).contains("leaf.pem: revoked"));
    done(&mut harness, "POST", "pki/roles/r", json!({ "allow_any_name": true, "key_type": "ec", "no_store": true }));
    let stranger = leaf(&mut harness);
    assert!(asked(&mut harness, &judge, &stranger, &root).contains("leaf.pem: unknown"));
    done(&mut harness, "POST", "pki/config/crl", json!({ "ocsp_unknown_is_good": true }));
    assert!(asked(&mut harness, &judge, &stranger, &root).contains("leaf.pem: good"));
}

// check 129
#[test]
fn what_is_no_ocsp_request_is_refused() {
    let (mut harness, _) = with_role(json!({}));
    let long = "A".repeat(9000);
    for request in ["", "AAAA", "!!", "MAMKAQA=", long.as_str()] {
        let (status, _) = harness.request_as("", "POST", "pki/ocsp", json!({ "request": request }));
        assert_eq!(status, 400, "{request:.20}");
    }
}

#[test]
fn a_revoked_issuer_issues_no_more() {
    let (mut harness, _) = with_role(json!({}));
    let revoked = done(&mut harness, "POST", "pki/issuer/default/revoke", json!({}));
    assert_eq!((&revoked["revoked"], &revoked["usage"]), (&json!(true), &json!("crl-signing,ocsp-signing,read-only")));
    refused(&mut harness, "pki/issue/r", json!({ "common_name": "a.example.com" }));
    refused(&mut harness, "pki/issuer/default", json!({ "usage": "issuing-certificates" }));
}

#[test]
fn a_certificate_that_is_a_lease_is_revoked_with_it() {
    let (mut harness, _) = with_role(json!({ "generate_lease": true }));
    let (status, reply) = harness.request("POST", "pki/issue/r", json!({ "common_name": "a.example.com" }));
    assert_eq!(status, 200, "{reply}");
    let lease = reply["lease_id"].as_str().unwrap().to_owned();
    assert!(lease.starts_with("pki/issue/r/"), "{lease}");
    let (status, reply) = harness.request("POST", "sys/leases/revoke", json!({ "lease_id": lease }));
    assert!(status < 300, "{reply}");
    harness.run_tasks();
    harness.run_endings();
    assert_eq!(list(&mut harness, "pki/cert/crl").2.len(), 1);
}

#[test]
fn tidying_removes_what_is_over_from_the_store_and_the_lists() {
    let (mut harness, _) = with_role(json!({ "ttl": "1h" }));
    let (kept, revoked, _) = (leaf(&mut harness), leaf(&mut harness), leaf(&mut harness));
    revoke(&mut harness, &revoked);
    let run = json!({ "tidy_cert_store": true, "tidy_revoked_certs": true, "safety_buffer": "1s" });
    let begin = |harness: &mut Harness| harness.request("POST", "pki/tidy", run.clone()).0;
    assert_eq!(begin(&mut harness), 202);
    assert_eq!(begin(&mut harness), 400, "one at a time");
    harness.run_tasks();
    assert_eq!(done(&mut harness, "LIST", "pki/certs", Value::Null)["keys"].as_array().unwrap().len(), 4);
    harness.advance(2 * 3600);
    assert_eq!(begin(&mut harness), 202);
    harness.run_tasks();
    let status = done(&mut harness, "GET", "pki/tidy-status", Value::Null);
    assert_eq!((&status["state"], &status["cert_store_deleted_count"]), (&json!("Finished"), &json!(2)), "{status}");
    assert_eq!(harness.request("LIST", "pki/certs/revoked", Value::Null).0, 404);
    assert!(list(&mut harness, "pki/cert/crl").2.is_empty());
    let gone = format!("pki/cert/{}", text(&kept, "serial_number"));
    assert_eq!(harness.request("GET", &gone, Value::Null).0, 404);
    assert!(!der(&text(&kept, "certificate")).is_empty());
}
