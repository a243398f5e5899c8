//! A node whose disk takes nothing any more. If it leads, another leads soon, and nothing that was acknowledged is lost; if
//! it follows, nobody waits for it.
//!
//! The stall is a real one: each node's data lie on a file system of its own, and the leader's is frozen. That needs root and
//! a loop device; without them the test says that it was skipped.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use conclave_client::Request;
use conclave_jepsen::cluster::{Cluster, Options, PATIENCE, wait_until};
use serde_json::json;
use tokio::time::Instant;

/// Size of each node's file system.
const DISK_BYTES: u64 = 512 << 20;

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let output = Command::new(program).args(arguments).output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr)))
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary folders have plain names")
}

/// A file system in a file, mounted at a folder.
struct Disk {
    mounted_at: PathBuf,
}

impl Disk {
    fn mount(image: &Path, at: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| error.to_string();
        let file = std::fs::File::create(image).map_err(failed)?;
        file.set_len(DISK_BYTES).map_err(failed)?;
        std::fs::create_dir_all(at).map_err(failed)?;
        run("mkfs.ext4", &["-q", "-F", text(image)])?;
        run("mount", &["-o", "loop", text(image), text(at)])?;
        let disk = Self { mounted_at: at.to_owned() };
        std::fs::set_permissions(at, std::fs::Permissions::from_mode(0o700)).map_err(failed)?;
        Ok(disk)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Err(error) = run("umount", &["-l", text(&self.mounted_at)]) {
            eprintln!("{} stays mounted: {error}", self.mounted_at.display());
        }
    }
}

/// Nothing is written while this lives.
struct Frozen<'a>(&'a Disk);

impl<'a> Frozen<'a> {
    fn new(disk: &'a Disk) -> Self {
        run("fsfreeze", &["-f", text(&disk.mounted_at)]).expect("a mounted ext4 can be frozen");
        Self(disk)
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        if let Err(error) = run("fsfreeze", &["-u", text(&self.0.mounted_at)]) {
            eprintln!("{} stays frozen: {error}", self.0.mounted_at.display());
        }
    }
}

fn disks(root: &Path) -> Result<Vec<Disk>, String> {
    let one =
        |number: usize| Disk::mount(&root.join(format!("disk{number}")), &root.join(format!("node{number}/data")));
    (1..=3).map(one).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_whose_disk_stalls_is_relieved() {
    let root = tempfile::TempDir::with_prefix("conclave-stall-").unwrap();
    let disks = match disks(root.path()) {
        Ok(disks) => disks,
        Err(reason) => return eprintln!("SKIPPED: a disk cannot be stalled here: {reason}"),
    };
    let cluster = Cluster::start(Options { root: Some(root.path().to_owned()), ..Options::default() }).await.unwrap();
    let old = cluster.wait_for_leader().await.unwrap();
    let others: Vec<_> = (0..3).filter(|index| *index != old).collect();
    cluster.client_of(old).kv2("secret").put("before", &json!({ "number": 1 })).await.unwrap();

    let frozen = Frozen::new(&disks[old]);
    let start = Instant::now();
    // Somebody must write, or nothing stalls.
    let writer = cluster.client_of(others[0]);
    let written = tokio::spawn(async move { writer.kv2("secret").put("meanwhile", &json!({ "number": 2 })).await });
    let another_leads = async || cluster.leader().await.is_some_and(|leader| leader != old);
    wait_until("relieving a leader that cannot write", PATIENCE, another_leads).await.unwrap();
    println!("another node leads after {} ms", start.elapsed().as_millis());
    written.await.unwrap().expect("a write that waited at the old leader goes on at the new one");
    println!("the write that waited was acknowledged after {} ms", start.elapsed().as_millis());
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_ne!(cluster.leader().await, Some(old), "it does not come back while its disk is frozen");

    drop(frozen);
    let serves = async || {
        let client = cluster.client_within(old, Duration::from_secs(2));
        client.kv2("secret").get("meanwhile").await.ok().flatten().is_some_and(|found| found.data["number"] == 2)
    };
    wait_until("the old leader catching up", PATIENCE, serves).await.unwrap();
    let found = cluster.client_of(old).kv2("secret").get("before").await.unwrap().unwrap();
    assert_eq!(found.data["number"], 1);
    let log = std::fs::read_to_string(cluster.node(old).log_file()).unwrap();
    assert!(log.contains("disk slow"), "the log says why:\n{log}");
    drop(cluster);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_whose_disk_stalls_serves_nobody_until_it_is_well() {
    let root = tempfile::TempDir::with_prefix("conclave-stall-").unwrap();
    let disks = match disks(root.path()) {
        Ok(disks) => disks,
        Err(reason) => return eprintln!("SKIPPED: a disk cannot be stalled here: {reason}"),
    };
    let cluster = Cluster::start(Options { root: Some(root.path().to_owned()), ..Options::default() }).await.unwrap();
    let leader = cluster.wait_for_leader().await.unwrap();
    let slow = (0..3).find(|index| *index != leader).unwrap();

    let frozen = Frozen::new(&disks[slow]);
    // The others commit what the slow one cannot apply.
    cluster.client_of(leader).kv2("secret").put("meanwhile", &json!({ "number": 1 })).await.unwrap();
    let health = || Request::get("sys/health").about_one_node().any_status();
    let is_behind = async || {
        let answer = cluster.client_within(slow, Duration::from_secs(2)).send(health()).await;
        answer.is_ok_and(|reply| reply.status() == 503 && reply.json()["state"] == "behind")
    };
    // Whoever asks it meanwhile is not kept until the disk is well, which it is only after this read has ended.
    let client = cluster.client_within(slow, PATIENCE);
    let refused = client.send(Request::get("secret/data/meanwhile").about_one_node()).await;
    let refused = refused.expect_err("it has not what was written").to_string();
    assert!(refused.contains("catch up") || refused.contains("lacks"), "{refused}");
    wait_until("noticing that the follower stands still", PATIENCE, is_behind).await.unwrap();

    drop(frozen);
    let serves = async || {
        let client = cluster.client_within(slow, Duration::from_secs(2));
        client.kv2("secret").get("meanwhile").await.ok().flatten().is_some_and(|found| found.data["number"] == 1)
    };
    wait_until("the follower serving again", PATIENCE, serves).await.unwrap();
    drop(cluster);
}
