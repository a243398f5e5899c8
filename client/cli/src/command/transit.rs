//! `transit`: keys that were made elsewhere, wrapped here so that the server alone can open them.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded};
use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::assignment;
use crate::command::write;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// What AES-KWP adds to a key at most, in bytes (RFC 5649).
const WRAP_BYTES: usize = 16;

/// What can be done with transit besides reading and writing.
#[derive(Subcommand)]
pub(crate) enum Transit {
    Import(TransitImport),
    ImportVersion(TransitImportVersion),
}

/// Make a key out of one that was made elsewhere.
#[derive(Args)]
pub(crate) struct TransitImport {
    #[command(flatten)]
    import: WrappedImport,
}

/// Add a version to an imported key.
#[derive(Args)]
pub(crate) struct TransitImportVersion {
    #[command(flatten)]
    import: WrappedImport,
}

/// A key to be imported.
#[derive(Args)]
struct WrappedImport {
    /// Where the key will be, such as transit/keys/app.
    path: String,
    /// The key in base64, or @file, or -: raw bytes of symmetric and HMAC keys, PKCS #8 in DER of others.
    key: String,
    /// More data: name=value, such as type=rsa-2048.
    data: Vec<String>,
}

impl Transit {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Import(command) => command.import.run(session, "import").await,
            Self::ImportVersion(command) => command.import.run(session, "import_version").await,
        }
    }
}

impl WrappedImport {
    async fn run(&self, session: &Session, verb: &str) -> Outcome {
        let path = self.path.trim_matches('/');
        let Some((mount, name)) = path.split_once("/keys/").filter(|(_, name)| !name.contains('/')) else {
            return Err(Failure::Usage(format!("`{path}` names no key; write it as transit/keys/NAME")));
        };
        let text = Zeroizing::new(assignment::text(&self.key, &mut std::io::stdin().lock())?);
        let key = STANDARD.decode(text.trim()).map(Zeroizing::new);
        let key = key.map_err(|_| Failure::Usage("the key is not base64".into()))?;
        let mut body = Value::Object(assignment::pairs(&self.data)?);
        let reply = session.send("reading the wrapping key", Request::get(format!("{mount}/wrapping_key"))).await?;
        let pem = reply.data().and_then(|data| data.get("public_key")).and_then(Value::as_str).unwrap_or_default();
        let wrapped = wrapped(pem, &key);
        let wrapped = wrapped.ok_or_else(|| Failure::Reply("the server's wrapping key is no RSA key".into()))?;
        body["ciphertext"] = json!(STANDARD.encode(wrapped));
        body["hash_function"] = json!("SHA256");
        let target = format!("{mount}/keys/{name}/{verb}");
        let reply = session.send("importing the key", Request::post(&target, &body)).await?;
        write::written(session, &reply, &target)
    }
}

/// A key under an AES key of this moment, behind that AES key under the server's (RFC 5649; RFC 8017, section 7.1).
fn wrapped(pem: &str, key: &[u8]) -> Option<Vec<u8>> {
    let body: String = pem.lines().filter(|line| !line.starts_with("-----")).collect();
    let public =
        OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&STANDARD.decode(body).ok()?).ok()?).ok()?;
    let mut ephemeral = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(ephemeral.as_mut_slice()).ok()?;
    let mut outer = vec![0; public.ciphertext_size()];
    let outer = public.encrypt(&OAEP_SHA256_MGF1SHA256, ephemeral.as_slice(), &mut outer, None).ok()?;
    let mut inner = vec![0; key.len() + WRAP_BYTES];
    let inner = AesKek::new(&AES_256, ephemeral.as_slice()).ok()?.wrap_with_padding(key, &mut inner).ok()?;
    Some([&*outer, &*inner].concat())
}
