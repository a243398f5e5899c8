//! Certificates: which are believed, and what is said of those that are not.

use std::sync::Arc;
use std::time::Duration;

use conclave_client::{Cause, Client, ClientBuilder, Error, Request, TlsFault};
use rcgen::{BasicConstraints, CertificateParams, CertifiedKey, DnType, IsCa, KeyPair};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;

use crate::fake::{Act, Fake, Seen, answer};

const WELL: &str = r#"{"request_id": "r", "data": {"word": "well"}}"#;

/// A certificate that signs itself, and so its own authority.
pub(crate) struct Authority {
    pub(crate) pem: String,
    certificate: CertifiedKey<KeyPair>,
}

pub(crate) fn authority(names: &[&str]) -> Authority {
    authority_with(names, |_| {})
}

fn authority_with(names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Authority {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut wanted = CertificateParams::new(names).expect("valid names");
    change(&mut wanted);
    let signing_key = KeyPair::generate().expect("a key");
    let cert = wanted.self_signed(&signing_key).expect("a certificate");
    Authority { pem: cert.pem(), certificate: CertifiedKey { cert, signing_key } }
}

pub(crate) async fn tls_node(authority: &Authority, handler: impl Fn(&Seen) -> Act + Send + Sync + 'static) -> Fake {
    node(authority, None, handler).await
}

/// A node that shows this certificate, and speaks one protocol only.
async fn node(
    own: &Authority,
    protocol: Option<&[u8]>,
    handler: impl Fn(&Seen) -> Act + Send + Sync + 'static,
) -> Fake {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has them");
    let builder = builder.with_no_client_auth();
    let key = PrivatePkcs8KeyDer::from(own.certificate.signing_key.serialize_der());
    let chain = vec![own.certificate.cert.der().clone()];
    let mut configuration = builder.with_single_cert(chain, key.into()).expect("a key that fits");
    configuration.alpn_protocols = protocol.into_iter().map(<[u8]>::to_vec).collect();
    Fake::start_tls(configuration, handler).await
}

fn builder(address: &str) -> ClientBuilder {
    Client::builder().address(address).token("hvs.canary").deadline(Duration::from_secs(5)).max_retries(0)
}

/// What a client that trusts one authority says of a node.
async fn fault(node: &Fake, trusted: &Authority) -> Option<TlsFault> {
    let client = builder(&node.address.replace("http://", "https://"))
        .ca_cert_pem(trusted.pem.clone())
        .build()
        .expect("a client");
    let (Error::Unreachable { attempts, .. } | Error::Unanswered { attempts, .. }) =
        client.send(Request::get("secret/app")).await.expect_err("the node answers nothing of use")
    else {
        return None;
    };
    assert_eq!(node.count(), 0, "a token went to somebody who is not believed");
    match attempts[0].cause {
        Cause::Tls { fault, .. } => Some(fault),
        _ => None,
    }
}

#[tokio::test]
async fn a_node_with_a_certificate_for_another_name_gets_no_request() {
    // check 266
    let authority = authority(&["other.example"]);
    let node = tls_node(&authority, |_| answer(200, WELL).act()).await;
    assert_eq!(fault(&node, &authority).await, Some(TlsFault::OtherName));
}

#[tokio::test]
async fn an_expected_server_name_replaces_the_host() {
    let authority = authority(&["other.example"]);
    let node = tls_node(&authority, |_| answer(200, WELL).act()).await;
    let client =
        builder(&node.address).ca_cert_pem(authority.pem.clone()).tls_server_name("other.example").build().unwrap();
    assert!(client.send(Request::get("secret/app")).await.is_ok());
}

#[tokio::test]
async fn whoever_asks_not_to_verify_is_connected_to_anybody() {
    let node = tls_node(&authority(&["other.example"]), |_| answer(200, WELL).act()).await;
    let client = builder(&node.address).danger_skip_verify(true).build().unwrap();
    assert!(client.send(Request::get("secret/app")).await.is_ok());
}

#[tokio::test]
async fn an_unknown_authority_is_told_from_other_failures() {
    let (right, wrong) = (authority(&["127.0.0.1"]), authority(&["127.0.0.1"]));
    let node = tls_node(&right, |_| answer(200, WELL).act()).await;
    assert_eq!(fault(&node, &wrong).await, Some(TlsFault::UnknownAuthority), "of the same name");
    let named = |wanted: &mut CertificateParams| wanted.distinguished_name.push(DnType::CommonName, "other");
    let wrong = authority_with(&["127.0.0.1"], named);
    assert_eq!(fault(&node, &wrong).await, Some(TlsFault::UnknownAuthority), "of another name");
}

#[tokio::test]
async fn a_server_without_tls_is_told_from_other_failures() {
    let node = Fake::start(|_| answer(200, WELL).act()).await;
    assert_eq!(fault(&node, &authority(&["127.0.0.1"])).await, Some(TlsFault::NotSpoken));
}

#[tokio::test]
async fn a_certificate_out_of_its_time_is_told_from_other_failures() {
    let expired = |wanted: &mut CertificateParams| wanted.not_after = rcgen::date_time_ymd(2001, 1, 1);
    let expired = authority_with(&["127.0.0.1"], expired);
    let node = tls_node(&expired, |_| answer(200, WELL).act()).await;
    assert_eq!(fault(&node, &expired).await, Some(TlsFault::OutOfTime));
}

#[tokio::test]
async fn the_certificate_of_an_authority_is_told_from_other_failures() {
    let ca = |wanted: &mut CertificateParams| wanted.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = authority_with(&["127.0.0.1"], ca);
    let node = tls_node(&ca, |_| answer(200, WELL).act()).await;
    assert_eq!(fault(&node, &ca).await, Some(TlsFault::AuthorityAsServer));
}

#[tokio::test]
async fn a_server_that_speaks_no_http_is_told_from_other_failures() {
    let own = authority(&["127.0.0.1"]);
    let node = node(&own, Some(b"conclave-of-nodes"), |_| answer(200, WELL).act()).await;
    assert_eq!(fault(&node, &own).await, Some(TlsFault::OtherProtocol));
}
