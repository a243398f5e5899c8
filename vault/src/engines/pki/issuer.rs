//! Issuers: certificates of authorities, how they are found, what each may do, and who stands above whom.
//!
//! What surprises: the chain of an issuer is stored with it, so that issuing reads a handful of records. Whoever adds, removes or
//! changes an issuer has all of them in hand ([`Issuers`]), and saves them with new chains.

use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

use super::key;
use super::record::{IssuerRecord, IssuersConfigRecord, NamedRecord, PkiKeyRecord};
use super::signing;
use crate::engines::listing;
use crate::engines::pairs;
use crate::error::{Error, ErrorKind, multi};
use crate::mount::Mount;
use crate::store::Store;

/// Directory of the issuers in the mount's area, by id.
const FOLDER: &str = "issuer";
/// Directory of their names.
const NAMES: &str = "issuer-name";
/// Which one is the default.
const CONFIG: &[&str] = &["config", "issuers"];
/// Most issuers of a mount.
pub(super) const MAX_ISSUERS: usize = 128;
/// Most issuers of a chain.
pub(super) const MAX_CHAIN: usize = 16;
/// Longest name of an issuer or a key, in bytes.
pub(super) const MAX_NAME_BYTES: usize = 256;
/// The reference that means the default.
pub(super) const DEFAULT: &str = "default";

/// What an issuer may do: bits.
pub(super) struct Usage;

impl Usage {
    pub(super) const READ: u32 = 1;
    pub(super) const ISSUING: u32 = 1 << 1;
    pub(super) const CRL: u32 = 1 << 2;
    pub(super) const OCSP: u32 = 1 << 3;
    pub(super) const ALL: u32 = Self::READ | Self::ISSUING | Self::CRL | Self::OCSP;

    /// Names and bits, sorted.
    const NAMES: [(&str, u32); 4] = [
        ("crl-signing", Self::CRL),
        ("issuing-certificates", Self::ISSUING),
        ("ocsp-signing", Self::OCSP),
        ("read-only", Self::READ),
    ];

    /// The bits of names; every issuer can be read.
    pub(super) fn parse(names: &[String]) -> Result<u32, Error> {
        names.iter().try_fold(Self::READ, |bits, name| {
            let found = Self::NAMES.iter().find(|(known, _)| known == name).map(|(_, bit)| bits | bit);
            found.ok_or_else(|| {
                Error::invalid(format!("usage holds an unknown word; valid are {}", Self::shown(Self::ALL)))
            })
        })
    }

    /// The names of bits.
    pub(super) fn shown(bits: u32) -> String {
        let names = Self::NAMES.iter().filter(|(_, bit)| bits & bit != 0).map(|(name, _)| *name);
        names.collect::<Vec<_>>().join(",")
    }
}

/// One certificate and nothing behind it.
pub(super) fn parse(der: &[u8]) -> Option<X509Certificate<'_>> {
    X509Certificate::from_der(der).ok().filter(|(rest, _)| rest.is_empty()).map(|(_, certificate)| certificate)
}

impl IssuerRecord {
    /// Its certificate.
    pub(super) fn certificate(&self) -> Result<X509Certificate<'_>, Error> {
        parse(&self.der).ok_or_else(|| Error::internal("a stored certificate does not parse"))
    }

    /// Its certificate in PEM, without a line end behind it.
    pub(super) fn pem(&self) -> String {
        pem(&self.der)
    }

    /// Whether it may do something.
    pub(super) fn may(&self, usage: u32) -> bool {
        self.usage & usage == usage
    }

    /// Refuses what it may not do.
    pub(super) fn check(&self, usage: u32) -> Result<(), Error> {
        if self.may(usage) {
            return Ok(());
        }
        Err(Error::invalid(format!(
            "issuer {} may not be used for {}: its usage is {}; choose another issuer or change its usage",
            self.id,
            Usage::shown(usage),
            Usage::shown(self.usage)
        )))
    }
}

/// A certificate in PEM, without a line end behind it.
pub(super) fn pem(der: &[u8]) -> String {
    pairs::pem("CERTIFICATE", der).trim_end().to_owned()
}

