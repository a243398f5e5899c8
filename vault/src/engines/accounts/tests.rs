//! Accounts that are lent out, with a server outside that the test controls; and everything stopped at each of its steps.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;

use serde_json::{Value, json};

use crate::errand::{Errands, OutsideCall};
use crate::request::Request;
use crate::testing::{Harness, ROOT, context};

/// What the server does with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mood {
    /// What it is told.
    Works,
    /// Nothing, and says so or is not heard of again, which is the same to who waits for a limited time.
    Refuses,
    /// What it is told, but its answer is lost.
    Mute,
}

/// The server.
struct Server {
    accounts: BTreeSet<String>,
    mood: Mood,
    heard: Vec<String>,
}

type Shared = Rc<RefCell<Server>>;

impl Server {
    fn hear(&mut self, outside: &OutsideCall) -> Result<Vec<u8>, String> {
        let text = String::from_utf8(outside.message.clone()).unwrap();
        self.heard.push(text.clone());
        if self.mood == Mood::Refuses {
            return Err("it refuses".into());
        }
        let (verb, account) = text.split_once(' ').unwrap();
        match verb {
            "make" => _ = self.accounts.insert(account.to_owned()),
            // What is not there is dropped already.
            "drop" => _ = self.accounts.remove(account),
            "prolong" => {}
            _ => panic!("no account is told to {verb}"),
        }
        if self.mood == Mood::Mute { Err("its answer is lost".into()) } else { Ok(b"geheim".to_vec()) }
    }
}

fn mounted() -> (Harness, Shared) {
    let mut harness = Harness::with_engine(&super::ENGINE);
    assert_eq!(harness.request("POST", "sys/mounts/db", json!({ "type": "accounts" })).0, 204);
    let server = Rc::new(RefCell::new(Server { accounts: BTreeSet::new(), mood: Mood::Works, heard: Vec::new() }));
    let shared = server.clone();
    // The record of revocations by path stays once there was one.
    harness.token(json!({ "ttl": "1m" }));
    assert_eq!(harness.request("PUT", "sys/leases/revoke-prefix/auth/token", Value::Null).0, 204);
    harness.run_tasks();
    harness.outside = Box::new(move |outside| shared.borrow_mut().hear(outside));
    (harness, server)
}

/// Every key that is there, apart from what each commit of the system's own leaves.
fn keys(harness: &Harness) -> BTreeSet<Vec<u8>> {
    harness.table.rows().into_iter().map(|(key, _)| key.to_vec()).collect()
}

fn borrow(harness: &mut Harness, token: &str, body: Value) -> Value {
    let target = format!("db/creds/one?ttl={}", body["ttl"].as_str().unwrap_or("1h"));
    let (status, body) = harness.request_as(token, "GET", &target, Value::Null);
    assert_eq!(status, 200, "{body}");
    body
}

fn id_of(lent: &Value) -> String {
    lent["lease_id"].as_str().unwrap().to_owned()
}

fn is_known(harness: &mut Harness, id: &str) -> bool {
    harness.request("POST", "sys/leases/lookup", json!({ "lease_id": id })).0 == 200
}

