//! The seal: how the root key is kept outside the process, and how people bring it back.
//!
//! ```text
//! shares ──Shamir──► unseal key ──► root key ──► keyring
//! ```
//!
//! A seal wraps the root key and nothing else; [`crate::barrier`] is everything below the root key. This module does
//! not know who may enter shares or who hears of it: that is the node's. What surprises: a share is checked by its own
//! digest as soon as it is entered, so a ceremony never gets as far as combining a wrong one.
//! `docs/internals/seal.md` has every format.

mod error;
mod field;
mod shamir;
mod share;

mod digest;
pub(crate) mod record;
mod wrap;

pub(crate) mod init;

mod ceremony;
mod gathering;
pub mod handover;
pub mod proof;
mod reseal;

pub use ceremony::{Ceremony, Entered, Entry, Progress, ResetRefused, ShareError};
pub use error::SealError;
pub use gathering::{Gathered, Gathering};
pub use init::{Initialized, initialize};
pub use record::{CLUSTER, ClusterRecord, KEYRING, Outside, SEAL};
pub use reseal::NewSeal;
pub use shamir::{Parameters, combine};
pub use share::{Parsed, Share};

pub use crate::barrier::{ClusterId, Key32};

#[cfg(test)]
mod vectors;
