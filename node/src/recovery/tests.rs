//! Recovering one node on a real disk: what refuses, what is kept, and that it may be interrupted anywhere.

use std::sync::Arc;
use std::time::Duration;

use conclave_batch::{Batch, Op, SignedBatch, View};
use conclave_storage::log::{Entry as LogEntry, Log, Payload};
use conclave_storage::table::DurableTable;
use conclave_vault::open_key;
use conclave_vault::seal::{Parameters, Share};
use prost::Message;
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::app::{App, StartError};
use crate::before_unseal::init::create_cluster;
use crate::config::{Config, Storage};

const YEAR: Duration = Duration::from_secs(31_536_000);

/// The folder of a node that was stopped, and the shares of its cluster, of which two are needed.
struct Scene {
    folder: TempDir,
    shares: Vec<Share>,
}

fn config(folder: &Path) -> Config {
    let mut config = Config::memory("127.0.0.1:0");
    config.storage = Storage::File { path: folder.to_owned() };
    config
}

async fn start(folder: &Path) -> Arc<App> {
    App::start(config(folder)).await.unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// Stops the node and answers a copy of its folder: this process keeps the one that it had open.
async fn stop(app: Arc<App>) -> TempDir {
    app.shutdown().await;
    let copy = tempfile::tempdir().unwrap();
    copy_folder(app.replica.config.storage.folder().unwrap(), copy.path());
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    std::fs::set_permissions(to, std::fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            std::fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

impl Scene {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = start(folder.path()).await;
        let made = create_cluster(&app.seal, Parameters { shares: 3, threshold: 2 }, None, false).await.unwrap();
        app.seal.unseal(made.initialized.barrier).await.unwrap();
        put(&app, "kept").await;
        Self { folder: stop(app).await, shares: made.initialized.shares }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn flags(&self, more: &[&str]) -> RecoverFlags {
        let path = format!("-path={}", self.path().display());
        let arguments = [path.as_str(), "-force"].into_iter().chain(more.iter().copied());
        RecoverFlags::parse(arguments.map(OsString::from).collect()).unwrap()
    }

    fn node(&self) -> StoppedNode {
        StoppedNode::open(self.path()).unwrap()
    }

    /// The open core, by these texts in place of a terminal.
    fn open(&self, node: &StoppedNode, texts: &[&str]) -> Result<Core, Refusal> {
        let mut texts = texts.iter();
        let mut next = |_: &str| Ok(texts.next().map(|text| Zeroizing::new((*text).to_owned())));
        open_with_shares(&node.outside()?, &mut next)
    }

    fn core(&self, node: &StoppedNode) -> Core {
        let texts: Vec<_> = self.shares.iter().map(Share::to_hex).collect();
        self.open(node, &[&texts[0], &texts[2]]).unwrap()
    }

    fn recover(&self, more: &[&str]) -> Result<String, Refusal> {
        let (node, flags) = (self.node(), self.flags(more));
        recover(&flags, &node, &self.core(&node))
    }

    /// Appends a batch to the log.
    fn log(&self, node: &StoppedNode, signed: Bytes) -> LogEntry {
        let last = node.last().unwrap();
        let entry = LogEntry { id: LogId { index: last.index + 1, ..last }, payload: Payload::Batch(signed) };
        node.log.append(vec![entry.clone()], Box::new(|synced| synced.unwrap())).unwrap();
        node.log.save_committed(Some(entry.id)).unwrap();
        entry
    }

    /// Appends a batch to the log, and applies it, as a sealed node does with whatever its leader sends. Answers its index.
    fn append(&self, node: &StoppedNode, signed: Bytes) -> u64 {
        let entry = self.log(node, signed);
        let index = entry.id.index;
        node.table.apply(&[entry]).unwrap();
        index
    }

    /// A batch without a valid tag that somebody appended, and one behind it.
    fn forge(&self) -> u64 {
        let node = self.node();
        node.apply_to(node.last().unwrap().index).unwrap();
        let at = self.append(&node, untagged(1));
        self.append(&node, untagged(2));
        at
    }

    /// Starts the node that was recovered, unseals it, and answers what is shown of it.
    async fn unsealed(&self) -> Arc<App> {
        let app = start(self.path()).await;
        let outside = app.replica.outside().unwrap().unwrap();
        let texts: Vec<_> = self.shares.iter().map(Share::to_hex).collect();
        let mut texts = texts[..2].iter();
        let mut next = |_: &str| Ok(texts.next().map(|text| Zeroizing::new(text.to_string())));
        let core = open_with_shares(&outside, &mut next).unwrap();
        app.seal.unseal(core.into_barrier()).await.unwrap();
        app
    }
}

fn context<'a>(node: &StoppedNode, random: &'a mut SystemRandomness, now: Time) -> Context<'a> {
    Context::plain(now, random, node.identity.id(), version::API_VERSION)
}

fn untagged(id: u8) -> Bytes {
    let ops = vec![Op { key: open_key("forged"), value: Some(Bytes::from_static(b"1")) }];
    let batch = Batch { id: Bytes::copy_from_slice(&[id; 16]), epoch: 0, base: 1, ops, ..Batch::default() };
    SignedBatch { body: batch.encode_to_vec().into(), term: 1, tag: vec![0; 32].into() }.encode_to_vec().into()
}

async fn put(app: &Arc<App>, name: &'static str) {
    let core = app.seal.state.serving().expect("the node serves");
    let deadline = Instant::now() + Duration::from_secs(30);
    let change = app.replica.change(&core, deadline, |store, _| {
        let system = store.system();
        store.put_bytes(&system, &["test", name], Zeroizing::new(b"value".to_vec()))
    });
    change.await.unwrap();
}

fn has(app: &App, name: &str) -> bool {
    let core = app.seal.state.serving().expect("the node serves");
    let view = app.replica.table.view().unwrap();
    let mut store = core.store(&view);
    let system = store.system();
    store.get_bytes(&system, &["test", name]).unwrap().is_some()
}

#[tokio::test(flavor = "multi_thread")]
async fn wherever_it_is_interrupted_it_can_be_run_again() {
    for done in 0..=STEPS.len() {
        let scene = Scene::new().await;
        // With an entry to be dropped, so that every step has something to do.
        let drop_behind = format!("-drop={}", scene.forge() - 1);
        let flags = scene.flags(&[&drop_behind]);
        {
            let node = scene.node();
            let core = scene.core(&node);
            let mut work = Work::plan(&flags, &node, &core).unwrap();
            STEPS[..done].iter().for_each(|step| step(&mut work).unwrap());
        }
        if (1..STEPS.len()).contains(&done) {
            let refused = App::start(config(scene.path())).await.err().expect("a node that is half recovered started");
            assert!(matches!(refused, StartError::Recovering(_)), "after {done} steps: {}", chain(&refused));
        }
        if done < STEPS.len() {
            scene.recover(&[&drop_behind]).unwrap();
        }
        let app = scene.unsealed().await;
        assert!(has(&app, "kept"), "after {done} steps");
        put(&app, "after").await;
        assert!(has(&app, "after") && app.replica.table.applied().epoch > 1);
        assert!(app.seal.state.serving().unwrap().barrier().active_term() > 1, "a new epoch encrypts under a new term");
        stop(app).await;
    }
}

/// Killed between the log and the table, a recovery finds its own new key term in the log when it is run again.
#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_that_the_table_does_not_have_yet_is_led_to_and_its_tags_count() {
    let scene = Scene::new().await;
    {
        let node = scene.node();
        node.apply_to(node.last().unwrap().index).unwrap();
        let core = scene.core(&node);
        let view = node.table.view().unwrap();
        let mut random = SystemRandomness::default();
        let mut context = context(&node, &mut random, view::now());
        let mut store = core.store(&view);
        conclave_vault::rotate_term(&mut store, &mut context).unwrap();
        let rotation = store.finish(&mut context).unwrap().unwrap().bytes;
        let sealed = SignedBatch::decode(rotation.clone()).and_then(|signed| Batch::decode(signed.body)).unwrap().ops;
        let index = scene.log(&node, rotation).id.index;
        core.barrier().load_keyring(sealed[0].value.as_ref().unwrap(), index).unwrap();
        let under_the_new_term = core.checkpoint(&mut context, view.index(), None).bytes;
        scene.log(&node, under_the_new_term);
    }
    scene.recover(&[]).unwrap();
    let app = scene.unsealed().await;
    assert!(has(&app, "kept"));
    assert_eq!(app.seal.state.serving().unwrap().barrier().active_term(), 3);
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_a_killed_recovery_left_at_nothing_is_led_on_from_the_log() {
    let scene = Scene::new().await;
    scene.node().table.hold(|table| table.rewind()).unwrap();
    std::fs::write(scene.path().join(RECOVERY_MARKER), "").unwrap();
    scene.recover(&[]).unwrap();
    let app = scene.unsealed().await;
    assert!(has(&app, "kept"));
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_shares_and_too_few_change_nothing() {
    let scene = Scene::new().await;
    let state = || {
        let node = scene.node();
        (node.last().unwrap(), node.table.applied(), scene.path().join(RECOVERY_MARKER).exists())
    };
    let recover_with = |texts: &[&str]| {
        let mut texts = texts.iter();
        let mut next = |_: &str| Ok(texts.next().map(|text| Zeroizing::new((*text).to_owned())));
        recover_or_show(&scene.flags(&[]), &mut next, &mut Vec::new())
    };
    let running = scene.node();
    let refused = StoppedNode::open(scene.path()).err().unwrap();
    assert!(chain(&refused).ends_with("stop the server first"), "{}", chain(&refused));
    drop(running);
    let before = state();
    let one = scene.shares[0].to_hex();
    let foreign = Share::from_slice(&[7; 33]).unwrap().to_hex();
    let refused = recover_with(&[&one, &one]).unwrap_err();
    assert!(matches!(refused, Refusal::TooFewShares { given: 1, needed: 2 }), "{refused}");
    for wrong in [foreign.as_str(), "no share"] {
        let refused = recover_with(&[&one, wrong]).unwrap_err();
        let said = chain(&refused);
        assert!(said.starts_with("nothing was changed: share 2 of 2 is n"), "{said}");
        assert_eq!(said.matches("changed").count(), 1, "{said}");
    }
    assert_eq!(state(), before);
    recover_with(&[&one, &scene.shares[1].to_hex()]).unwrap();
    assert_ne!(state(), before, "the same call with good shares changes the node");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_without_a_tag_is_dropped_only_at_the_index_that_was_named() {
    let scene = Scene::new().await;
    assert!(matches!(scene.recover(&["-drop=2"]), Err(Refusal::NothingToDrop)));
    let bad = scene.forge();
    for flags in [&[][..], &[format!("-drop={bad}").as_str()], &["-drop=1"]] {
        let refused = scene.recover(flags).unwrap_err();
        assert!(
            matches!(refused, Refusal::BadTag { index, count: 2, keep } if index == bad && keep == bad - 1),
            "{refused}"
        );
        assert_eq!(scene.node().last().unwrap().index, bad + 1, "nothing is cut before somebody says so");
    }
    assert!(scene.recover(&[&format!("-drop={}", bad - 1)]).unwrap().starts_with("2 entries were dropped. "));
    let app = scene.unsealed().await;
    assert!(has(&app, "kept"));
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_nothing_vouches_for_is_taken_only_if_somebody_says_so() {
    let scene = Scene::new().await;
    let (old, before) = (tempfile::tempdir().unwrap(), scene.path().join("table"));
    copy_folder(scene.path(), old.path());
    std::fs::remove_dir_all(before).unwrap();
    {
        let (from, to) = (StoppedNode::open(old.path()).unwrap(), DurableTable::open(scene.path()).unwrap());
        from.apply_to(from.last().unwrap().index).unwrap();
        let (mut export, mut import) = (from.table.export().unwrap(), to.import().unwrap());
        while let Some(chunk) = export.next_chunk().unwrap() {
            import.push(&chunk).unwrap();
        }
        import.install().unwrap();
    }
    assert!(matches!(scene.recover(&[]), Err(Refusal::Unconfirmed)));
    scene.recover(&["-trust-table"]).unwrap();
    let app = scene.unsealed().await;
    assert!(has(&app, "kept"));
    put(&app, "after").await;
    stop(app).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cluster_time_that_ran_ahead_is_set_back_if_that_is_wanted() {
    for (flags, is_set_back) in [(&[][..], false), (&["-time"][..], true)] {
        let scene = Scene::new().await;
        {
            let node = scene.node();
            node.apply_to(node.last().unwrap().index).unwrap();
            let core = scene.core(&node);
            let view = node.table.view().unwrap();
            let mut random = SystemRandomness::default();
            let mut context = context(&node, &mut random, view::now().plus_secs(YEAR.as_secs()));
            let base = view.index();
            let ahead = core.checkpoint(&mut context, base, None).bytes;
            scene.append(&node, ahead);
        }
        scene.recover(flags).unwrap();
        let app = scene.unsealed().await;
        let mut random = SystemRandomness::default();
        let now = app.replica.context(&mut random).now;
        assert_eq!(now < view::now().plus_secs(3600), is_set_back, "{flags:?}");
        stop(app).await;
    }
}

#[test]
fn a_folder_without_a_node_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let refused = StoppedNode::open(folder.path()).err().unwrap();
    assert!(matches!(refused, StoppedError::NoNode(..)), "{refused}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
