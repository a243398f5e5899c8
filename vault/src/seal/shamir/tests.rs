use std::collections::HashSet;

use proptest::prelude::*;
use vsss_rs::Gf256;

use super::*;
use crate::barrier::seeded::Seeded;

fn parameters(shares: u64, threshold: u64) -> Parameters {
    Parameters { shares, threshold }
}

fn split_seeded(seed: u64, shares: u64, threshold: u64) -> (Key32, Vec<Share>) {
    let mut random = Seeded::new(seed);
    let key = Key32::random(&mut random);
    let shares = split(&key, parameters(shares, threshold), &mut random).unwrap();
    (key, shares)
}

fn share(bytes: &[u8]) -> Share {
    Share::from_slice(bytes).unwrap()
}

#[test]
fn every_set_of_the_threshold_gives_the_key() {
    let (key, shares) = split_seeded(1, 5, 3);
    for a in 0..5 {
        for b in 0..5 {
            for c in 0..5 {
                if a != b && b != c && a != c {
                    assert!(combine(&[&shares[a], &shares[b], &shares[c]]).unwrap().is_same(&key));
                }
            }
        }
    }
}

#[test]
fn fewer_than_the_threshold_do_not_give_the_key() {
    let (key, shares) = split_seeded(2, 5, 3);
    for a in 0..5 {
        for b in (0..5).filter(|b| *b != a) {
            assert!(!combine(&[&shares[a], &shares[b]]).unwrap().is_same(&key));
        }
    }
}

// check 183
#[test]
fn one_share_is_the_key_itself() {
    let (key, shares) = split_seeded(3, 1, 1);
    assert_eq!(shares.len(), 1);
    assert_eq!(shares[0].expose(), key.expose());
    assert!(combine(&[&shares[0]]).unwrap().is_same(&key));
}

// check 183
#[test]
fn shares_are_33_bytes_with_a_distinct_x_at_the_end() {
    for (shares, threshold) in [(2, 2), (5, 3), (255, 2), (255, 255)] {
        let (key, shares) = split_seeded(4, shares, threshold);
        assert!(shares.iter().all(|share| share.expose().len() == SHARE_BYTES && share.expose()[32] != 0));
        let points: HashSet<u8> = shares.iter().map(|share| share.expose()[32]).collect();
        assert_eq!(points.len(), shares.len());
        let first: Vec<&Share> = shares.iter().take(threshold as usize).collect();
        assert!(combine(&first).unwrap().is_same(&key));
    }
}

// check 183: these were computed by hand from the polynomial, y = s + c·x with s = n, c = 0x53 + n.
#[test]
fn known_shares_give_the_known_key() {
    let at = |x: u8| {
        let mut bytes: Vec<u8> = (0..32).map(|n: u8| n ^ multiply(0x53 + n, x)).collect();
        bytes.push(x);
        share(&bytes)
    };
    assert_eq!(&at(1).expose()[..4], [0x53, 0x55, 0x57, 0x55]);
    assert_eq!(&at(2).expose()[..4], [0xA6, 0xA9, 0xA8, 0xAF]);
    let expected: Vec<u8> = (0..32).collect();
    assert_eq!(combine(&[&at(1), &at(2)]).unwrap().expose(), expected.as_slice());
    assert_eq!(combine(&[&at(0xFE), &at(0x80)]).unwrap().expose(), expected.as_slice());
}

// check 183
#[test]
fn an_independent_implementation_combines_our_shares() {
    for (seed, count, threshold) in [(5, 2, 2), (6, 5, 3), (7, 20, 11), (8, 255, 200)] {
        let (key, shares) = split_seeded(seed, count, threshold);
        // It puts x in front and has the same field.
        let turned = |share: &Share| [&share.expose()[32..], &share.expose()[..32]].concat();
        let theirs: Vec<Vec<u8>> = shares.iter().take(threshold as usize).map(turned).collect();
        assert_eq!(Gf256::combine_bytes(&theirs).unwrap(), key.expose());
    }
}

