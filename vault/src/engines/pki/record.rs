//! What is stored of a mount: issuers, keys, certificates, and its settings. Numbers of fields are never reused.

use prost::Message;
use zeroize::Zeroize;

use super::signing::PkiKeyKind;

/// A key of an authority. Has no `Debug`: it is a secret.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct PkiKeyRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(enumeration = "PkiKeyKind", tag = "3")]
    pub(super) kind: i32,
    /// Bits of the modulus or the curve; 0 of Ed25519.
    #[prost(uint32, tag = "4")]
    pub(super) bits: u32,
    /// PKCS #8.
    #[prost(bytes = "vec", tag = "5")]
    pub(super) secret: Vec<u8>,
    /// SubjectPublicKeyInfo.
    #[prost(bytes = "vec", tag = "6")]
    pub(super) public: Vec<u8>,
}

impl Drop for PkiKeyRecord {
    fn drop(&mut self) {
        self.secret.zeroize();
    }
}

/// Where those who check certificates find out more.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct UrlsRecord {
    #[prost(string, repeated, tag = "1")]
    pub(super) issuing_certificates: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) crl_distribution_points: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) delta_crl_distribution_points: Vec<String>,
    #[prost(string, repeated, tag = "4")]
    pub(super) ocsp_servers: Vec<String>,
    /// Whether the URLs name the issuer and the cluster's path by templates.
    #[prost(bool, tag = "5")]
    pub(super) has_templates: bool,
}

/// What happens to a certificate that would outlast its issuer. The numbers are part of the disk format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(super) enum LeafNotAfter {
    /// It is refused.
    Err = 0,
    /// It ends with its issuer.
    Truncate = 1,
    /// It outlasts it.
    Permit = 2,
}

/// A certificate of an authority, with or without its key.
#[derive(Clone, PartialEq, Message)]
pub(super) struct IssuerRecord {
    /// A UUID.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    /// Id of its key; empty if that is not here.
    #[prost(string, tag = "3")]
    pub(super) key_id: String,
    #[prost(bytes = "vec", tag = "4")]
    pub(super) der: Vec<u8>,
    /// Ids of the issuers up to a root, itself first.
    #[prost(string, repeated, tag = "5")]
    pub(super) chain: Vec<String>,
    /// The same as an operator said it; empty if none did.
    #[prost(string, repeated, tag = "6")]
    pub(super) manual_chain: Vec<String>,
    #[prost(enumeration = "LeafNotAfter", tag = "7")]
    pub(super) leaf_not_after: i32,
    /// Bits of [`super::issuer::Usage`].
    #[prost(uint32, tag = "8")]
    pub(super) usage: u32,
    /// Name of what its lists and OCSP replies are signed with; empty is what fits the key.
    #[prost(string, tag = "9")]
    pub(super) revocation_algorithm: String,
    /// When it was revoked, in nanoseconds since 1970; 0 if it was not.
    #[prost(int64, tag = "10")]
    pub(super) revoked_nanos: i64,
    /// In place of the mount's, if any is set.
    #[prost(message, required, tag = "11")]
    pub(super) urls: UrlsRecord,
}

/// Which issuer is meant by `default`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct IssuersConfigRecord {
    /// Id; empty if there is none.
    #[prost(string, tag = "1")]
    pub(super) default: String,
    /// Whether each new issuer that has its key becomes the default.
    #[prost(bool, tag = "2")]
    pub(super) follows_latest: bool,
}

/// Which key is meant by `default`.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct KeysConfigRecord {
    /// Id; empty if there is none.
    #[prost(string, tag = "1")]
    pub(super) default: String,
}

/// A name's issuer or key.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct NamedRecord {
    #[prost(string, tag = "1")]
    pub(super) id: String,
}

/// Where the cluster is reached.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct PkiClusterRecord {
    #[prost(string, tag = "1")]
    pub(super) path: String,
    #[prost(string, tag = "2")]
    pub(super) aia_path: String,
}

/// A certificate that was issued.
#[derive(Clone, PartialEq, Message)]
pub(super) struct CertificateRecord {
    #[prost(bytes = "vec", tag = "1")]
    pub(super) der: Vec<u8>,
    /// Seconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) not_after: i64,
}

/// That a certificate is revoked.
#[derive(Clone, PartialEq, Eq, Message)]
pub(super) struct RevokedRecord {
    /// Whose list it is on.
    #[prost(string, tag = "1")]
    pub(super) issuer_id: String,
    /// Nanoseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) revoked_nanos: i64,
    /// When the certificate ends, in seconds since 1970.
    #[prost(int64, tag = "3")]
    pub(super) not_after: i64,
}
