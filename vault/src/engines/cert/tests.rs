//! Certificates through whole requests, with authorities of our own.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
    date_time_ymd,
};
use serde_json::{Value, json};

use crate::testing::Harness;

type Authority = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// What a client's certificate usually says.
fn client() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "web-1");
    params.distinguished_name.push(DnType::OrganizationalUnitName, "ops");
    params.subject_alt_names = vec![
        SanType::DnsName("a.web.example".try_into().unwrap()),
        SanType::Rfc822Name("web@example.com".try_into().unwrap()),
        SanType::URI("spiffe://example/web".try_into().unwrap()),
    ];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.serial_number = Some(SerialNumber::from(77_u64));
    // UTF8String "blue".
    params.custom_extensions = vec![CustomExtension::from_oid_content(&[1, 2, 3, 4], b"\x0c\x04blue".to_vec())];
    params
}

fn issued(by: &Authority, params: &CertificateParams) -> Vec<u8> {
    params.signed_by(&KeyPair::generate().unwrap(), by).unwrap().der().to_vec()
}

fn mounted(entries: &[(&str, Value)]) -> Harness {
    let mut harness = Harness::new();
    assert_eq!(harness.request("POST", "sys/auth/cert", json!({ "type": "cert" })).0, 204);
    for (name, body) in entries {
        let (status, reply) = harness.request("POST", &format!("auth/cert/certs/{name}"), body.clone());
        assert_eq!(status, 204, "{reply}");
    }
    harness
}

fn log_in(harness: &mut Harness, chain: &[Vec<u8>]) -> (u16, Value) {
    harness.client_certificates = chain.to_vec().into();
    harness.request_as("", "POST", "auth/cert/login", json!({}))
}

#[test]
fn who_has_a_certificate_of_an_authority_logs_in_as_its_entry_says() {
    let (own, other) = (authority("own"), authority("other"));
    let entry = |of: &Authority, policy: &str| json!({ "certificate": of.pem(), "token_policies": policy });
    let mut harness = mounted(&[("a", entry(&other, "other")), ("b", entry(&own, "own"))]);
    let (status, body) = log_in(&mut harness, &[issued(&own, &client())]);
    assert_eq!(status, 200, "{body}");
    let auth = &body["auth"];
    assert_eq!(auth["policies"], json!(["default", "own"]), "check 151: each entry trusts its own");
    let metadata = &auth["metadata"];
    assert_eq!((&metadata["cert_name"], &metadata["common_name"]), (&json!("b"), &json!("web-1")));
    assert_eq!(metadata["serial_number"], "77");
    assert_eq!(log_in(&mut harness, &[]).0, 400);
    let chain = [issued(&own, &client())];
    harness.client_certificates = chain.to_vec().into();
    let named = harness.request_as("", "POST", "auth/cert/login", json!({ "name": "a" }));
    assert_eq!(named.0, 400, "{}", named.1);
}

// check 149, 150, 157
#[test]
fn a_chain_counts_only_if_it_is_whole_and_for_clients() {
    let (own, other) = (authority("own"), authority("other"));
    let middle = {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "middle");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), &own).unwrap()
    };
    let mut harness = mounted(&[("e", json!({ "certificate": own.pem() }))]);
    let (leaf, by_middle) = (issued(&own, &client()), issued(&middle, &client()));
    let (der, foreign) = (middle.der().to_vec(), issued(&other, &client()));
    let with = |change: fn(&mut CertificateParams)| {
        let mut params = client();
        change(&mut params);
        issued(&own, &params)
    };
    let server = with(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth]);
    let over = with(|params| params.not_after = date_time_ymd(2020, 1, 1));
    let early = with(|params| params.not_before = date_time_ymd(2100, 1, 1));
    let nobody = with(|params| params.distinguished_name = rcgen::DistinguishedName::new());
    for (what, chain, expected) in [
        ("its own", vec![leaf.clone()], 200),
        ("by way of another", vec![by_middle.clone(), der.clone()], 200),
        ("by way of one that is missing", vec![by_middle.clone()], 400),
        ("in another order", vec![der, by_middle], 400),
        ("another authority's", vec![foreign.clone()], 400),
        ("another's, with one of ours behind", vec![foreign, leaf], 400),
        ("a server's", vec![server], 400),
        ("over", vec![over], 400),
        ("too early", vec![early], 400),
        ("of nobody", vec![nobody], 400),
        ("no certificate", vec![vec![0x30, 0x00]], 400),
    ] {
        let (status, body) = log_in(&mut harness, &chain);
        assert_eq!(status, expected, "{what}: {body}");
    }
}