/// Counts, over 20,000 splits, how often an event of probability 1/256 happens: 78 on average, 26 at most off (3
/// sigma).
fn assert_uniform(count: u64) {
    assert!((52..=104).contains(&count), "{count} of 20000, 78 expected");
}

// check 184
#[test]
fn a_share_equals_the_secret_as_often_as_chance_says() {
    let mut random = Seeded::new(9);
    let key = Key32::random(&mut random);
    let mut equal = 0;
    for _ in 0..20_000 {
        let shares = split(&key, parameters(2, 2), &mut random).unwrap();
        equal += u64::from(shares[0].expose()[0] == key.expose()[0]);
    }
    assert_uniform(equal);
}

// check 184
#[test]
fn every_value_of_a_share_is_equally_likely_whatever_the_secret() {
    let mut random = Seeded::new(10);
    let mut seen = [0_u64; 256];
    for round in 0..20_000_u32 {
        let key = Key32::copy_of(&[(round % 2 * 255) as u8; 32]);
        let shares = split(&key, parameters(3, 3), &mut random).unwrap();
        seen[usize::from(shares[1].expose()[31])] += 1;
    }
    // Chi squared with 255 degrees of freedom: mean 255, deviation 22.6; 4 deviations.
    let expected = 20_000.0 / 256.0;
    let chi: f64 = seen.iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    assert!((165.0..345.0).contains(&chi), "{chi}");
}

#[test]
fn every_x_is_equally_likely() {
    let mut random = Seeded::new(11);
    let mut seen = [0_u64; 256];
    for _ in 0..20_000 {
        seen[usize::from(draw_points(2, &mut random)[1])] += 1;
    }
    let expected = 20_000.0 / 255.0;
    let chi: f64 = seen[1..].iter().map(|&count| (count as f64 - expected).powi(2) / expected).sum();
    assert_eq!(seen[0], 0);
    assert!((165.0..345.0).contains(&chi), "{chi}");
}

// check 182
#[test]
fn shares_that_cannot_belong_together_are_refused() {
    let (_, shares) = split_seeded(12, 3, 2);
    let mut at_zero = shares[0].expose().to_vec();
    at_zero[32] = 0;
    let mut same_x = shares[0].expose().to_vec();
    same_x[0] ^= 1;
    let short = share(&shares[0].expose()[..32]);
    for other in [&shares[0], &share(&at_zero), &share(&same_x), &short] {
        assert_eq!(combine(&[&shares[0], other]).err(), Some(SealError::CannotCombine));
    }
    assert_eq!(combine(&[]).err(), Some(SealError::CannotCombine));
    assert_eq!(combine(&[&shares[0]]).err(), Some(SealError::CannotCombine));
}

#[test]
fn impossible_parameters_are_refused_in_the_words_that_clients_know() {
    let cases = [
        ((0, 1), "shares must be at least one"),
        ((1, 0), "threshold must be at least one"),
        ((3, 1), "threshold must be greater than one for multiple shares"),
        ((256, 3), "shares must be less than 256"),
        ((3, 256), "threshold must be less than 256"),
        ((3, 4), "threshold cannot be larger than shares"),
        ((1, 2), "threshold cannot be larger than shares"),
    ];
    for ((shares, threshold), reason) in cases {
        assert_eq!(parameters(shares, threshold).check(), Err(SealError::InvalidParameters { reason }));
    }
    for (shares, threshold) in [(1, 1), (2, 2), (255, 2), (255, 255)] {
        assert_eq!(parameters(shares, threshold).check(), Ok(()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_threshold_of_any_split_gives_the_key(seed: u64, count in 2_u64..30, skip in 0_usize..28) {
        let threshold = 2 + seed % (count - 1);
        let (key, shares) = split_seeded(seed, count, threshold);
        let spare = (count - threshold) as usize;
        let chosen: Vec<&Share> = shares.iter().skip(skip.min(spare)).take(threshold as usize).collect();
        prop_assert!(combine(&chosen).unwrap().is_same(&key));
    }
}
