//! What a seal leaves in the memory of a real process: a node of three whose peers are gone is dumped before and after.
//!
//! The keys to look for are read as an operator with the shares could: from the data of another node.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use conclave_client::Method;
use conclave_jepsen::cluster::{Cluster, Options};
use conclave_storage::table::{DurableTable, Table};
use conclave_vault::seal::{self, Outside, Parsed, Share, combine};
use conclave_vault::{Core, Registry, open_key};
use prost::Message;
use serde_json::json;

/// Shares that unseal.
const THRESHOLD: usize = 3;
/// Bytes of a key that count as a part of it. Fewer would be found by chance.
const PART_BYTES: usize = 8;
/// Bytes that are read at once.
const BLOCK_BYTES: usize = 1024 * 1024;

/// The keyring as `docs/internals/barrier.md` has it, read by other means than the product's.
#[derive(Message)]
struct KeyringRecord {
    #[prost(message, repeated, tag = "2")]
    terms: Vec<TermRecord>,
    #[prost(bytes = "vec", tag = "3")]
    system_keys: Vec<u8>,
}

/// The mounts, as far as they are looked at here.
#[derive(Message)]
struct MountTableRecord {
    #[prost(message, repeated, tag = "1")]
    mounts: Vec<MountRecord>,
}

#[derive(Message)]
struct MountRecord {
    #[prost(string, tag = "2")]
    path: String,
    #[prost(bytes = "vec", tag = "14")]
    keys: Vec<u8>,
}

#[derive(Message)]
struct TermRecord {
    #[prost(bytes = "vec", tag = "2")]
    secret: Vec<u8>,
}

fn open_keyring(outside: &Outside, root_key: &[u8; 32]) -> KeyringRecord {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, root_key).unwrap());
    let bound = [&b"conclave keyring v1"[..], &outside.cluster_id].concat();
    let nonce = Nonce::try_assume_unique_for_key(&outside.keyring[1..13]).unwrap();
    let mut sealed = outside.keyring[13..].to_vec();
    let opened = key.open_in_place(nonce, Aad::from(bound), &mut sealed).unwrap();
    KeyringRecord::decode(&*opened).unwrap()
}

/// Every key of the cluster under a name, from a node's data and the shares.
fn all_keys(data: &Path, shares: &[String]) -> Vec<(String, Vec<u8>)> {
    let table = DurableTable::open(data).unwrap();
    let view = table.view().unwrap();
    let open = |name| conclave_batch::View::get(&view, &open_key(name)).unwrap().unwrap().value;
    let outside = Outside::decode(&open(seal::CLUSTER), &open(seal::SEAL), &open(seal::KEYRING)).unwrap();
    let shares: Vec<Share> = shares.iter().map(|share| parse(share)).collect();
    let unseal_key = combine(&shares.iter().collect::<Vec<_>>()).unwrap();
    let root_key = outside.unwrap_root_key(&unseal_key).unwrap();
    let mut keys = vec![
        ("the unseal key".to_owned(), unseal_key.expose().to_vec()),
        ("the root key".to_owned(), root_key.expose().to_vec()),
    ];
    let keyring = open_keyring(&outside, root_key.expose());
    keys.extend(keyring.terms.iter().enumerate().map(|(at, term)| (format!("term {}", at + 1), term.secret.clone())));
    keys.push(("the system's name and index keys".into(), keyring.system_keys[1..].to_vec()));
    let core = Core::new(outside.open_barrier(root_key).unwrap(), Registry::built_in());
    let mut store = core.store(&view);
    let system = store.system();
    let table: MountTableRecord = store.get(&system, &["core", "mounts"]).unwrap().unwrap();
    for mount in table.mounts {
        keys.push((format!("the name and index keys of {}", mount.path), mount.keys[1..].to_vec()));
    }
    keys
}

fn parse(text: &str) -> Share {
    match Share::parse(text) {
        Parsed::Share(share) => share,
        _ => panic!("a share of this cluster is not one"),
    }
}

/// Names of the keys of which the readable memory of a process holds a part of [`PART_BYTES`] anywhere.
fn keys_in_memory(process: u32, keys: &[(String, Vec<u8>)]) -> Vec<String> {
    let mut parts: HashMap<[u8; PART_BYTES], &str> = HashMap::new();
    for (name, key) in keys {
        parts.extend(key.chunks_exact(PART_BYTES).map(|part| (part.try_into().unwrap(), name.as_str())));
    }
    let mut begins = vec![false; 1 << 16];
    parts.keys().for_each(|part| begins[usize::from(u16::from_le_bytes([part[0], part[1]]))] = true);
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let mut found: Vec<String> = Vec::new();
    let mut block = vec![0; BLOCK_BYTES + PART_BYTES];
    for (start, end) in readable_ranges(process) {
        for at in (start..end).step_by(BLOCK_BYTES) {
            let length = usize::try_from(end - at).unwrap().min(block.len());
            // A range that is gone by now holds nothing.
            let Ok(length) = memory.read_at(&mut block[..length], at) else { break };
            for window in block[..length].windows(PART_BYTES) {
                if begins[usize::from(u16::from_le_bytes([window[0], window[1]]))]
                    && let Some(name) = parts.get(window)
                {
                    found.push((*name).to_owned());
                }
            }
        }
    }
    found.sort();
    found.dedup();
    found
}

fn readable_ranges(process: u32) -> Vec<(u64, u64)> {
    let maps = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let range = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let (start, end) = range.split_once('-')?;
        let is_read = rest.starts_with('r') && !line.ends_with("[vvar]") && !line.ends_with("[vsyscall]");
        Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?)).filter(|_| is_read)
    };
    maps.lines().filter_map(range).collect()
}

// checks 188, 189
#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_node_without_peers_holds_no_byte_of_a_key() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root may read the memory of a process that forbids it to others");
        return;
    }
    let cluster = Cluster::start(Options::default()).await.unwrap();
    cluster.client().cluster().rotate().await.unwrap();
    let body = json!({ "type": "approle" });
    cluster.client().raw(Method::Post, "sys/auth/approle", &[], Some(&body)).await.unwrap();
    for index in 0..cluster.size() {
        cluster.client_of(index).kv2("secret").put("kept", &json!({ "kept": index })).await.unwrap();
        // With a checkpoint, a mount list and a read of every kind of record behind it.
        cluster.client_of(index).mounts().list().await.unwrap();
    }
    let leader = cluster.wait_for_leader().await.unwrap();
    let (stopped, killed) = ((leader + 1) % 3, (leader + 2) % 3);
    cluster.node(stopped).stop().await.unwrap();
    cluster.node(killed).kill().unwrap();

    let shares: Vec<String> = cluster.shares()[..THRESHOLD].iter().map(|share| share.expose().to_owned()).collect();
    let keys = all_keys(&cluster.node(stopped).data_dir(), &shares);
    let process = cluster.node(leader).process_id().unwrap();
    let before = keys_in_memory(process, &keys);
    assert!(before.len() >= 5, "the dump of an unsealed node must find its keys; it found {before:?}");
    cluster.seal(leader).await.unwrap();
    assert_eq!(keys_in_memory(process, &keys), Vec::<String>::new());
}
