//! Exactly once, also for a client that asks again on another node.
//!
//! The record of an `Idempotency-Key` is written by the batch that did the work, under the guard that it was absent, so
//! either both are there or neither. It lies under an HMAC of token and key, so nobody sees another's reply, and holds a
//! digest of the request, so a key cannot stand for two requests; a login's lies under one of the whole
//! request, the client's address and key. Only writes that did something are recorded: a refusal is asked again. Who lost
//! the right to ask, or whose login gave a token that ended, gets no old reply. It expires through the expiry buckets.
//!
//! What surprises: the barrier alone does not open a reply. It may hold a token or a secret id, of which nothing else keeps more
//! than an HMAC, so it is encrypted under what the client sends with its request.

use aws_lc_rs::digest::{Context as Digest, SHA256};
use prost::Message;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::barrier::aead::Aead;
use crate::barrier::derivation::derive;
use crate::context::Context;
use crate::engine::Call;
use crate::error::{Error, ErrorKind};
use crate::reply::{Raw, Reply};
use crate::request::Request;
use crate::store::Store;
use crate::task::calendar::{self, Reminder};
use crate::time::Time;
use crate::token;

/// How long a reply can be asked for again, in seconds.
pub(crate) const KEEP_SECS: u64 = 1800;
/// Salt of the derivation of a reply's key.
const REPLY_CONTEXT: &[u8] = b"conclave idempotency reply v1";

/// A reply that was given.
#[derive(Clone, PartialEq, Message)]
pub(crate) struct IdempotencyRecord {
    /// SHA-256 over operation, path, data and wrapping.
    #[prost(bytes = "vec", tag = "1")]
    pub request_digest: Vec<u8>,
    /// Status code of the reply.
    #[prost(uint32, tag = "2")]
    pub status_code: u32,
    /// Body of the reply, encrypted under [`Secrets::key`]: `nonce (12) · ciphertext · tag (16)`.
    #[prost(bytes = "vec", tag = "6")]
    pub sealed_body: Vec<u8>,
    /// Until when it answers, seconds since the Unix epoch.
    #[prost(int64, tag = "4")]
    pub expires_secs: i64,
    /// Whether that very request ended its token, so that the reply needs none.
    #[prost(bool, tag = "5")]
    pub ended_token: bool,
}

/// What only those know who may have the reply: token and key, or what a login sends.
struct Secrets {
    /// What the index and the key are for.
    purpose: &'static str,
    joined: Zeroizing<Vec<u8>>,
}

impl Secrets {
    /// `None` for a request without an idempotency key.
    fn of(request: &Request) -> Option<Self> {
        let key = request.idempotency_key.as_deref()?;
        let Some(token) = request.token.as_ref().filter(|token| !token.is_empty()) else {
            // The digest, which covers the path, has a fixed length, so digest and key cannot be cut differently.
            let address = request.remote_address.map(|address| address.to_string()).unwrap_or_default();
            let joined = [&digest_of(request), address.as_bytes(), b"\0", key.as_bytes()].concat();
            return Some(Self { purpose: "idempotency of a login", joined: Zeroizing::new(joined) });
        };
        // A token holds no NUL, so token and key cannot be cut differently.
        let joined = Zeroizing::new([token.as_bytes(), b"\0", key.as_bytes()].concat());
        Some(Self { purpose: "idempotency", joined })
    }

    /// The name of the record: an HMAC. Without a token, which a login has not, it is one over the digest of the request,
    /// the client's address and the key: only who can make the same request from there gets its reply, and a key
    /// collides with nobody's.
    fn name(&self, store: &Store<'_>) -> String {
        hex::encode(store.barrier().system_index(self.purpose, &self.joined))
    }

    /// The key of the reply.
    fn key(&self) -> Aead {
        Aead::new(derive(REPLY_CONTEXT, &self.joined, &[self.purpose.as_bytes()]).expose())
    }
}

/// The record of an idempotency key is no longer kept, by its name.
pub(crate) static EXPIRY: Reminder = Reminder {
    word: "idempotency",
    due: |store, context, name| {
        let system = store.system();
        let record: Option<IdempotencyRecord> = store.get(&system, &["idempotency", name])?;
        if record.is_some_and(|record| record.expires_secs <= context.now.secs()) {
            store.delete(&system, &["idempotency", name]);
        }
        Ok(())
    },
};

fn digest_of(request: &Request) -> Vec<u8> {
    let data = Value::Object(request.data.clone()).to_string();
    let wrap = request.wrap_ttl.as_deref().unwrap_or("");
    let mut digest = Digest::new(&SHA256);
    for part in [request.operation.as_str(), request.path.as_str(), wrap, &data] {
        digest.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
        digest.update(part.as_bytes());
    }
    // A login by certificate is another one's with another certificate.
    if let Some(certificate) = request.client_certificates.first() {
        digest.update(certificate);
    }
    digest.finish().as_ref().to_vec()
}