/// Whether one certificate is signed by the key of another.
pub(super) fn is_signed_by(certificate: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    certificate.issuer().as_raw() == issuer.subject().as_raw()
        && signing::verify(
            issuer.public_key().raw,
            &certificate.signature_algorithm,
            certificate.tbs_certificate.as_ref(),
            &certificate.signature_value.data,
        )
}

/// Which issuer is the default.
pub(super) fn config(store: &mut Store<'_>, mount: &Mount) -> Result<IssuersConfigRecord, Error> {
    Ok(store.get(&mount.area, CONFIG)?.unwrap_or_default())
}

pub(super) fn save_config(store: &mut Store<'_>, mount: &Mount, config: &IssuersConfigRecord) -> Result<(), Error> {
    store.put(&mount.area, CONFIG, config)
}

fn by_id(store: &mut Store<'_>, mount: &Mount, id: &str) -> Result<Option<IssuerRecord>, Error> {
    if id.is_empty() { Ok(None) } else { store.get(&mount.area, &[FOLDER, id]) }
}

/// The issuer of a reference: `default`, an id, or a name.
pub(super) fn find(store: &mut Store<'_>, mount: &Mount, reference: &str) -> Result<Option<IssuerRecord>, Error> {
    if reference == DEFAULT || reference.is_empty() {
        let id = config(store, mount)?.default;
        return by_id(store, mount, &id);
    }
    let named: Option<NamedRecord> = store.get(&mount.area, &[NAMES, reference])?;
    by_id(store, mount, named.as_ref().map_or(reference, |named| &named.id))
}

/// As [`find`], for who cannot go on without.
pub(super) fn get(store: &mut Store<'_>, mount: &Mount, reference: &str) -> Result<IssuerRecord, Error> {
    find(store, mount, reference)?.ok_or_else(|| missing(reference))
}

/// That there is no such issuer, in the status and the form that clients know.
pub(super) fn missing(reference: &str) -> Error {
    let kind = if reference == DEFAULT { ErrorKind::Invalid } else { ErrorKind::Internal };
    Error::new(kind, multi(&format!("unable to find PKI issuer for reference: {reference}")))
}

/// An issuer that may do something, and its key.
pub(super) fn signer(
    store: &mut Store<'_>,
    mount: &Mount,
    reference: &str,
    usage: u32,
) -> Result<(IssuerRecord, PkiKeyRecord), Error> {
    let found = find(store, mount, reference)?.ok_or_else(|| {
        Error::invalid(format!(
            "could not fetch the CA certificate (was one set?): unable to find PKI issuer for reference: {reference}"
        ))
    })?;
    found.check(usage)?;
    let key = key::by_id(store, mount, &found.key_id)?;
    let key =
        key.ok_or_else(|| Error::invalid(format!("the key of issuer {} is not here; import it first", found.id)))?;
    Ok((found, key))
}

/// The issuers of a chain, the issuer itself first.
pub(super) fn chain(store: &mut Store<'_>, mount: &Mount, issuer: &IssuerRecord) -> Result<Vec<IssuerRecord>, Error> {
    let mut chain = vec![issuer.clone()];
    for id in issuer.chain.iter().filter(|id| **id != issuer.id) {
        chain.extend(by_id(store, mount, id)?);
    }
    Ok(chain)
}

/// All issuers of a mount.
pub(super) struct Issuers {
    pub(super) all: Vec<IssuerRecord>,
    before: Vec<IssuerRecord>,
}

impl Issuers {
    /// Those that are stored, sorted by id.
    pub(super) fn load(store: &mut Store<'_>, mount: &Mount) -> Result<Self, Error> {
        let mut all = Vec::new();
        for id in listing::keys(&store.list(&mount.area, &[FOLDER])?) {
            all.extend(by_id(store, mount, &id)?);
        }
        Ok(Self { before: all.clone(), all })
    }

    /// One by its id.
    pub(super) fn by_id(&mut self, id: &str) -> Option<&mut IssuerRecord> {
        self.all.iter_mut().find(|issuer| issuer.id == id)
    }

