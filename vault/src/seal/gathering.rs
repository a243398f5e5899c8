//! Shares that are entered on a node which has nothing to check them with, because it has not joined its cluster yet.
//!
//! Unlike in a [`super::ceremony::Ceremony`], any text that can be a share counts. Whether they were the right ones shows
//! when the key that they make is used. Somebody who enters another share with the same x corrects the one before.

use std::net::IpAddr;

use super::ceremony::{Progress, ResetRefused, ShareError, fresh_nonce, progress_of};
use super::shamir;
use super::share::{KEY_BYTES, Parsed, SHARE_BYTES, Share};
use crate::barrier::Key32;
use crate::context::Random;

/// What a share led to.
pub enum Gathered {
    /// More are needed.
    Progress(Progress),
    /// A key, and perhaps the right one.
    Key(Key32),
}

/// Shares so far.
#[derive(Default)]
pub struct Gathering {
    given: Vec<(Share, IpAddr)>,
    nonce: Option<[u8; 16]>,
}

impl Gathering {
    /// How far it is.
    pub fn progress(&self, threshold: usize) -> Progress {
        progress_of(self.given.len(), threshold, self.nonce)
    }

    /// Forgets all shares; for whoever entered one.
    pub fn reset(&mut self, address: IpAddr) -> Result<(), ResetRefused> {
        let address = address.to_canonical();
        if !self.given.is_empty() && !self.given.iter().any(|(_, from)| *from == address) {
            return Err(ResetRefused);
        }
        *self = Self::default();
        Ok(())
    }

    /// Takes a share. The last one needed ends the attempt, whatever comes of it.
    pub fn enter(
        &mut self,
        key: &str,
        address: IpAddr,
        threshold: usize,
        random: &mut dyn Random,
    ) -> Result<Gathered, ShareError> {
        let share = match Share::parse(key) {
            Parsed::Unreadable => return Err(ShareError::Unreadable),
            Parsed::WrongLength => return Err(ShareError::Wrong),
            Parsed::Share(share) => share,
        };
        let length = if threshold == 1 { KEY_BYTES } else { SHARE_BYTES };
        let point = |share: &Share| share.expose().get(KEY_BYTES).copied();
        if share.expose().len() != length || point(&share) == Some(0) {
            return Err(ShareError::Wrong);
        }
        self.given.retain(|(known, _)| point(known) != point(&share));
        self.nonce.get_or_insert_with(|| fresh_nonce(random));
        self.given.push((share, address.to_canonical()));
        if self.given.len() < threshold {
            return Ok(Gathered::Progress(self.progress(threshold)));
        }
        let attempt = std::mem::take(self);
        let shares: Vec<&Share> = attempt.given.iter().map(|(share, _)| share).collect();
        shamir::combine(&shares).map(Gathered::Key).map_err(ShareError::Damaged)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::barrier::seeded::Seeded;
    use crate::seal::shamir::{Parameters, split};

    const HERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 1));
    const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 0, 0, 2));

    fn shares(shares: u64, threshold: u64) -> (Key32, Vec<String>) {
        let key = Key32::copy_of(&[5; 32]);
        let made = split(&key, Parameters { shares, threshold }, &mut Seeded::new(1)).unwrap();
        (key, made.iter().map(|share| share.to_hex().to_string()).collect())
    }

    fn enter(gathering: &mut Gathering, text: &str, threshold: usize) -> Result<Option<Key32>, ShareError> {
        match gathering.enter(text, HERE, threshold, &mut Seeded::new(2))? {
            Gathered::Progress(_) => Ok(None),
            Gathered::Key(key) => Ok(Some(key)),
        }
    }

    #[test]
    fn enough_shares_make_the_key_and_the_same_one_twice_does_not() {
        let (key, shares) = shares(5, 3);
        let mut gathering = Gathering::default();
        for share in [&shares[0], &shares[1], &shares[1]] {
            assert!(enter(&mut gathering, share, 3).unwrap().is_none());
        }
        assert_eq!(gathering.progress(3).entered, 2);
        assert!(enter(&mut gathering, &shares[4], 3).unwrap().unwrap().is_same(&key));
        assert_eq!(gathering.progress(3).entered, 0, "the attempt is over and the shares are gone");
    }

    #[test]
    fn a_share_that_was_mistyped_is_corrected_by_entering_it_again() {
        let (key, shares) = shares(3, 2);
        let mut gathering = Gathering::default();
        let (mistyped, last) = (format!("00{}", &shares[0][2..]), &shares[2]);
        assert!(enter(&mut gathering, &mistyped, 2).unwrap().is_none());
        assert!(enter(&mut gathering, &shares[0], 2).unwrap().is_none());
        assert!(enter(&mut gathering, last, 2).unwrap().unwrap().is_same(&key));
    }

    #[test]
    fn what_can_be_no_share_of_this_seal_is_refused() {
        let (key, only) = shares(1, 1);
        let mut gathering = Gathering::default();
        assert_eq!(enter(&mut gathering, "no share!", 1).err(), Some(ShareError::Unreadable));
        assert_eq!(enter(&mut gathering, &shares(3, 2).1[0], 1).err(), Some(ShareError::Wrong));
        assert_eq!(enter(&mut gathering, &only[0], 2).err(), Some(ShareError::Wrong));
        assert_eq!(enter(&mut gathering, &"00".repeat(SHARE_BYTES), 2).err(), Some(ShareError::Wrong));
        assert!(enter(&mut gathering, &only[0], 1).unwrap().unwrap().is_same(&key));
    }

    #[test]
    fn only_who_entered_a_share_starts_over() {
        let (_, shares) = shares(3, 2);
        let mut gathering = Gathering::default();
        assert!(gathering.reset(ELSEWHERE).is_ok());
        enter(&mut gathering, &shares[0], 2).unwrap();
        assert!(gathering.reset(ELSEWHERE).is_err());
        assert!(gathering.reset(HERE).is_ok());
        assert_eq!(gathering.progress(2).entered, 0);
    }
}
