//! Login MFA: some logins end with a demand for one-time codes in place of a token, and the token is made once these were shown.
//!
//! Enforcements say which logins: by the mount, its kind, the entity or one of its groups. Methods say which codes. Both, the keys of
//! entities, and logins that wait for codes are records in the area of identity, changed under guards: so a code is used up on
//! every node at once, and stays used.
//!
//! What surprises: what a wrong code changes stays although the request is refused, or tries would be free.

mod demand;
mod record;
mod validation;

#[cfg(test)]
mod tests;

pub(crate) use self::demand::{EXPIRY, demand};
pub(crate) use self::record::{
    EnforcementRecord, MfaMethodRecord, MfaSecretRecord, enforcements, method_in_use, methods, remove_enforcement,
    remove_method, save_enforcement, save_method, save_secret, secret,
};
pub(crate) use self::validation::validate;