// check 149
#[test]
fn a_chain_of_many_certificates_is_not_looked_at() {
    let own = authority("own");
    let mut harness = mounted(&[("web", json!({ "certificate": own.pem() }))]);
    let leaf = issued(&own, &client());
    let chain = |others: usize| [vec![leaf.clone()], vec![own.der().to_vec(); others]].concat();
    assert_eq!(log_in(&mut harness, &chain(7)).0, 200);
    let (status, reply) = log_in(&mut harness, &chain(8));
    assert_eq!(
        (status, reply["errors"][0].as_str()),
        (400, Some("the client shows more than 8 certificates; leave some out"))
    );
}

#[test]
fn a_certificate_that_is_trusted_as_it_is_means_itself() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let own = client().self_signed(&key).unwrap();
    let mut harness = mounted(&[("e", json!({ "certificate": own.pem() }))]);
    assert_eq!(log_in(&mut harness, &[own.der().to_vec()]).0, 200);
    let renamed = {
        let mut params = client();
        params.distinguished_name.push(DnType::CommonName, "web-2");
        params.self_signed(&key).unwrap()
    };
    let signed_by_it = client().signed_by(&other, &rcgen::Issuer::from_params(&client(), &key)).unwrap();
    for copy in [client().self_signed(&other).unwrap(), renamed, signed_by_it] {
        assert_eq!(log_in(&mut harness, &[copy.der().to_vec(), own.der().to_vec()]).0, 400);
    }
}

#[test]
fn rules_are_met_by_the_certificate_of_the_client() {
    let own = authority("own");
    let leaf = [issued(&own, &client())];
    for (rules, expected) in [
        (json!({ "allowed_names": "x,web-*" }), 200),
        (json!({ "allowed_names": "*.web.example" }), 200),
        (json!({ "allowed_names": "ops" }), 400),
        (json!({ "allowed_common_names": "web-1" }), 200),
        (json!({ "allowed_common_names": "a.web.example" }), 400),
        (json!({ "allowed_dns_sans": "*.web.example" }), 200),
        (json!({ "allowed_dns_sans": "web-1" }), 400),
        (json!({ "allowed_email_sans": "*@example.com" }), 200),
        (json!({ "allowed_email_sans": "*@example.org" }), 400),
        (json!({ "allowed_uri_sans": "spiffe://example/*" }), 200),
        (json!({ "allowed_uri_sans": "spiffe://other/*" }), 400),
        (json!({ "allowed_organizational_units": "ops" }), 200),
        (json!({ "allowed_organizational_units": "own" }), 400),
        (json!({ "required_extensions": "1.2.3.4:bl*" }), 200),
        (json!({ "required_extensions": "1.2.3.4:bl*,1.2.3.5:*" }), 400),
        (json!({ "allowed_common_names": "web-1", "allowed_dns_sans": "x" }), 400),
    ] {
        let mut body = json!({ "certificate": own.pem(), "allowed_metadata_extensions": "1.2.3.4" });
        body.as_object_mut().unwrap().extend(rules.as_object().unwrap().clone());
        let mut harness = mounted(&[("e", body)]);
        let (status, body) = log_in(&mut harness, &leaf);
        assert_eq!(status, expected, "{rules}: {body}");
        if status == 200 {
            assert_eq!(body["auth"]["metadata"]["1-2-3-4"], "blue");
        }
    }
}

