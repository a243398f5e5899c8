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

pub mod error;
pub mod field;
pub mod shamir;
pub mod share;

pub mod digest;
pub mod record;
pub mod wrap;

pub mod init;

pub mod ceremony;
pub mod handover;
pub mod rekey;

#[cfg(test)]
mod vectors;
