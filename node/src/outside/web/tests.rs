//! Web servers on this machine, asked by whole messages.

use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;

/// Answers every request with these bytes, and counts them.
async fn served(answer: String, tls: Option<TlsAcceptor>) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(AtomicUsize::new(0)));
    let counted = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let answer = answer.clone();
            match &tls {
                None => say(stream, &answer, &counted).await,
                Some(tls) => {
                    if let Ok(stream) = tls.accept(stream).await {
                        say(stream, &answer, &counted).await;
                    }
                }
            }
        }
    });
    (port, asked)
}

async fn say(mut stream: impl AsyncRead + AsyncWrite + Unpin, answer: &str, asked: &AtomicUsize) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
    asked.fetch_add(1, Ordering::SeqCst);
    // Whoever asked may be gone, as one who finds the answer too long is.
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn answer(head: &str, body: &str) -> String {
    format!("HTTP/1.1 {head}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn web(limits: Limits) -> Web {
    Web::new(Outbound::default(), &limits)
}

fn get(url: String, max_age_secs: u64) -> Vec<u8> {
    message(url, "", max_age_secs)
}

fn message(url: String, ca_pem: &str, max_age_secs: u64) -> Vec<u8> {
    let (method, ca_pem) = ("GET".to_owned(), ca_pem.to_owned());
    let (headers, body, is_from_pod, trusts_pod) = (Default::default(), Vec::new(), false, false);
    WebRequest { method, url, headers, body, ca_pem, max_age_secs, is_from_pod, trusts_pod }.encode_to_vec()
}

async fn ask(web: &Web, message: &[u8]) -> Result<WebReply, String> {
    Ok(WebReply::decode(web.reach("", message).await?.as_slice()).unwrap())
}

#[tokio::test]
async fn an_answer_is_kept_as_long_as_who_asks_wants() {
    let (port, asked) = served(answer("200 OK", "{}"), None).await;
    let web = web(Limits { outside_kept_answers: 1, ..Limits::default() });
    let url = || format!("http://127.0.0.1:{port}/keys");
    for (max_age, expected) in [(300, 1), (300, 1), (0, 2), (300, 2)] {
        let reply = ask(&web, &get(url(), max_age)).await.unwrap();
        assert_eq!((reply.status, reply.body.as_slice()), (200, &b"{}"[..]));
        assert_eq!(asked.load(Ordering::SeqCst), expected);
    }
    // Another question takes its place, for there is one.
    ask(&web, &get(format!("{}?x", url()), 300)).await.unwrap();
    assert!(web.kept(&get(url(), 300)).is_none() && web.kept(&get(format!("{}?x", url()), 300)).is_some());
}

// check 258
#[tokio::test]
async fn what_leads_elsewhere_or_is_too_long_is_no_answer() {
    let (elsewhere, asked) = served(answer("200 OK", "{}"), None).await;
    let (port, _) = served(answer(&format!("302 Found\r\nlocation: http://127.0.0.1:{elsewhere}/"), ""), None).await;
    let reply = ask(&web(Limits::default()), &get(format!("http://127.0.0.1:{port}/"), 0)).await.unwrap();
    assert_eq!((reply.status, asked.load(Ordering::SeqCst)), (302, 0));
    let (port, _) = served(answer("200 OK", &"x".repeat(2_000)), None).await;
    let small = web(Limits { outside_answer_bytes: 1_000, ..Limits::default() });
    let error = ask(&small, &get(format!("http://127.0.0.1:{port}/"), 300)).await.err().unwrap();
    assert!(error.contains("longer than 1000 bytes"), "{error}");
    let error = ask(&small, &get("http://169.254.169.254/latest".into(), 0)).await.err().unwrap();
    assert!(error.contains("does not allow"), "{error}");
    let error = ask(&small, &get("http://192.0.2.1/".into(), 0)).await.err().unwrap();
    assert!(error.contains("use https"), "{error}");
    for url in ["ftp://127.0.0.1/", "/etc/passwd", "https://"] {
        assert!(ask(&small, &get(url.into(), 0)).await.err().unwrap().contains("its URL is none"), "{url}");
    }
}

// check 259
#[tokio::test]
async fn a_server_is_believed_by_its_authority_and_its_name() {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![cert.der().clone()], key)
        .unwrap();
    let (port, _) = served(answer("200 OK", "{}"), Some(TlsAcceptor::from(Arc::new(config)))).await;
    let web = web(Limits::default());
    let named = |host: &str, ca: &str| message(format!("https://{host}:{port}/"), ca, 0);
    assert_eq!(ask(&web, &named("localhost", &cert.pem())).await.unwrap().status, 200);
    for wrong in [named("localhost", ""), named("127.0.0.1", &cert.pem())] {
        let error = ask(&web, &wrong).await.err().unwrap();
        assert!(error.contains("certificate is not trusted"), "{error}");
    }
}
