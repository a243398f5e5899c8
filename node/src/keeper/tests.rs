//! Every state, what it permits, and where it comes from.

use super::*;

fn none() -> Troubles {
    Troubles::default()
}

#[test]
fn what_each_state_permits() {
    use Candidacy::{Free, LastResort, Never, Reluctant};
    let expected = [
        ("sealed", false, Proposals::None, LastResort),
        ("initialising", false, Proposals::All, Free),
        ("checking", false, Proposals::None, LastResort),
        ("unconfirmed", false, Proposals::None, LastResort),
        ("removed", false, Proposals::None, Never),
        ("left behind", false, Proposals::None, Never),
        ("doubled", false, Proposals::None, Never),
        ("diverged", false, Proposals::None, Never),
        ("rolled back", false, Proposals::None, Never),
        ("clock off", false, Proposals::None, Never),
        ("behind", false, Proposals::None, LastResort),
        ("disk slow", true, Proposals::All, Reluctant),
        ("unreached", true, Proposals::All, Reluctant),
        ("disk full", true, Proposals::Deletions, Free),
        ("serving", true, Proposals::All, Free),
    ];
    assert_eq!(State::ALL.len(), expected.len());
    for (state, expected) in State::ALL.iter().zip(expected) {
        assert_eq!((state.name(), state.serves(), state.proposals(), state.candidacy()), expected);
        assert!(!state.reason(&none()).is_empty());
    }
}

#[test]
fn the_page_of_states_has_each_by_its_name() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/internals/seal-states.md");
    let page = std::fs::read_to_string(path).expect("the page is readable");
    let permits = page.split("| State | Keys in memory").nth(1).expect("the table of what each state permits");
    let listed: Vec<_> = permits
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .flat_map(|names| names.split(", "))
        .collect();
    for state in State::ALL {
        assert!(
            listed.contains(&state.name()),
            "docs/internals/seal-states.md does not say what {} permits",
            state.name()
        );
    }
}

/// Each trouble alone, and the state that it brings about.
fn troubles() -> Vec<(Troubles, State)> {
    vec![
        (none(), State::Serving),
        (Troubles { disk_free_bytes: Some(1), ..none() }, State::DiskFull),
        (Troubles { unreached_by: Some(2), ..none() }, State::Unreached),
        (Troubles { is_disk_stalled: true, ..none() }, State::DiskSlow),
        (Troubles { behind: Some(3), ..none() }, State::Behind),
        (Troubles { clock_ahead_millis: Some(-9_000), ..none() }, State::ClockOff),
        (Troubles { rolled_back_from: Some(9), ..none() }, State::RolledBack),
        (Troubles { diverged_at: Some(7), ..none() }, State::Diverged),
        (Troubles { is_doubled: true, ..none() }, State::Doubled),
        (Troubles { exclusion: Some(Exclusion::LeftBehind), ..none() }, State::LeftBehind),
        (Troubles { exclusion: Some(Exclusion::Removed), ..none() }, State::Removed),
    ]
}

#[test]
fn every_trouble_leads_from_every_state_where_it_should() {
    let without_verdict = [
        (Keys::Absent, State::Sealed),
        (Keys::Initialising, State::Initialising),
        (Keys::Checking, State::Checking),
        (Keys::Unconfirmed, State::Unconfirmed),
    ];
    for (trouble, state) in troubles() {
        for (keys, expected) in without_verdict {
            assert_eq!(State::of(keys, &trouble), expected, "{trouble:?}");
        }
        assert_eq!(State::of(Keys::Confirmed, &trouble), state);
    }
}

#[test]
fn of_two_troubles_the_graver_one_counts() {
    let troubles = troubles();
    for (place, (lesser, _)) in troubles.iter().enumerate() {
        for (graver, state) in &troubles[place..] {
            let both = Troubles {
                exclusion: graver.exclusion.or(lesser.exclusion),
                is_doubled: lesser.is_doubled || graver.is_doubled,
                diverged_at: lesser.diverged_at.or(graver.diverged_at),
                rolled_back_from: lesser.rolled_back_from.or(graver.rolled_back_from),
                clock_ahead_millis: lesser.clock_ahead_millis.or(graver.clock_ahead_millis),
                behind: lesser.behind.or(graver.behind),
                is_disk_stalled: lesser.is_disk_stalled || graver.is_disk_stalled,
                unreached_by: lesser.unreached_by.or(graver.unreached_by),
                disk_free_bytes: lesser.disk_free_bytes.or(graver.disk_free_bytes),
            };
            assert_eq!(State::of(Keys::Confirmed, &both), *state);
        }
    }
}

#[test]
fn a_node_that_does_not_catch_up_says_what_it_lacks_and_where_to_look() {
    let behind = Troubles { behind: Some(7), ..none() };
    assert!(
        State::Behind.reason(&behind).contains("lacks 7 entries")
            && State::Behind.reason(&behind).contains("cluster address")
    );
    let stalled = Troubles { is_disk_stalled: true, ..behind };
    assert!(State::Behind.reason(&stalled).contains("its disk takes no writes"));
    assert!(State::RolledBack.reason(&Troubles { rolled_back_from: Some(60), ..none() }).contains("up to index 60"));
}

