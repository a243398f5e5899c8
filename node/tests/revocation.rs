//! Revoking by mount and by path on the real table: at once for all, and in the end nothing is left of them.
//!
//! `CONCLAVE_TOKENS=1000000 cargo test -p conclave-node --test revocation` runs it with a million tokens; without the
//! variable it takes as many as fit into an ordinary test.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test ends with a panic")]

use std::time::{Duration, Instant};

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use conclave_batch::{Outcome, View};
use conclave_storage::log::{Entry, LogId, Payload};
use conclave_storage::table::{DurableTable, Table};
use conclave_vault::members::MemberRecord;
use conclave_vault::seal::{Parameters, initialize};
use conclave_vault::{
    CanonicalPath, Context, Core, NewCluster, Operation, Proposal, Random, Registry, Request, Time, first_batch,
    run_tasks,
};
use serde_json::{Value, json};
use zeroize::Zeroizing;

/// Logins that are applied together.
const TOGETHER: usize = 256;
/// Entries after which a checkpoint is made, as a leader does: until then the table keeps what it would need to go back.
const CHECKPOINT_ENTRIES: u64 = 4096;
/// Most that the process may have grown by, in bytes.
const GROWTH_BYTES: u64 = 200 * 1024 * 1024;

struct Randomness(SystemRandom);

impl Random for Randomness {
    fn fill(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer).expect("the operating system gives random bytes");
    }
}

/// A node's core over its table, and the index of the next entry.
struct Scene {
    core: Core,
    table: DurableTable,
    random: Randomness,
    next: u64,
    checkpointed: u64,
    _folder: tempfile::TempDir,
}

fn context(random: &mut Randomness) -> Context<'_> {
    Context::plain(Time::from_secs(1_700_000_000), random, 1, "1.17.6")
}

impl Scene {
    /// A cluster with AppRole at `auth/approle/`, whose role `ci` opens to everybody with its role id.
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut random = Randomness(SystemRandom::new());
        let parameters = Parameters { shares: 1, threshold: 1 };
        let made = initialize(parameters, &mut random, Time::from_secs(1_700_000_000), [7; 16]).unwrap();
        let table = DurableTable::open(folder.path()).unwrap();
        let core = Core::new(made.barrier, Registry::built_in());
        let mut scene = Self { core, table, random, next: 0, checkpointed: 0, _folder: folder };
        scene.apply(vec![Payload::Blank]);
        let view = scene.view();
        let member = MemberRecord::default();
        let first = NewCluster { open_records: made.records, member, root_token: Some("root"), dev_kv: false };
        let first = first_batch(&scene.core, &mut context(&mut scene.random), &view, first).unwrap().0;
        scene.commit(vec![first]);
        scene.send("root", Operation::Update, "sys/auth/approle", json!({ "type": "approle" }));
        let role = json!({ "role_id": "ci", "bind_secret_id": false, "token_bound_cidrs": ["192.0.2.0/24"] });
        scene.send("root", Operation::Update, "auth/approle/role/ci", role);
        scene
    }

    fn view(&self) -> Box<dyn View> {
        self.table.view().unwrap()
    }

    fn apply(&mut self, payloads: Vec<Payload>) -> Vec<Option<Outcome>> {
        let number = |payload| {
            let entry = Entry { id: LogId { term: 1, leader: 1, index: self.next }, payload };
            self.next += 1;
            entry
        };
        let entries: Vec<Entry> = payloads.into_iter().map(number).collect();
        self.table.apply(&entries).unwrap()
    }

    /// Applies batches, every one of which must succeed.
    fn commit(&mut self, batches: Vec<Proposal>) {
        let payloads = batches.into_iter().map(|batch| Payload::Batch(batch.bytes)).collect();
        for outcome in self.apply(payloads) {
            assert!(matches!(outcome, Some(Outcome::Applied { .. })), "{outcome:?}");
        }
        if self.core.barrier().is_low_on_uses() {
            let view = self.view();
            let (batch, reservation) = self.core.reserve_uses(&mut context(&mut self.random), &view).unwrap();
            self.apply(vec![Payload::Batch(batch.bytes)]);
            self.core.barrier().complete_reservation(reservation);
        }
        if self.next - self.checkpointed > CHECKPOINT_ENTRIES {
            self.checkpointed = self.next;
            self.checkpoint(None);
            let marked = self.next - 1;
            let digest = self.table.digest_at(marked).unwrap().expect("the table remembers a checkpoint's digest");
            self.checkpoint(Some((marked, digest)));
        }
    }

    fn checkpoint(&mut self, confirmed: Option<(u64, [u8; 32])>) {
        let base = self.next - 1;
        let batch = self.core.checkpoint(&mut context(&mut self.random), base, confirmed);
        self.apply(vec![Payload::Batch(batch.bytes)]);
    }

    /// Runs a request: its batch, and its status and body; an error has no body.
    fn run(&mut self, token: &str, operation: Operation, path: &str, data: Value) -> (Option<Proposal>, u16, Value) {
        let path = CanonicalPath::decode(path).unwrap();
        let request = Request {
            id: "00000000-0000-4000-8000-000000000000".into(),
            operation,
            path: if operation.is_list() { path.into_folder() } else { path },
            namespace: String::new(),
            has_body: !data.is_null(),
            data: data.as_object().cloned().unwrap_or_default(),
            token: (!token.is_empty()).then(|| Zeroizing::new(token.to_owned())),
            wrap_ttl: None,
            idempotency_key: None,
            remote_address: Some("192.0.2.1".parse().unwrap()),
            client_certificates: Default::default(),
        };
        let view = self.view();
        let done = self.core.handle(&mut context(&mut self.random), &view, &request);
        match done.result {
            Ok(reply) => {
                let raw = reply.render(&request.id);
                (done.batch, raw.status_code, serde_json::from_slice(&raw.body).unwrap_or_default())
            }
            Err(_) => (done.batch, 0, Value::Null),
        }
    }

    /// Runs a request that must succeed, and commits it.
    fn send(&mut self, token: &str, operation: Operation, path: &str, data: Value) -> Value {
        let (batch, status, body) = self.run(token, operation, path, data);
        assert!(status == 200 || status == 204, "{path}");
        self.commit(batch.into_iter().collect());
        body
    }

    /// Logs in so many times, and returns some of the tokens.
    fn log_in(&mut self, number: usize) -> Vec<String> {
        // The first login makes the role's entity, which those of one moment would all make.
        let first = self.send("", Operation::Update, "auth/approle/login", json!({ "role_id": "ci" }));
        let mut some = vec![first["auth"]["client_token"].as_str().unwrap().to_owned()];
        for start in (1..number).step_by(TOGETHER) {
            let mut batches = Vec::new();
            for _ in start..number.min(start + TOGETHER) {
                let login = json!({ "role_id": "ci" });
                let (batch, status, body) = self.run("", Operation::Update, "auth/approle/login", login);
                assert_eq!(status, 200);
                batches.push(batch.unwrap());
                if batches.len() == 1 {
                    some.push(body["auth"]["client_token"].as_str().unwrap().to_owned());
                }
            }
            self.commit(batches);
        }
        some
    }

    fn works(&mut self, token: &str) -> bool {
        self.run(token, Operation::Read, "auth/token/lookup-self", Value::Null).1 == 200
    }

    /// Lets the leader's work in the background come to its end, and says how much the process grew meanwhile.
    fn clean_up(&mut self) -> u64 {
        let (before, mut most) = (resident_bytes(), 0);
        loop {
            let view = self.view();
            let batch = run_tasks(&self.core, &mut context(&mut self.random), &view).unwrap();
            let Some(batch) = batch else { return most };
            self.commit(vec![batch]);
            most = most.max(resident_bytes().saturating_sub(before));
        }
    }
}

fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

fn tokens() -> usize {
    std::env::var("CONCLAVE_TOKENS").map_or(2_000, |number| number.parse().expect("CONCLAVE_TOKENS is a number"))
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    println!("{what}: {:.3} s", start.elapsed().as_secs_f64());
    (done, start.elapsed())
}

#[test]
fn a_disabled_mount_takes_all_its_tokens_along_and_nothing_stays() {
    let mut scene = Scene::new();
    let (some, _) = timed("logins", || scene.log_in(tokens()));
    assert!(some.iter().all(|token| scene.works(token)));
    let before = resident_bytes();
    let (batches, _) = timed("disabling", || {
        let (batch, status, _) = scene.run("root", Operation::Delete, "sys/auth/approle", Value::Null);
        assert_eq!(status, 204);
        scene.commit(vec![batch.unwrap()]);
        1
    });
    assert_eq!(batches, 1, "one batch, however many tokens");
    assert!(some.iter().all(|token| !scene.works(token)));
    let (grown, _) = timed("removal", || scene.clean_up());
    println!("resident: {} MiB before, {} MiB more at most", before >> 20, grown >> 20);
    assert!(grown < GROWTH_BYTES);
    assert!(some.iter().all(|token| !scene.works(token)));
    let accessors = scene.send("root", Operation::List, "auth/token/accessors", Value::Null);
    assert_eq!(accessors["data"]["keys"].as_array().map(Vec::len), Some(1), "the root token's");
    assert_eq!(scene.run("root", Operation::List, "sys/leases/lookup/auth", Value::Null).1, 0, "no lease is left");
}

#[test]
fn a_revocation_by_path_spares_what_comes_later() {
    let mut scene = Scene::new();
    let some = scene.log_in(tokens() / 2);
    scene.send("root", Operation::Update, "sys/leases/revoke-prefix/auth/approle", Value::Null);
    let later = scene.log_in(TOGETHER * 2);
    assert!(some.iter().all(|token| !scene.works(token)) && later.iter().all(|token| scene.works(token)));
    scene.clean_up();
    assert!(some.iter().all(|token| !scene.works(token)) && later.iter().all(|token| scene.works(token)));
    let leases = scene.send("root", Operation::List, "sys/leases/lookup/auth/approle/login", Value::Null);
    assert_eq!(leases["data"]["keys"].as_array().map(Vec::len), Some(TOGETHER * 2));
}
