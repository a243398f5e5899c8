//! Every file of a data folder, damaged in every way: the start or the unseal refuses it, says what is wrong, and what to do.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use conclave_vault::seal::{Parameters, Share};
use conclave_vault::{CanonicalPath, Operation, Request};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use tokio::time::Instant;

use super::*;
use crate::app::App;
use crate::before_unseal::init::create_cluster;
use crate::gateway::{Consistency, Gateway, Incoming, Noted};
use crate::server::chain;

const FLIPPED_BITS: u8 = 0b101;

fn config(folder: &Path) -> Config {
    let mut config = Config::memory("127.0.0.1:0");
    config.storage = Storage::File { path: folder.to_owned() };
    config
}

/// A node that was stopped, with one share that unseals it.
struct StoppedFolder {
    folder: TempDir,
    share: Share,
}

impl StoppedFolder {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let app = App::start(config(folder.path())).await.unwrap();
        let made = create_cluster(&app.seal, Parameters { shares: 1, threshold: 1 }, None, false).await.unwrap();
        app.seal.unseal(made.initialized.barrier).await.unwrap();
        app.shutdown().await;
        // This process keeps the one that it had open.
        let copy = tempfile::tempdir().unwrap();
        copy_folder(folder.path(), copy.path());
        Self { folder: copy, share: made.initialized.shares.into_iter().next().unwrap() }
    }

    fn copy(&self) -> TempDir {
        let copy = tempfile::tempdir().unwrap();
        copy_folder(self.folder.path(), copy.path());
        copy
    }

    /// The files, by their paths inside of the folder.
    fn files(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    files.push(path.strip_prefix(self.folder.path()).unwrap().to_owned());
                }
            }
        }
        files.sort();
        files
    }

    /// Starts a node on a folder and unseals it. What it was refused with, or the whole node.
    async fn revive(&self, folder: &Path) -> Result<Arc<App>, String> {
        let config = config(folder);
        let started = tokio::spawn(App::start(config)).await.expect("a damage is no panic");
        let app = started.map_err(|error| chain(&error))?;
        let reply = app.serve(unseal(&self.share)).await;
        let body = String::from_utf8_lossy(&reply.body).into_owned();
        if reply.status == 200 && app.seal.state.serving().is_some() {
            return Ok(app);
        }
        app.shutdown().await;
        Err(format!("unseal: {body}"))
    }
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    fs::set_permissions(to, fs::metadata(from).unwrap().permissions()).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() {
            copy_folder(&path, &to.join(name));
        } else {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

fn unseal(share: &Share) -> Incoming {
    let data: Map<String, Value> = json!({ "key": share.to_hex().as_str() }).as_object().cloned().unwrap();
    let request = Request {
        id: "1".into(),
        operation: Operation::Update,
        path: CanonicalPath::new("sys/unseal").unwrap(),
        namespace: String::new(),
        data,
        has_body: true,
        token: None,
        wrap_ttl: None,
        idempotency_key: None,
        remote_address: Some([127, 0, 0, 1].into()),
        client_certificates: Default::default(),
    };
    Incoming {
        request,
        method: "PUT".into(),
        query: Vec::new(),
        consistency: Consistency::Linearizable,
        wanted_indexes: Vec::new(),
        body_bytes: 0,
        noted: Noted::default(),
        deadline: Instant::now() + Duration::from_secs(30),
    }
}

/// What may happen to a file.
enum Damage {
    Emptied,
    /// A byte at a place, in parts of what the file holds.
    Flipped(u64),
    Removed,
}

impl Damage {
    const ALL: [Self; 6] =
        [Self::Emptied, Self::Removed, Self::Flipped(0), Self::Flipped(30), Self::Flipped(70), Self::Flipped(100)];

    fn name(&self) -> String {
        match self {
            Self::Emptied => "emptied".into(),
            Self::Flipped(part) => format!("flipped at {part}%"),
            Self::Removed => "removed".into(),
        }
    }

    /// Does it, if there is anything to damage.
    fn inflict(&self, path: &Path) -> ControlFlow<()> {
        let mut content = fs::read(path).unwrap();
        match self {
            _ if content.is_empty() && !matches!(self, Self::Removed) => return ControlFlow::Break(()),
            Self::Removed => {
                fs::remove_file(path).unwrap();
                return ControlFlow::Continue(());
            }
            Self::Emptied => content.clear(),
            Self::Flipped(part) => {
                // Room that was reserved and not written yet holds nothing to damage.
                let used = content.iter().rposition(|byte| *byte != 0).unwrap_or_default();
                let place = used * usize::try_from(*part).unwrap() / 100;
                content[place] ^= FLIPPED_BITS;
            }
        }
        fs::write(path, content).unwrap();
        ControlFlow::Continue(())
    }
}

/// Whether a node may serve with such a file: because nothing lies in it, because it is told as what a power loss leaves, or
/// because the unseal, which looks at every row, found the table whole: its journal comes back from the log, and its engine
/// keeps files that it reads no more.
fn may_serve(file: &str, damage: &Damage) -> bool {
    match file.split_once('/') {
        _ if file.to_lowercase().ends_with("/lock") => true,
        Some(("log", "tail")) => matches!(damage, Damage::Flipped(_)),
        Some(("table", inside)) => inside.starts_with("rows-"),
        _ => false,
    }
}

/// What must stand in a refusal, for whoever has to find the place.
fn place(file: &str) -> &str {
    match file.split_once('/') {
        Some(("node", _)) => file,
        Some((part, _)) => part,
        None => file,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_damaged_file_of_a_data_folder_is_refused_with_the_place_and_what_to_do() {
    let stopped = StoppedFolder::new().await;
    let files = stopped.files();
    assert!(files.len() > 8, "{files:?}");
    let mut wrong = Vec::new();
    for file in files.iter().map(|file| file.to_str().unwrap()) {
        for damage in Damage::ALL {
            let copy = stopped.copy();
            if damage.inflict(&copy.path().join(file)).is_break() {
                continue;
            }
            let what = format!("{file} {}", damage.name());
            match stopped.revive(copy.path()).await {
                Ok(app) => {
                    println!("{what}: serves");
                    app.shutdown().await;
                    if !may_serve(file, &damage) {
                        wrong.push(format!("{what}: serves"));
                    }
                }
                Err(refusal) => {
                    println!("{what}: {refusal}");
                    if !refusal.contains(place(file)) || !refusal.contains("folder") {
                        wrong.push(format!("{what}: {refusal}"));
                    }
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_its_key_or_its_id_does_not_start_under_new_ones() {
    let stopped = StoppedFolder::new().await;
    for gone in ["node/node.key", "node/node.id", "node"] {
        let copy = stopped.copy();
        let path = copy.path().join(gone);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap()
        } else {
            fs::remove_file(&path).unwrap()
        }
        let refused = stopped.revive(copy.path()).await.err().expect("it started");
        assert!(refused.contains("is missing") && refused.contains("remove-peer"), "{gone}: {refused}");
        assert!(!path.exists(), "{gone} was made anew");
    }
    stopped.revive(stopped.copy().path()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_key_and_id_of_another_node_are_not_taken() {
    let (stopped, other) = (StoppedFolder::new().await, StoppedFolder::new().await);
    for file in ["node/node.key", "node/node.id"] {
        let copy = stopped.copy();
        fs::copy(other.folder.path().join(file), copy.path().join(file)).unwrap();
        let refused = stopped.revive(copy.path()).await.err().expect("it started");
        assert!(refused.contains(file) && refused.contains("put both back"), "{file}: {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_was_moved_away_is_built_anew_from_the_log() {
    let stopped = StoppedFolder::new().await;
    let copy = stopped.copy();
    fs::remove_dir_all(copy.path().join("table")).unwrap();
    let app = stopped.revive(copy.path()).await.unwrap();
    assert!(app.replica.table.applied().last.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_without_log_and_table_does_not_start_as_one_that_never_voted() {
    let stopped = StoppedFolder::new().await;
    let copy = stopped.copy();
    for gone in ["log", "table"] {
        fs::remove_dir_all(copy.path().join(gone)).unwrap();
    }
    let refused = stopped.revive(copy.path()).await.err().expect("it started");
    assert!(refused.contains("log/ and table/") && refused.contains("remove-peer"), "{refused}");
}