fn borrower(harness: &mut Harness) -> String {
    harness
        .token_with(r#"path "db/*" { capabilities = ["read"] } path "auth/token/create" { capabilities = ["update"] }"#)
}

#[test]
fn an_account_is_made_once_lent_looked_up_renewed_and_taken_back_when_it_expires() {
    let (mut harness, server) = mounted();
    let lent = borrow(&mut harness, ROOT, json!({ "ttl": "1h" }));
    assert_eq!((&lent["renewable"], &lent["lease_duration"]), (&json!(true), &json!(3600)));
    assert_eq!((server.borrow().accounts.len(), server.borrow().heard.len()), (1, 1), "an errand is done once");
    let id = id_of(&lent);
    assert!(id.starts_with("db/creds/one/"), "{id}");
    harness.advance(600);
    let (_, shown) = harness.request("POST", "sys/leases/lookup", json!({ "lease_id": id }));
    assert_eq!((&shown["data"]["id"], &shown["data"]["ttl"]), (&json!(id), &json!(3000)));
    assert_eq!(harness.request("LIST", "sys/leases/lookup/db/creds/one", Value::Null).1["data"]["keys"][0], id[13..]);
    let (status, renewed) = harness.request("POST", "sys/leases/renew", json!({ "lease_id": id, "increment": "2h" }));
    assert_eq!((status, &renewed["lease_id"], &renewed["lease_duration"]), (200, &json!(id), &json!(7200)));
    assert!(server.borrow().heard.last().unwrap().starts_with("prolong "));
    harness.run_down(1);
    assert!(is_known(&mut harness, &id), "the old end is past, and the new one is not");
    harness.run_down(2);
    assert!(!is_known(&mut harness, &id));
    assert!(server.borrow().accounts.is_empty());
}

#[test]
fn a_lease_dies_at_once_with_its_token_its_mount_or_its_path_and_the_account_goes_after_it() {
    type End = fn(&mut Harness, &str, &str);
    let ends: [(&str, End); 7] = [
        ("the lease", |harness, _, id| {
            assert_eq!(harness.request("PUT", "sys/leases/revoke", json!({ "lease_id": id })).0, 204)
        }),
        ("the token", |harness, token, _| {
            assert_eq!(harness.request("POST", "auth/token/revoke", json!({ "token": token })).0, 204);
        }),
        ("the token alone", |harness, token, _| {
            assert_eq!(harness.request("POST", "auth/token/revoke-orphan", json!({ "token": token })).0, 204);
        }),
        ("the token's time", |harness, _, _| harness.advance(1800)),
        ("the path", |harness, _, _| {
            assert_eq!(harness.request("PUT", "sys/leases/revoke-prefix/db/creds", Value::Null).0, 204)
        }),
        ("the path by force", |harness, _, _| {
            assert_eq!(harness.request("PUT", "sys/leases/revoke-force/db", Value::Null).0, 204);
        }),
        ("the mount", |harness, _, _| assert_eq!(harness.request("DELETE", "sys/mounts/db", Value::Null).0, 204)),
    ];
    for (what, end) in ends {
        let (mut harness, server) = mounted();
        let policy = r#"path "db/*" { capabilities = ["read"] }"#;
        assert_eq!(harness.request("POST", "sys/policies/acl/db", json!({ "policy": policy })).0, 204);
        let before = keys(&harness);
        let token = harness.token(json!({ "policies": ["db"], "ttl": "30m" }));
        let id = id_of(&borrow(&mut harness, &token, json!({ "ttl": "1h" })));
        assert!(is_known(&mut harness, &id), "{what}");
        end(&mut harness, &token, &id);
        assert!(!is_known(&mut harness, &id), "{what}: the lease is dead at once");
        assert_eq!(server.borrow().accounts.len(), 1, "{what}: the account is there yet");
        harness.run_tasks();
        harness.run_endings();
        harness.run_tasks();
        if what != "the token's time" {
            assert!(server.borrow().accounts.is_empty(), "{what}: and goes without waiting for the calendar");
        }
        harness.run_down(2);
        assert!(server.borrow().accounts.is_empty(), "{what}");
        assert!(keys(&harness).is_subset(&before), "{what} left something inside");
    }
}

#[test]
fn what_cannot_be_taken_back_is_tried_again_then_irrevocable_with_its_reason_until_an_operator_sees_to_it() {
    let (mut harness, server) = mounted();
    let id = id_of(&borrow(&mut harness, ROOT, json!({ "ttl": "10m" })));
    server.borrow_mut().mood = Mood::Refuses;
    harness.run_down(2);
    let drops = |server: &Shared| server.borrow().heard.iter().filter(|text| text.starts_with("drop")).count();
    assert_eq!(drops(&server), 6, "it is not tried without end");
    let (_, count) = harness.request("GET", "sys/leases/count?type=irrevocable", Value::Null);
    assert_eq!(count["data"]["lease_count"], 1);
    let (_, list) = harness.request("GET", "sys/leases?type=irrevocable", Value::Null);
    let listed = &list["data"]["leases"][0];
    assert_eq!((&listed["lease_id"], &listed["error"]), (&json!(id), &json!("one did not do its part: it refuses")));
    assert!(listed["mount_id"].as_str().unwrap().starts_with("accounts_"));
    assert_eq!(server.borrow().accounts.len(), 1);
    // The server is well again.
    server.borrow_mut().mood = Mood::Works;
    harness.run_down(2);
    assert_eq!(drops(&server), 6, "nobody tries any more");
    assert_eq!(harness.request("PUT", "sys/leases/revoke", json!({ "lease_id": id })).0, 204);
    harness.run_endings();
    assert!(server.borrow().accounts.is_empty());
    let (_, count) = harness.request("GET", "sys/leases/count?type=irrevocable", Value::Null);
    assert_eq!(count["data"]["lease_count"], 0);
}

#[test]
fn by_force_a_lease_is_forgotten_after_one_attempt_also_an_irrevocable_one() {
    let (mut harness, server) = mounted();
    let before = keys(&harness);
    borrow(&mut harness, ROOT, json!({ "ttl": "10m" }));
    server.borrow_mut().mood = Mood::Refuses;
    harness.run_down(2);
    borrow_refused(&mut harness);
    assert_eq!(harness.request("PUT", "sys/leases/revoke-force/db", Value::Null).0, 204);
    harness.run_tasks();
    harness.run_endings();
    harness.run_down(1);
    assert!(keys(&harness).is_subset(&before), "nothing is left inside");
    assert_eq!(server.borrow().accounts.len(), 1, "the account is the operator's matter now");
}

fn borrow_refused(harness: &mut Harness) {
    let (status, body) = harness.request("GET", "db/creds/one", Value::Null);
    assert_eq!(status, 503, "{body}");
}

#[test]
fn a_lease_needs_a_token_that_goes_on_and_lasts_no_longer_than_one_that_cannot_be_ended() {
    let (mut harness, server) = mounted();
    let policy = r#"path "db/*" { capabilities = ["read"] }"#;
    assert_eq!(harness.request("POST", "sys/policies/acl/db", json!({ "policy": policy })).0, 204);
    let once = harness.token(json!({ "policies": ["db"], "num_uses": 1 }));
    assert_eq!(harness.request_as(&once, "GET", "db/creds/one", Value::Null).0, 400);
    assert!(server.borrow().heard.is_empty(), "nothing is made for nobody");
    let twice = harness.token(json!({ "policies": ["db"], "num_uses": 2 }));
    borrow(&mut harness, &twice, json!({}));
    let left = harness.request("POST", "auth/token/lookup", json!({ "token": twice })).1;
    assert_eq!(left["data"]["num_uses"], 1, "the two runs of a request are one use");
    let batch = harness.token(json!({ "policies": ["db"], "type": "batch", "ttl": "20m", "no_parent": true }));
    let lent = borrow(&mut harness, &batch, json!({ "ttl": "1h" }));
    assert_eq!(lent["lease_duration"], 1200);
}

/// Runs a request up to a step, and stops there for good. The steps are: a run, the commit of what it began, the errand, and so
/// on, and at last the commit of its end. Whether the request came to its end.
fn run_until(harness: &mut Harness, request: &Request, step: usize) -> bool {
    let mut steps = 0..step;
    let mut errands: Errands = harness.errands();
    loop {
        let mut ahead = context(&mut harness.random, harness.now);
        ahead.errands = std::mem::take(&mut errands);
        let done = harness.core.handle(&mut ahead, &harness.table, request);
        errands = std::mem::take(&mut ahead.errands);
        let Some(()) = steps.next().map(drop) else { return false };
        if let Some(batch) = &done.batch {
            assert!(harness.commit(batch));
            let Some(()) = steps.next().map(drop) else { return false };
        }
        let Some(errand) = done.errand else { return true };
        errands.keep_intents();
        let answer = harness.reach(&errand);
        let Some(()) = steps.next().map(drop) else { return false };
        errands.answer(errand, answer);
    }
}

/// The same for taking back what waits.
fn end_until(harness: &mut Harness, name: &str, step: usize) -> bool {
    let mut steps = 0..step;
    let mut errands = harness.errands();
    loop {
        let done = harness.end_once(&mut errands, name);
        let Some(()) = steps.next().map(drop) else { return false };
        if let Some(errand) = done.errand {
            let answer = harness.reach(&errand);
            let Some(()) = steps.next().map(drop) else { return false };
            errands.answer(errand, answer);
            continue;
        }
        if let Some(batch) = &done.batch {
            assert!(harness.commit(batch));
            let Some(()) = steps.next().map(drop) else { return false };
        }
        return true;
    }
}

#[test]
fn stopped_at_any_step_of_lending_nothing_is_left_in_the_end() {
    for mood in [Mood::Works, Mood::Refuses, Mood::Mute] {
        for fails in [false, true] {
            let mut step = 0;
            loop {
                let (mut harness, server) = mounted();
                let before = keys(&harness);
                let request = harness.build(ROOT, "GET", &format!("db/creds/one?ttl=10m&fails={fails}"), Value::Null);
                server.borrow_mut().mood = mood;
                let is_over = run_until(&mut harness, &request, step);
                server.borrow_mut().mood = Mood::Works;
                harness.run_down(1);
                let what = format!("{mood:?}, fails: {fails}, stopped after {step} steps");
                assert!(server.borrow().accounts.is_empty(), "{what}: left outside");
                assert!(keys(&harness).is_subset(&before), "{what}: left inside");
                if is_over {
                    let expected = if mood == Mood::Works && !fails { 5 } else { 4 };
                    assert_eq!(step, expected, "{what}: run, intent, errand, run, end");
                    break;
                }
                step += 1;
            }
        }
    }
}

#[test]
fn stopped_at_any_step_of_taking_back_nothing_is_left_in_the_end() {
    for mood in [Mood::Works, Mood::Refuses, Mood::Mute] {
        let mut step = 0;
        loop {
            let (mut harness, server) = mounted();
            let before = keys(&harness);
            let id = id_of(&borrow(&mut harness, ROOT, json!({ "ttl": "10m" })));
            assert_eq!(harness.request("PUT", "sys/leases/revoke", json!({ "lease_id": id })).0, 204);
            let waiting = harness.waiting();
            assert_eq!(waiting.len(), 1);
            server.borrow_mut().mood = mood;
            let is_over = end_until(&mut harness, &waiting[0], step);
            server.borrow_mut().mood = Mood::Works;
            harness.run_down(1);
            let what = format!("{mood:?}, stopped after {step} steps");
            assert!(server.borrow().accounts.is_empty(), "{what}: left outside");
            assert!(keys(&harness).is_subset(&before), "{what}: left inside");
            if is_over {
                assert_eq!(step, 4, "{what}: run, errand, run, end");
                break;
            }
            step += 1;
        }
    }
}

#[test]
fn an_intent_that_loses_a_race_is_written_again_and_the_account_made_once() {
    let (mut harness, server) = mounted();
    let request = harness.build(ROOT, "GET", "db/creds/one", Value::Null);
    let mut errands = harness.errands();
    let mut run = |harness: &mut Harness, is_lost: bool| {
        let mut ahead = context(&mut harness.random, harness.now);
        ahead.errands = std::mem::take(&mut errands);
        let done = harness.core.handle(&mut ahead, &harness.table, &request);
        errands = std::mem::take(&mut ahead.errands);
        if is_lost {
            // The mount table is a guard of everything.
            assert_eq!(harness.request("POST", "sys/mounts/other", json!({ "type": "kv" })).0, 204);
        }
        assert_eq!(harness.commit(done.batch.as_ref().unwrap()), !is_lost);
        let Some(errand) = done.errand.filter(|_| !is_lost) else { return done.result.ok() };
        errands.keep_intents();
        let answer = harness.reach(&errand);
        errands.answer(errand, answer);
        None
    };
    run(&mut harness, true);
    assert!(server.borrow().heard.is_empty(), "nothing is made before the intent is committed");
    run(&mut harness, false);
    assert!(run(&mut harness, false).is_some());
    assert_eq!((server.borrow().accounts.len(), server.borrow().heard.len()), (1, 1));
}

#[test]
fn two_leaders_take_a_lease_back_and_one_of_them_finds_it_gone() {
    let (mut harness, server) = mounted();
    let id = id_of(&borrow(&mut harness, ROOT, json!({})));
    assert_eq!(harness.request("PUT", "sys/leases/revoke", json!({ "lease_id": id })).0, 204);
    let name = harness.waiting()[0].clone();
    let mut both = [harness.errands(), harness.errands()];
    for errands in &mut both {
        let errand = harness.end_once(errands, &name).errand.unwrap();
        let answer = harness.reach(&errand);
        errands.answer(errand, answer);
    }
    let ends = both.each_mut().map(|errands| harness.end_once(errands, &name).batch.unwrap());
    assert_eq!(ends.map(|batch| harness.commit(&batch)), [true, false]);
    assert!(harness.end_once(&mut both[1], &name).batch.is_none(), "nothing is left to do");
    assert!(server.borrow().accounts.is_empty() && harness.waiting().is_empty());
}

#[test]
fn what_is_begun_when_its_path_is_revoked_or_its_time_is_over_is_not_given() {
    type Meanwhile = fn(&mut Harness);
    let meanwhile: [Meanwhile; 3] = [
        |harness| assert_eq!(harness.request("PUT", "sys/leases/revoke-prefix/db/creds", Value::Null).0, 204),
        |harness| assert_eq!(harness.request("DELETE", "sys/mounts/db", Value::Null).0, 204),
        |harness| harness.advance(700),
    ];
    for between in meanwhile {
        let (mut harness, server) = mounted();
        let token = borrower(&mut harness);
        let request = harness.build(&token, "GET", "db/creds/one", Value::Null);
        let mut errands = harness.errands();
        let mut run = |harness: &mut Harness| {
            let mut ahead = context(&mut harness.random, harness.now);
            ahead.errands = std::mem::take(&mut errands);
            let done = harness.core.handle(&mut ahead, &harness.table, &request);
            errands = std::mem::take(&mut ahead.errands);
            if let Some(errand) = &done.errand {
                assert!(harness.commit(done.batch.as_ref().unwrap()));
                errands.keep_intents();
                let answer = harness.reach(errand);
                errands.answer(errand.clone(), answer);
            }
            done
        };
        assert!(run(&mut harness).errand.is_some());
        between(&mut harness);
        let late = run(&mut harness);
        assert!(late.result.is_err() && late.batch.is_none());
        harness.run_down(1);
        assert!(server.borrow().accounts.is_empty());
    }
}

#[test]
fn a_target_that_hangs_takes_its_own_places_only() {
    let (mut harness, _) = mounted();
    for number in 0..10 {
        let server = if number == 0 { "two" } else { "one" };
        assert_eq!(harness.request("GET", &format!("db/creds/{server}"), Value::Null).0, 200);
    }
    assert_eq!(harness.request("PUT", "sys/leases/revoke-prefix/db", Value::Null).0, 204);
    harness.run_tasks();
    let first: BTreeSet<String> = harness.waiting().into_iter().collect();
    assert_eq!(first.len(), 5, "four of the one, and the only one of the other");
    let more = crate::task::ending::leases_to_end(&harness.core, &harness.table, &first).unwrap();
    assert_eq!(more, Vec::<String>::new(), "while those are worked on no others of their target are");
}