    /// One that has this certificate.
    pub(super) fn with_certificate(&self, der: &[u8]) -> Option<&IssuerRecord> {
        self.all.iter().find(|issuer| issuer.der == der)
    }

    /// Adds one.
    pub(super) fn add(&mut self, issuer: IssuerRecord) -> Result<(), Error> {
        if self.all.len() >= MAX_ISSUERS {
            return Err(Error::invalid(format!("a mount has at most {MAX_ISSUERS} issuers; delete some first")));
        }
        self.all.push(issuer);
        Ok(())
    }

    /// Refuses a name that is no name, or that another issuer than `id` has.
    pub(super) fn check_name(&self, name: &str, id: &str) -> Result<(), Error> {
        check_name("issuer", name)?;
        match self.all.iter().any(|issuer| !name.is_empty() && issuer.name == name && issuer.id != id) {
            true => Err(Error::invalid("issuer name already in use")),
            false => Ok(()),
        }
    }

    /// Stores what changed, with new chains.
    pub(super) fn save(mut self, store: &mut Store<'_>, mount: &Mount) -> Result<(), Error> {
        self.link()?;
        for old in &self.before {
            let now = self.all.iter().find(|issuer| issuer.id == old.id);
            if now.is_none() {
                store.delete(&mount.area, &[FOLDER, &old.id]);
            }
            if !old.name.is_empty() && now.is_none_or(|now| now.name != old.name) {
                store.delete(&mount.area, &[NAMES, &old.name]);
            }
        }
        for issuer in &self.all {
            let old = self.before.iter().find(|old| old.id == issuer.id);
            if old != Some(issuer) {
                store.put(&mount.area, &[FOLDER, &issuer.id], issuer)?;
            }
            if !issuer.name.is_empty() && old.is_none_or(|old| old.name != issuer.name) {
                store.put(&mount.area, &[NAMES, &issuer.name], &NamedRecord { id: issuer.id.clone() })?;
            }
        }
        Ok(())
    }

    /// Finds out who stands above whom.
    fn link(&mut self) -> Result<(), Error> {
        let certificates = self.all.iter().map(IssuerRecord::certificate).collect::<Result<Vec<_>, _>>()?;
        let above: Vec<Option<usize>> = certificates
            .iter()
            .enumerate()
            .map(|(place, certificate)| {
                let is_above = |other: &usize| *other != place && is_signed_by(certificate, &certificates[*other]);
                (!is_signed_by(certificate, certificate)).then(|| (0..certificates.len()).find(is_above)).flatten()
            })
            .collect();
        let chains: Vec<Vec<String>> = (0..self.all.len()).map(|place| self.chain_of(place, &above)).collect();
        for (issuer, chain) in self.all.iter_mut().zip(chains) {
            issuer.chain = chain;
        }
        Ok(())
    }

    fn chain_of(&self, place: usize, above: &[Option<usize>]) -> Vec<String> {
        let issuer = &self.all[place];
        if !issuer.manual_chain.is_empty() {
            let is_there = |id: &&String| self.all.iter().any(|issuer| issuer.id == **id);
            return issuer.manual_chain.iter().filter(is_there).cloned().collect();
        }
        let (mut chain, mut next) = (Vec::new(), Some(place));
        while let Some(place) = next.filter(|place| !chain.contains(&self.all[*place].id) && chain.len() < MAX_CHAIN) {
            chain.push(self.all[place].id.clone());
            next = above[place];
        }
        chain
    }
}

/// Refuses what is no name of an issuer or a key.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), Error> {
    if name == DEFAULT {
        return Err(Error::invalid(format!("reserved keyword 'default' can not be used as {what} name")));
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let fits = name.chars().all(|c| is_word(c) || matches!(c, '-' | '.'))
        && name.chars().next().is_none_or(is_word)
        && name.chars().next_back().is_none_or(is_word)
        && name.len() <= MAX_NAME_BYTES;
    match fits {
        true => Ok(()),
        false => Err(Error::invalid(format!(
            "{what} name contains invalid characters: letters, digits, dots, dashes and underscores make a name, up to \
             {MAX_NAME_BYTES}"
        ))),
    }
}