#[test]
fn a_node_is_unreached_if_most_voters_say_so_and_one_of_them_could_lead() {
    let says = |millis, reached_voters, can_lead| WayBack {
        unanswered_for: Duration::from_millis(millis),
        reached_voters,
        can_lead,
    };
    let (cut, near) = (says(3_000, 2, true), says(0, 3, true));
    for (others, voters, expected) in [
        (&[cut, cut][..], 3, Some(2)),
        (&[cut, near], 3, None),
        // The third one gives no answer, so it says nothing, and its vote would be needed.
        (&[cut], 3, None),
        (&[cut], 2, None),
        // Not for long enough.
        (&[cut, says(2_999, 2, true)], 3, None),
        // Both are sealed, or do not reach each other either.
        (&[says(3_000, 2, false), says(3_000, 2, false)], 3, None),
        (&[says(9_000, 1, true), says(9_000, 1, true)], 3, None),
        (&[says(9_000, 2, false), says(9_000, 1, true)], 3, None),
        (&[says(9_000, 2, true), says(9_000, 2, false)], 3, Some(2)),
        (&[says(9_000, 4, true), cut, cut, near], 5, Some(3)),
        (&[cut, cut, near, near], 5, None),
        (&[], 1, None),
    ] {
        assert_eq!(unreached_by(others, voters), expected, "{others:?} of {voters}");
    }
    assert!(
        State::Unreached.reason(&Troubles { unreached_by: Some(2), ..none() }).starts_with("2 voters do not reach")
    );
}

#[test]
fn the_reason_says_how_far_the_clock_is_off() {
    let ahead = Troubles { clock_ahead_millis: Some(31_536_000_042), ..none() };
    assert!(State::ClockOff.reason(&ahead).starts_with("clock off by 31536000.042 s (ahead of"));
    let behind = Troubles { clock_ahead_millis: Some(-6_001), ..none() };
    assert!(State::ClockOff.reason(&behind).starts_with("clock off by 6.001 s (behind"));
}

#[test]
fn a_clock_is_compared_with_the_median_of_the_voters() {
    let year = 31_536_000_000;
    for (clocks, voters, expected) in [
        (&[0][..], 1, Some(0)),
        // One of three is wrong: this one, another one.
        (&[0, -year, -year], 3, Some(year)),
        (&[0, year, 12], 3, Some(-12)),
        (&[0, year, year], 3, Some(-year)),
        // Two of three: nobody knows who is right.
        (&[0, year], 3, Some(-year)),
        (&[0, -year], 3, Some(year)),
        (&[0, 3], 3, Some(-3)),
        // Four of five.
        (&[0, 0, 0, year], 5, Some(0)),
        (&[0, 0, year, year], 5, Some(-year)),
        // Less than a quorum, and a node that does not vote.
        (&[0], 3, None),
        (&[0, 0], 5, None),
        (&[], 1, None),
        (&[-year, -year], 3, Some(year)),
    ] {
        assert_eq!(clock_ahead(clocks, voters), expected, "{clocks:?} of {voters}");
    }
    assert!(!is_too_far(5_000) && !is_too_far(-5_000) && is_too_far(5_001) && is_too_far(-5_001));
    assert!(is_too_far(i64::MIN));
}

#[test]
fn a_table_is_judged_by_the_checkpoint_unless_most_contradict_it() {
    let found = |digest: u8| Contradiction { index: 40, digest: [digest; 32] };
    let had = |digest: u8| move |index: u64| (index == 40).then_some([digest; 32]);
    // A follower that differs from the leader, and nobody else does.
    assert_eq!(diverged_at(Some(found(2)), &[], 3, had(2)), Some(40));
    assert_eq!(diverged_at(None, &[found(2)], 3, had(1)), None);
    // Both followers differ from the leader in the same way: the leader is wrong, whether it says so or not.
    assert_eq!(diverged_at(Some(found(2)), &[found(2)], 3, had(2)), None);
    assert_eq!(diverged_at(None, &[found(2), found(2)], 3, had(1)), Some(40));
    // They differ in two ways: each of them is wrong, as far as anybody knows.
    assert_eq!(diverged_at(Some(found(2)), &[found(3)], 3, had(2)), Some(40));
    assert_eq!(diverged_at(None, &[found(2), found(3)], 3, had(1)), None);
    // A single node, which has nobody to agree with.
    assert_eq!(diverged_at(Some(found(2)), &[], 1, had(2)), Some(40));
    // A node that has not come to the checkpoint yet, or forgot what it had there.
    assert_eq!(diverged_at(None, &[found(2), found(2)], 3, had(2)), None);
    assert_eq!(diverged_at(None, &[found(2), found(2)], 3, |_| None), None);
}
