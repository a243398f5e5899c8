//! TLS files that change while the listener serves.

use rcgen::{BasicConstraints, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose};
use rustls::HandshakeKind;

use super::*;

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn issuer() -> Issuer {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// A client with a certificate of this issuer, which keeps its sessions.
fn client(
    issuer: &Issuer,
    trusted: &CertificateDer<'static>,
    version: &'static rustls::SupportedProtocolVersion,
) -> TlsConnector {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[version])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(Arc::new(Shows(shown(certificate.der().clone(), &key))));
    TlsConnector::from(Arc::new(config))
}

/// How the handshake went of a connection on which a request was answered; `None` if none was.
async fn asked(stage: &Stage, client: &TlsConnector) -> Option<HandshakeKind> {
    let stream = TcpStream::connect(stage.address).await.unwrap();
    let mut stream = client.connect(ServerName::try_from("localhost").unwrap(), stream).await.ok()?;
    let reply = exchange(&mut stream, request("GET /v1/a", "").as_bytes()).await;
    reply.starts_with("HTTP/1.1 200").then(|| stream.get_ref().1.handshake_kind())?
}

#[tokio::test]
async fn authorities_that_were_taken_back_are_believed_no_more_nor_are_sessions_that_they_began() {
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let folder = tempfile::tempdir().unwrap();
        let trusted = certify(folder.path());
        let authorities = folder.path().join("ca.pem");
        let (old, new) = (issuer(), issuer());
        std::fs::write(&authorities, old.pem()).unwrap();
        let mut listener = with_tls(folder.path());
        let tls = listener.tls.as_mut().unwrap();
        (tls.client_ca_file, tls.client_certificate) = (Some(authorities.clone()), ClientCertificate::Required);
        let stage = stage(listener, Limits::default()).await;
        let certificates = stage.certificates.clone().unwrap();
        let (of_old, of_new) = (client(&old, &trusted, version), client(&new, &trusted, version));
        assert_eq!(asked(&stage, &of_old).await, Some(HandshakeKind::Full));
        assert_eq!(asked(&stage, &of_old).await, Some(HandshakeKind::Resumed), "it has a session to go on with");
        assert_eq!(asked(&stage, &of_new).await, None);

        std::fs::write(&authorities, "broken").unwrap();
        let refused = certificates.reload().unwrap_err();
        assert!(refused.to_string().contains("ca.pem"), "{refused}");
        assert!(asked(&stage, &of_old).await.is_some() && asked(&stage, &of_new).await.is_none(), "the old ones stay");

        std::fs::write(&authorities, new.pem()).unwrap();
        certificates.reload().unwrap();
        assert_eq!(asked(&stage, &of_old).await, None, "not with its session either");
        assert_eq!(asked(&stage, &of_new).await, Some(HandshakeKind::Full));
        assert_eq!(asked(&stage, &of_new).await, Some(HandshakeKind::Resumed));
    }
}

#[tokio::test]
async fn a_reload_of_which_one_file_is_wrong_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let old = certify(folder.path());
    let authorities = folder.path().join("ca.pem");
    std::fs::write(&authorities, issuer().pem()).unwrap();
    let mut listener = with_tls(folder.path());
    listener.tls.as_mut().unwrap().client_ca_file = Some(authorities.clone());
    listener.tls.as_mut().unwrap().client_certificate = ClientCertificate::Required;
    let stage = stage(listener, Limits::default()).await;
    let certificates = stage.certificates.clone().unwrap();
    let new = certify(folder.path());
    std::fs::write(&authorities, "broken").unwrap();
    assert!(certificates.reload().is_err());
    assert_eq!(certificates.end_entity(), Some(old), "neither the certificate nor the authorities");
    std::fs::write(&authorities, issuer().pem()).unwrap();
    certificates.reload().unwrap();
    assert_eq!(certificates.end_entity(), Some(new));
}