/// The reply that was given to the same login before, while its token is still good for something.
pub(crate) fn replay_login(
    store: &mut Store<'_>,
    context: &Context<'_>,
    request: &Request,
) -> Result<Option<Reply>, Error> {
    let Some(reply) = replay(store, request, context.now, true)? else { return Ok(None) };
    let body = reply.raw.as_ref().map(|raw| raw.body.as_slice()).unwrap_or_default();
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let given = body["auth"]["client_token"].as_str().or(body["wrap_info"]["token"].as_str());
    let is_good = match given {
        Some(token) => token::find(store, context, token)?.is_some(),
        None => true,
    };
    Ok(is_good.then_some(reply))
}

/// The reply that was given to the same request before. Without a valid token only one that ended its token is.
pub(crate) fn replay(
    store: &mut Store<'_>,
    request: &Request,
    now: Time,
    has_token: bool,
) -> Result<Option<Reply>, Error> {
    let Some(secrets) = Secrets::of(request) else { return Ok(None) };
    let name = secrets.name(store);
    let system = store.system();
    let Some(record) = store.get::<IdempotencyRecord>(&system, &["idempotency", &name])? else { return Ok(None) };
    if record.expires_secs <= now.secs() || !(has_token || record.ended_token) {
        return Ok(None);
    }
    if record.request_digest != digest_of(request) {
        return Err(Error::new(
            ErrorKind::IdempotencyMismatch,
            "the idempotency key was used for another request; use a new one for each write",
        ));
    }
    let status_code = u16::try_from(record.status_code).unwrap_or(200);
    let body = secrets.key().open(&record.request_digest, &record.sealed_body);
    let body = body.ok_or_else(|| Error::internal("the reply of an idempotency key does not open"))?;
    let raw = Raw { status_code, content_type: "application/json".into(), body: body.to_vec() };
    Ok(Some(Reply { raw: Some(raw), ..Reply::default() }))
}

/// Keeps the reply, if the request wrote something.
pub(crate) fn record(call: &mut Call<'_, '_>, reply: &Reply) -> Result<(), Error> {
    if call.request.operation.is_read() || !call.store.has_writes() || reply.action.is_some() {
        return Ok(());
    }
    let Some(secrets) = Secrets::of(call.request) else { return Ok(()) };
    let name = secrets.name(call.store);
    let raw = reply.render(&call.request.id);
    let body = Zeroizing::new(raw.body);
    let request_digest = digest_of(call.request);
    let mut sealed_body = Vec::new();
    secrets.key().seal_onto(&mut sealed_body, &request_digest, &body, call.context.random);
    let expires = call.context.now.plus_secs(KEEP_SECS);
    let record = IdempotencyRecord {
        request_digest,
        status_code: u32::from(raw.status_code),
        sealed_body,
        expires_secs: expires.secs(),
        ended_token: match &call.token {
            Some(token) => !token::is_kept(call.store, token)?,
            None => false,
        },
    };
    let system = call.store.system();
    call.store.put(&system, &["idempotency", &name], &record)?;
    calendar::schedule(call.store, expires, &EXPIRY, &name)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::testing::{Harness, ROOT};

    /// What the barrier shows of all records.
    fn kept(harness: &Harness) -> Vec<u8> {
        let view = harness.table.snapshot();
        let mut store = harness.core.store(&*view);
        let system = store.system();
        let names = store.list(&system, &["idempotency"]).unwrap();
        let mut record = |name: &str| store.get::<IdempotencyRecord>(&system, &["idempotency", name]).unwrap().unwrap();
        names.iter().map(|name| record(&name.name)).flat_map(|record| record.encode_to_vec()).collect()
    }

    #[test]
    fn a_reply_with_a_token_is_given_again_and_the_barrier_alone_does_not_show_it() {
        let mut harness = Harness::new();
        let send = |harness: &mut Harness, key: &str| {
            let mut request = harness.build(ROOT, "POST", "auth/token/create", json!({ "ttl": "1h" }));
            request.idempotency_key = Some(key.into());
            harness.send(&request).body["auth"]["client_token"].as_str().unwrap().to_owned()
        };
        let token = send(&mut harness, "k");
        assert_eq!(send(&mut harness, "k"), token);
        assert_ne!(send(&mut harness, "other"), token);
        let kept = kept(&harness);
        assert!(kept.len() > 2 * token.len(), "both replies are there");
        for text in [token.as_str(), "client_token", "hvs."] {
            assert!(!kept.windows(text.len()).any(|window| window == text.as_bytes()), "{text} is kept in clear");
        }
    }
}