fn revoking(by: &Authority, serial: u64) -> String {
    let revoked = RevokedCertParams {
        serial_number: SerialNumber::from(serial),
        revocation_time: date_time_ymd(2023, 1, 1),
        reason_code: None,
        invalidity_date: None,
    };
    let params = CertificateRevocationListParams {
        this_update: date_time_ymd(2023, 1, 1),
        next_update: date_time_ymd(2023, 2, 1),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: vec![revoked],
        key_identifier_method: KeyIdMethod::Sha256,
    };
    params.signed_by(by).unwrap().pem().unwrap()
}

#[test]
fn a_revoked_certificate_counts_for_nothing_and_another_authority_s_list_for_nothing_too() {
    let (own, other) = (authority("own"), authority("other"));
    let mut harness = mounted(&[("e", json!({ "certificate": own.pem() }))]);
    let leaf = [issued(&own, &client())];
    for (list, expected) in [(revoking(&other, 77), 200), (revoking(&own, 78), 200), (revoking(&own, 77), 400)] {
        assert_eq!(harness.request("POST", "auth/cert/crls/l", json!({ "crl": list })).0, 204);
        assert_eq!(log_in(&mut harness, &leaf).0, expected);
    }
    let (_, shown) = harness.request("GET", "auth/cert/crls/l", Value::Null);
    assert_eq!(shown["data"]["serials"], json!({ "77": {} }));
    assert_eq!(harness.request("DELETE", "auth/cert/crls/l", Value::Null).0, 204);
    assert_eq!(log_in(&mut harness, &leaf).0, 200);
    for body in [json!({ "crl": "nope" }), json!({ "crl": own.pem() }), json!({ "url": "http://x.example/crl" })] {
        assert_eq!(harness.request("POST", "auth/cert/crls/l", body.clone()).0, 400, "{body}");
    }
}

// check 102
#[test]
fn a_token_is_renewed_with_the_certificate_that_made_it() {
    let own = authority("own");
    let mut harness = mounted(&[("e", json!({ "certificate": own.pem(), "token_ttl": "1h" }))]);
    let (leaf, another) = (issued(&own, &client()), issued(&own, &client()));
    let (_, body) = log_in(&mut harness, std::slice::from_ref(&leaf));
    let token = body["auth"]["client_token"].as_str().unwrap().to_owned();
    let renew = |harness: &mut Harness, chain: &[&Vec<u8>]| {
        harness.client_certificates = chain.iter().map(|der| (*der).clone()).collect();
        harness.request_as(&token, "POST", "auth/token/renew-self", json!({})).0
    };
    assert_eq!(renew(&mut harness, &[&leaf]), 200);
    assert_eq!((renew(&mut harness, &[]), renew(&mut harness, &[&another])), (403, 403));
    assert_eq!(harness.request("POST", "auth/cert/config", json!({ "disable_binding": true })).0, 204);
    assert_eq!(renew(&mut harness, &[]), 200);
    harness.request("POST", "auth/cert/config", json!({ "disable_binding": false }));
    harness.request("POST", "auth/cert/crls/l", json!({ "crl": revoking(&own, 77) }));
    assert_eq!(renew(&mut harness, &[&leaf]), 403);
    harness.request("DELETE", "auth/cert/certs/e", Value::Null);
    assert_eq!(renew(&mut harness, &[&leaf]), 400);
}

#[test]
fn what_is_no_trust_is_refused() {
    let own = authority("own");
    let mut harness = mounted(&[]);
    for body in [
        json!({}),
        json!({ "certificate": "/etc/ssl/ca.pem" }),
        json!({ "certificate": own.pem(), "ocsp_enabled": true }),
        json!({ "certificate": own.pem(), "ocsp_servers_override": "http://x.example" }),
        json!({ "certificate": own.pem(), "required_extensions": "1.2.3.4" }),
    ] {
        assert_eq!(harness.request("POST", "auth/cert/certs/e", body.clone()).0, 400, "{body}");
    }
    assert_eq!(harness.request("POST", "auth/cert/config", json!({ "ocsp_cache_size": 10 })).0, 400);
}
