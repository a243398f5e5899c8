//! The pool with the clock stopped, so that what is idle longest is certain.

use std::time::Duration;

use super::*;

fn source(last: u8) -> IpAddr {
    [10, 0, 0, last].into()
}

fn is_taken(share: &Share) -> bool {
    *share.taken.borrow()
}

async fn a_moment() {
    tokio::time::advance(Duration::from_millis(1)).await;
}

async fn shares(pool: &Arc<Pool>, last: u8, count: usize) -> Vec<Share> {
    let mut shares = Vec::new();
    for _ in 0..count {
        shares.push(pool.enter(source(last), 1).unwrap());
        a_moment().await;
    }
    shares
}

/// Everything that must hold after each step.
fn check(pool: &Pool) {
    let state = pool.state.lock();
    assert!(state.held <= pool.most);
    assert_eq!(state.held, state.shares.values().map(|entry| entry.size).sum::<usize>());
    assert_eq!(state.held, state.sources.values().map(|holdings| holdings.size).sum::<usize>());
    assert_eq!(state.ranking.len(), state.sources.values().filter(|holdings| !holdings.idle.is_empty()).count());
}

#[tokio::test(start_paused = true)]
async fn a_flood_from_one_source_takes_only_from_itself() {
    let pool = Pool::new(8);
    let honest = pool.enter(source(1), 1).unwrap();
    a_moment().await;
    let flood = shares(&pool, 2, 100).await;
    check(&pool);
    assert!(!is_taken(&honest));
    assert_eq!(flood.iter().filter(|share| !is_taken(share)).count(), 7);
    assert!(flood[93..].iter().all(|share| !is_taken(share)), "the oldest go first");
    let late = pool.enter(source(3), 1).unwrap();
    assert!(!is_taken(&late) && is_taken(&flood[93]));
}

#[tokio::test(start_paused = true)]
async fn among_equals_the_oldest_goes() {
    let pool = Pool::new(3);
    let mut all = Vec::new();
    for last in 1..=4 {
        all.extend(shares(&pool, last, 1).await);
    }
    assert_eq!(all.iter().map(is_taken).collect::<Vec<_>>(), [true, false, false, false]);
}

#[tokio::test(start_paused = true)]
async fn what_is_held_is_not_taken_and_counts_as_used_afterwards() {
    let pool = Pool::new(2);
    let (first, second) = (Arc::new(pool.enter(source(1), 1).unwrap()), Arc::new(pool.enter(source(1), 1).unwrap()));
    let holds = [first.hold(), second.hold()];
    assert!(pool.enter(source(2), 1).is_none(), "nothing can be taken");
    assert_eq!(first.idle_since(), None);
    let [of_first, of_second] = holds;
    drop(of_second);
    a_moment().await;
    drop(of_first);
    let third = pool.enter(source(2), 1).unwrap();
    assert!(is_taken(&second) && !is_taken(&first) && !is_taken(&third));
    check(&pool);
}

#[tokio::test(start_paused = true)]
async fn who_wants_more_than_anybody_has_pays_for_it_himself() {
    let pool = Pool::new(100);
    let small: Vec<_> = (1..=9).map(|last| pool.enter(source(last), 10).unwrap()).collect();
    let large = pool.enter(source(50), 10).unwrap();
    assert!(!large.resize(11), "nobody has more than this one");
    assert!(pool.enter(source(51), 50).is_none());
    assert!(small.iter().all(|share| !is_taken(share)) && !is_taken(&large));
    assert!(large.resize(2) && pool.held() == 92);
    check(&pool);
}

#[tokio::test(start_paused = true)]
async fn a_source_that_is_preferred_loses_nothing_to_strangers() {
    let pool = Pool::new(4);
    let members: Vec<_> = (0..3).map(|_| pool.enter_preferred(source(1), 1).unwrap()).collect();
    let strangers = shares(&pool, 2, 20).await;
    assert!(members.iter().all(|share| !is_taken(share)));
    let fourth = pool.enter_preferred(source(1), 1).unwrap();
    assert!(is_taken(strangers.last().unwrap()), "a member needs no more than a stranger's share");
    assert!(pool.enter(source(3), 1).is_none());
    assert!(!is_taken(&fourth));
    let fifth = pool.enter_preferred(source(1), 1).unwrap();
    assert!(is_taken(&members[0]) && !is_taken(&fifth));
    check(&pool);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_kept_of_those_who_left() {
    let pool = Pool::new(4);
    drop(shares(&pool, 1, 9).await);
    assert!(pool.enter(source(2), 5).is_none(), "more than there is");
    let state = pool.state.lock();
    assert_eq!((state.held, state.shares.len(), state.sources.len(), state.ranking.len()), (0, 0, 0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_site_is_one_source() {
    // check 35
    let of = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
    assert_eq!(of("2001:db8::1"), of("2001:db8::2"));
    assert_ne!(of("2001:db8::1"), of("2001:db8:1::1"));
    assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
    assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
}

#[tokio::test(start_paused = true)]
async fn the_books_balance_whatever_is_done() {
    let pool = Pool::new(50);
    let mut random = 1_u64;
    let mut below = |most: u64| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (random >> 33) % most
    };
    let (mut shares, mut holds) = (Vec::new(), Vec::new());
    for _ in 0..5_000 {
        match below(6) {
            0 | 1 => shares.extend(pool.enter(source(below(7) as u8), below(9) as usize + 1).map(Arc::new)),
            2 if !shares.is_empty() => drop(shares.swap_remove(below(shares.len() as u64) as usize)),
            3 if !shares.is_empty() => {
                shares[below(shares.len() as u64) as usize].resize(below(12) as usize);
            }
            4 if !shares.is_empty() => holds.push(shares[below(shares.len() as u64) as usize].hold()),
            5 if !holds.is_empty() => drop(holds.swap_remove(below(holds.len() as u64) as usize)),
            _ => a_moment().await,
        }
        check(&pool);
    }
}
