//! Shamir's secret sharing of a 32-byte key (Shamir, How to share a secret, 1979), byte by byte over [`super::field`].
//!
//! Each byte of the key is the constant term of its own polynomial, whose other coefficients are uniformly random. Zero
//! is a coefficient like any other, the highest one included: leaving it out would make `t - 1` shares rule out a value
//! of each byte (RUSTSEC-2024-0398). x is distinct, random and not zero. The layout is HashiCorp Vault's, so that its
//! tools and ours combine each other's shares. `docs/decisions/0003-own-shamir.md` says why this is our own.

use zeroize::Zeroizing;

use super::error::SealError;
use super::field::{invert, multiply};
use super::share::{KEY_BYTES, SHARE_BYTES, Share};
use crate::barrier::Key32;
use crate::barrier::locked::Secret;
use crate::context::Random;
use crate::limits::MAX_SHARES;

/// How many shares are made, and how many of them open the seal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// Number of shares, from 1 to [`MAX_SHARES`].
    pub shares: u64,
    /// How many are needed: from 2 to `shares`, or 1 if there is one.
    pub threshold: u64,
}

impl Parameters {
    /// Refuses what cannot be, in the order and words that clients know.
    pub fn check(self) -> Result<(), SealError> {
        let most = MAX_SHARES as u64;
        let reason = match self {
            Self { shares: 0, .. } => "shares must be at least one",
            Self { threshold: 0, .. } => "threshold must be at least one",
            Self { shares: 2.., threshold: 1 } => "threshold must be greater than one for multiple shares",
            Self { shares, .. } if shares > most => "shares must be less than 256",
            Self { threshold, .. } if threshold > most => "threshold must be less than 256",
            Self { shares, threshold } if threshold > shares => "threshold cannot be larger than shares",
            _ => return Ok(()),
        };
        Err(SealError::InvalidParameters { reason })
    }
}

/// Splits a key. With one share, that share is the key.
pub(crate) fn split(key: &Key32, parameters: Parameters, random: &mut dyn Random) -> Result<Vec<Share>, SealError> {
    parameters.check()?;
    if parameters.shares == 1 {
        return Ok(vec![Share::of_key(key)]);
    }
    let points = draw_points(parameters.shares as usize, random);
    // One row of coefficients for each power of x from 1 on, one column for each byte of the key.
    let mut rows = Zeroizing::new(vec![0; (parameters.threshold as usize - 1) * KEY_BYTES]);
    random.fill(&mut rows);
    Ok(points.iter().map(|&x| evaluate(key, &rows, x)).collect())
}

/// One share: every byte's polynomial at x (Horner), then x.
fn evaluate(key: &Key32, rows: &[u8], x: u8) -> Share {
    let mut bytes = Zeroizing::new([0; SHARE_BYTES]);
    for row in rows.chunks_exact(KEY_BYTES).rev().chain([key.expose().as_slice()]) {
        for (y, coefficient) in bytes.iter_mut().zip(row) {
            *y = multiply(*y, x) ^ coefficient;
        }
    }
    bytes[KEY_BYTES] = x;
    Share::from_slice(bytes.as_slice()).expect("the buffer has the length of a share")
}

/// Distinct x from 1 to 255, every choice equally likely. They are no secret.
fn draw_points(count: usize, random: &mut dyn Random) -> Vec<u8> {
    let mut is_drawn = [false; 256];
    let mut points = Vec::with_capacity(count);
    while points.len() < count {
        let mut batch = [0; 64];
        random.fill(&mut batch);
        for x in batch {
            if x != 0 && !is_drawn[usize::from(x)] && points.len() < count {
                is_drawn[usize::from(x)] = true;
                points.push(x);
            }
        }
    }
    points
}

/// Combines shares to the key: interpolates every byte's polynomial at zero. Any shares of one length with distinct x
/// give a key; whether it is the right one shows when it is used.
pub fn combine(shares: &[&Share]) -> Result<Key32, SealError> {
    if let [only] = shares {
        return Secret::from_slice(only.expose()).ok_or(SealError::CannotCombine);
    }
    let shares: Vec<&[u8; SHARE_BYTES]> = shares
        .iter()
        .map(|share| share.expose().try_into())
        .collect::<Result<_, _>>()
        .map_err(|_| SealError::CannotCombine)?;
    let mut is_seen = [false; 256];
    for share in &shares {
        let seen = &mut is_seen[usize::from(share[KEY_BYTES])];
        if share[KEY_BYTES] == 0 || std::mem::replace(seen, true) {
            return Err(SealError::CannotCombine);
        }
    }
    if shares.is_empty() {
        return Err(SealError::CannotCombine);
    }
    Ok(Secret::filled(|key| {
        for (index, share) in shares.iter().enumerate() {
            let weight = weight_at_zero(&shares, index);
            for (byte, y) in key.iter_mut().zip(&share[..KEY_BYTES]) {
                *byte ^= multiply(weight, *y);
            }
        }
    }))
}

/// Lagrange's basis polynomial of one share at zero: the product of `x_j / (x_j - x_i)` over all other shares.
fn weight_at_zero(shares: &[&[u8; SHARE_BYTES]], index: usize) -> u8 {
    let x = shares[index][KEY_BYTES];
    let others = shares.iter().enumerate().filter(|(other, _)| *other != index).map(|(_, share)| share[KEY_BYTES]);
    others.fold(1, |product, other| multiply(product, multiply(other, invert(other ^ x))))
}

#[cfg(test)]
mod tests;
