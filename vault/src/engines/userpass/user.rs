//! Users: what is stored of them, and writing, reading, listing and deleting them.
//!
//! What surprises: a change of a password asks for its digest before it writes anything, so the salt must be the same when
//! the request runs again with the answer.

use prost::Message;
use subtle::ConstantTimeEq;

use crate::context::Context;
use crate::engine::Call;
use crate::engines::listing;
use crate::engines::terms::TermsRecord;
use crate::errand::Password;
use crate::error::{Error, ErrorKind, multi};
use crate::field::{Field, Kind, field};
use crate::reply::Reply;
use crate::store::Store;

/// Directory of the users in the mount's area.
const FOLDER: &str = "user";
/// Memory for a new digest, in KiB, and passes over it (RFC 9106, section 4; OWASP's first choice for 19 MiB).
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over that memory.
const PASSES: u32 = 2;
/// Longest password, in bytes.
const MAX_PASSWORD_BYTES: usize = 1024;

pub(super) const NAME: Field = field("username", Kind::LowerText, "Name of the user; upper and lower case are one.");
pub(super) const PASSWORD: Field = field("password", Kind::Text, "The password.");
pub(super) const PASSWORD_HASH: Field =
    field("password_hash", Kind::Text, "Refused: a digest of another system cannot be taken over.");

/// A user as it is stored. Has no `Debug`: a digest can be attacked.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct UserRecord {
    /// Argon2id of the password, 32 bytes.
    #[prost(bytes = "vec", tag = "1")]
    digest: Vec<u8>,
    /// 16 random bytes.
    #[prost(bytes = "vec", tag = "2")]
    salt: Vec<u8>,
    #[prost(uint32, tag = "3")]
    memory_kib: u32,
    #[prost(uint32, tag = "4")]
    passes: u32,
    /// A UUID, drawn at creation, which tells them from a user of the same name who comes later.
    #[prost(string, tag = "5")]
    pub(super) id: String,
    #[prost(message, required, tag = "6")]
    pub(super) terms: TermsRecord,
}

impl UserRecord {
    /// Stands for a user who does not exist: checking a password against it costs as much, and it never fits.
    pub(super) fn nobody() -> Self {
        Self { salt: vec![0; 16], memory_kib: MEMORY_KIB, passes: PASSES, ..Self::default() }
    }

    /// Whether a password is this user's.
    pub(super) fn is_password(&self, context: &mut Context<'_>, text: &str) -> Result<bool, Error> {
        let digest = self.digest_of(context, text)?;
        Ok(bool::from(self.digest.as_slice().ct_eq(digest.as_slice())))
    }

    fn take_password(&mut self, context: &mut Context<'_>, text: &str) -> Result<(), Error> {
        check_length(text)?;
        self.salt = context.lasting_bytes("userpass salt")?[..16].to_vec();
        (self.memory_kib, self.passes) = (MEMORY_KIB, PASSES);
        self.digest = self.digest_of(context, text)?.to_vec();
        Ok(())
    }

    fn digest_of(&self, context: &mut Context<'_>, text: &str) -> Result<zeroize::Zeroizing<[u8; 32]>, Error> {
        context.ask_digest(Password {
            text: text.as_bytes().to_vec(),
            salt: self.salt.clone(),
            memory_kib: self.memory_kib,
            passes: self.passes,
        })
    }
}

/// Refuses a password that is too long to be one.
pub(super) fn check_length(text: &str) -> Result<(), Error> {
    match text.len() <= MAX_PASSWORD_BYTES {
        true => Ok(()),
        false => Err(Error::invalid(format!("the password is longer than {MAX_PASSWORD_BYTES} bytes"))),
    }
}

/// The name in the request's path, in lower case.
///
/// # Errors
/// [`ErrorKind::NotFound`] as for a path that does not exist, if it is no name: letters, digits and `_`, between them also
/// `-` and `.`.
pub(super) fn name_of(call: &Call<'_, '_>) -> Result<String, Error> {
    let name = call.fields.text_or_empty(NAME.name);
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let is_name = name.starts_with(is_word) && name.ends_with(is_word);
    match is_name && name.chars().all(|c| is_word(c) || c == '-' || c == '.') {
        true => Ok(name.to_owned()),
        false => Err(Error::new(ErrorKind::NotFound, multi("unsupported path"))),
    }
}

/// A user of a mount; `None` if there is none.
pub(super) fn find(
    store: &mut Store<'_>,
    mount: &crate::mount::Mount,
    name: &str,
) -> Result<Option<UserRecord>, Error> {
    store.get(&mount.area, &[FOLDER, name])
}

/// The user that the request's path names, and must be there.
fn named(call: &mut Call<'_, '_>) -> Result<(String, UserRecord), Error> {
    let name = name_of(call)?;
    let user = find(call.store, &call.mount, &name)?;
    Ok((name, user.ok_or_else(|| Error::invalid(multi("username does not exist")))?))
}

fn save(call: &mut Call<'_, '_>, name: &str, user: &UserRecord) -> Result<(), Error> {
    call.store.put(&call.mount.area, &[FOLDER, name], user)
}

/// The password that was sent.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a digest in its place.
fn sent_password<'c>(call: &'c Call<'_, '_>) -> Result<Option<&'c str>, Error> {
    if call.fields.text(PASSWORD_HASH.name).is_some_and(|hash| !hash.is_empty()) {
        return Err(Error::invalid("password_hash cannot be taken over; set a password"));
    }
    Ok(call.fields.text(PASSWORD.name).filter(|text| !text.is_empty()))
}

fn no_password() -> Error {
    Error::invalid("must provide either password or password_hash")
}

pub(super) fn exists(call: &mut Call<'_, '_>) -> Result<bool, Error> {
    let name = name_of(call)?;
    call.store.contains(&call.mount.area, &[FOLDER, &name])
}

pub(super) fn list(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let names = call.store.list(&call.mount.area, &[FOLDER])?;
    listing::page(listing::keys(&names), &call.fields)
}

pub(super) fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call)?;
    let user = find(call.store, &call.mount, &name)?.ok_or_else(Error::not_found)?;
    Ok(Reply { data: Some(user.terms.show()), ..Reply::default() })
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call)?;
    let found = find(call.store, &call.mount, &name)?;
    let is_new = found.is_none();
    let mut user = found.unwrap_or_else(|| UserRecord { id: call.context.uuid(), ..UserRecord::default() });
    let mut reply = Reply::empty();
    user.terms.take(&call.fields, &mut reply.warnings)?;
    match sent_password(call)?.map(str::to_owned).map(zeroize::Zeroizing::new) {
        Some(text) => user.take_password(call.context, &text)?,
        None if is_new => return Err(no_password()),
        None => {}
    }
    save(call, &name, &user)?;
    Ok(reply)
}

pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let name = name_of(call)?;
    call.store.delete(&call.mount.area, &[FOLDER, &name]);
    Ok(Reply::empty())
}

pub(super) fn set_password(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, mut user) = named(call)?;
    let text = sent_password(call)?.map(str::to_owned).map(zeroize::Zeroizing::new).ok_or_else(no_password)?;
    user.take_password(call.context, &text)?;
    save(call, &name, &user)?;
    Ok(Reply::empty())
}

pub(super) fn set_policies(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (name, mut user) = named(call)?;
    let mut reply = Reply::empty();
    user.terms.take(&call.fields, &mut reply.warnings)?;
    save(call, &name, &user)?;
    Ok(reply)
}
