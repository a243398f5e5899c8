//! Dev mode: a server in memory that is unsealed and says its secrets on standard output. For trying things out only.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};

use crate::config::{ClientCertificate, Config, Tls, TlsVersion, address};
use crate::fresh::DevSecrets;
use crate::server::flags::Flags;

/// Where a dev server listens unless told otherwise.
const DEFAULT_ADDRESS: &str = "127.0.0.1:8200";

/// Why a dev server does not start.
#[derive(Debug, thiserror::Error)]
pub enum DevError {
    /// The address is none.
    #[error("-dev-listen-address must be host:port, such as 127.0.0.1:8200")]
    Address,
    /// Certificates cannot be made.
    #[error("certificates for -dev-tls could not be made")]
    Certificate(#[from] rcgen::Error),
    /// Files cannot be written.
    #[error("{path} cannot be written")]
    File {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The configuration that dev mode starts from.
pub fn config(flags: &Flags) -> Result<Config, DevError> {
    let given = flags.dev_address.as_deref().unwrap_or(DEFAULT_ADDRESS);
    let given = address::bindable(given).ok_or(DevError::Address)?;
    let mut config = Config::memory(&given);
    config.ui = true;
    if flags.dev_tls {
        let folder = match &flags.dev_tls_folder {
            Some(folder) => folder.clone(),
            None => std::env::temp_dir().join(format!("conclave-dev-{}", std::process::id())),
        };
        config.listeners[0].tls = Some(write_certificates(&folder, &given)?);
    }
    Ok(config)
}

/// Makes an authority and a certificate of it for this machine.
fn write_certificates(folder: &Path, given: &str) -> Result<Tls, DevError> {
    let mut authority = CertificateParams::new(Vec::new())?;
    authority.distinguished_name.push(DnType::CommonName, "Conclave dev authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let host = address::split(given).map_or("", |(host, _)| host);
    if !names.iter().any(|name| name == host) {
        names.push(host.to_owned());
    }
    let mut server = CertificateParams::new(names)?;
    server.distinguished_name.push(DnType::CommonName, "localhost");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &authority)?;
    fs::create_dir_all(folder).map_err(|source| DevError::File { path: folder.to_owned(), source })?;
    let write = |name: &str, text: &str, mode: u32| {
        let path = folder.join(name);
        write_file(&path, text, mode).map_err(|source| DevError::File { path: path.clone(), source }).map(|()| path)
    };
    write("vault-ca.pem", &authority.pem(), 0o644)?;
    Ok(Tls {
        cert_file: write("vault-cert.pem", &certificate.pem(), 0o644)?,
        key_file: write("vault-key.pem", &key.serialize_pem(), 0o600)?,
        client_ca_file: None,
        min_version: TlsVersion::Tls12,
        max_version: TlsVersion::Tls13,
        client_certificate: ClientCertificate::Requested,
    })
}

/// Writes a file that is nobody's link, with the wanted rights from the start.
fn write_file(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    let flags = libc::O_NOFOLLOW;
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(mode).custom_flags(flags).open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(text.as_bytes())
}

/// Keeps the root token where the command line looks for it. A failure is a note, not the end.
pub fn keep_token(secrets: &DevSecrets) {
    let Some(home) = std::env::var_os("HOME").filter(|home| !home.is_empty()) else { return };
    let path = Path::new(&home).join(".vault-token");
    if let Err(error) = write_file(&path, &secrets.root_token, 0o600) {
        tracing::warn!(%error, "the root token could not be kept in the home folder");
    }
}

/// What a dev server says when it is ready.
pub fn banner(config: &Config, secrets: &DevSecrets, ca_file: Option<&Path>) -> String {
    let mut exports = format!("    $ export VAULT_ADDR='{}'\n", config.api_addr);
    if let Some(path) = ca_file {
        exports.push_str(&format!("    $ export VAULT_CACERT='{}'\n", path.display()));
    }
    let place = match config.storage.folder() {
        None => "Everything is kept in memory".to_owned(),
        Some(folder) => format!("Data is kept in {}", folder.display()),
    };
    format!(
        "WARNING! dev mode is enabled! {place}, the server is unsealed with a single key, and the \
         root token is shown below. Never use it in production.\n\n\
         You may need to set the following environment variables:\n\n{exports}\n\
         The unseal key and the root token:\n\n\
         Unseal Key: {}\nRoot Token: {}\n\n\
         Development mode should NOT be used in production installations!\n\n",
        secrets.unseal_key.as_str(),
        secrets.root_token.as_str()
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Storage;

    #[test]
    fn dev_tls_writes_certificates_that_a_listener_takes() {
        let folder = tempfile::tempdir().unwrap();
        let flags = Flags { dev_tls: true, dev_tls_folder: Some(folder.path().to_owned()), ..Flags::default() };
        let config = config(&flags).unwrap();
        assert!(folder.path().join("vault-ca.pem").exists());
        crate::http::tls::Certificates::load(config.listeners[0].tls.as_ref().unwrap()).unwrap();
        let mode = fs::metadata(folder.path().join("vault-key.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn the_banner_has_the_lines_that_scripts_look_for() {
        let secrets = DevSecrets { unseal_key: String::from("k").into(), root_token: String::from("t").into() };
        let text = banner(&Config::memory("127.0.0.1:8200"), &secrets, None);
        assert!(text.contains("Everything is kept in memory"));
        let on_disk = Config { storage: Storage::File { path: "/x".into() }, ..Config::memory("127.0.0.1:8200") };
        assert!(banner(&on_disk, &secrets, None).contains("Data is kept in /x"));
        assert!(text.lines().any(|line| line == "Unseal Key: k"));
        assert!(text.lines().any(|line| line == "Root Token: t"));
        assert!(text.contains("export VAULT_ADDR='http://127.0.0.1:8200'"));
    }

    #[test]
    fn a_token_file_that_is_a_link_is_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let (target, link) = (folder.path().join("target"), folder.path().join("link"));
        fs::write(&target, "old").unwrap();
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(write_file(&link, "new", 0o600).is_err());
        assert_eq!(fs::read_to_string(&target).unwrap(), "old");
    }
}
