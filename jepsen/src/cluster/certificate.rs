//! A certificate for the API of every node, signed by itself: clients that trust it trust nothing else.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use super::error::ClusterError;

/// A certificate and its key in files, as servers want them.
#[derive(Clone, Debug)]
pub struct Certificate {
    /// The certificate's file, in PEM form.
    pub chain: PathBuf,
    /// The key's file, in PEM form.
    pub key: PathBuf,
    /// What the first file holds, for clients to trust.
    pub pem: String,
}

impl Certificate {
    /// Makes one for these hosts and writes it into a folder.
    ///
    /// # Errors
    /// [`ClusterError::Certificate`], or [`ClusterError::File`].
    pub fn write(folder: &Path, hosts: impl IntoIterator<Item = Ipv4Addr>) -> Result<Self, ClusterError> {
        let hosts: Vec<_> = hosts.into_iter().map(|host| host.to_string()).collect();
        let made = rcgen::generate_simple_self_signed(hosts).map_err(ClusterError::Certificate)?;
        let (chain, key, pem) = (folder.join("api.pem"), folder.join("api-key.pem"), made.cert.pem());
        fs::write(&chain, &pem).map_err(ClusterError::file(&chain))?;
        fs::write(&key, made.signing_key.serialize_pem()).map_err(ClusterError::file(&key))?;
        Ok(Self { chain, key, pem })
    }
}
