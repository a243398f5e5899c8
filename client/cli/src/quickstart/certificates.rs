//! A certificate authority for the API and a server certificate for each node.
//!
//! Nodes among themselves need none of it: they know each other by the keys that the cluster pinned.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    SanType,
};

use super::error::QuickstartError;
use super::folder::{Folder, write_private};

/// Makes all certificates.
pub(super) fn make(folder: &Folder) -> Result<(), QuickstartError> {
    let failed = |error: rcgen::Error| QuickstartError::Certificates(error.to_string());
    let authority_key = KeyPair::generate().map_err(failed)?;
    let authority = authority_parameters().map_err(failed)?;
    let certificate = authority.self_signed(&authority_key).map_err(failed)?;
    write_private(&folder.ca(), certificate.pem().as_bytes())?;
    let issuer = Issuer::new(authority, authority_key);
    for node in folder.nodes() {
        let key = KeyPair::generate().map_err(failed)?;
        let parameters = server_parameters(&node.name).map_err(failed)?;
        let certificate = parameters.signed_by(&key, &issuer).map_err(failed)?;
        write_private(&folder.certificate(&node), certificate.pem().as_bytes())?;
        write_private(&folder.key(&node), key.serialize_pem().as_bytes())?;
    }
    Ok(())
}

fn authority_parameters() -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(Vec::<String>::new())?;
    parameters.distinguished_name.push(DnType::CommonName, "Conclave quickstart CA");
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(parameters)
}

fn server_parameters(name: &str) -> Result<CertificateParams, rcgen::Error> {
    let mut parameters = CertificateParams::new(vec!["localhost".to_owned()])?;
    parameters.distinguished_name.push(DnType::CommonName, name);
    parameters.subject_alt_names.push(SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST)));
    parameters.subject_alt_names.push(SanType::IpAddress(IpAddr::V6(Ipv6Addr::LOCALHOST)));
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    Ok(parameters)
}
