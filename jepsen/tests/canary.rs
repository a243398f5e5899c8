//! Secrets and names are planted, and then looked for where they must not be: in files, logs and traffic.
//!
//! What surprises: it looks for the encodings too in which a leak would hide from a plain search, and first proves that
//! it would find each of them.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use conclave_client::{Client, Error, MetadataUpdate, Method, TokenRequest};
use conclave_jepsen::cluster::{Cluster, Links, Options, PATIENCE, wait_until};
use serde_json::json;
use tokio::task::JoinSet;

/// Canaries that are planted.
const CANARIES: usize = 1_000;
/// Tasks that plant them side by side.
const PLANTERS: usize = 16;
/// Bytes of a needle that are looked up in the index.
const HEAD_BYTES: usize = 8;

/// A word that occurs nowhere else: lower case, because some names are folded to it.
fn canary() -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz234567";
    (0..24).map(|_| char::from(LETTERS[rand::random_range(0..LETTERS.len())])).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn percent_encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02x}")).collect()
}

/// Base64 of the bytes as they look behind `before` bytes of something else, without the characters that those or what
/// follows have a part in (RFC 4648, section 4).
fn base64_within(bytes: &[u8], before: usize) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padded: Vec<u8> = std::iter::repeat_n(0, before).chain(bytes.iter().copied()).collect();
    let digits = padded.chunks_exact(3).flat_map(|group| {
        let joined = group.iter().fold(0, |joined, byte| joined << 8 | usize::from(*byte));
        [18, 12, 6, 0].map(|shift| char::from(DIGITS[joined >> shift & 63]))
    });
    digits.skip((before * 8).div_ceil(6)).collect()
}

/// Every form in which a word may show.
fn forms(word: &[u8]) -> Vec<Vec<u8>> {
    let mut texts = vec![hexadecimal(word), percent_encoded(word)];
    texts.extend((0..3).map(|before| base64_within(word, before)));
    let mut forms: Vec<_> =
        texts.iter().flat_map(|text| [text.clone(), text.to_uppercase()]).map(String::into_bytes).collect();
    let url_safe = texts.iter().map(|text| text.replace('+', "-").replace('/', "_").into_bytes());
    forms.extend(url_safe);
    forms.push(word.to_ascii_uppercase());
    forms.push(word.iter().rev().copied().collect());
    // UTF-16, as some libraries log.
    forms.push(word.iter().flat_map(|byte| [*byte, 0]).collect());
    forms.push(word.to_vec());
    forms
}

/// Looks for many needles at once.
struct Searcher {
    /// Whether some needle begins with these two bytes.
    starts: Vec<bool>,
    heads: HashMap<[u8; HEAD_BYTES], Vec<Vec<u8>>>,
}

impl Searcher {
    fn new(words: &[Vec<u8>]) -> Self {
        let mut searcher = Self { starts: vec![false; 1 << 16], heads: HashMap::new() };
        for form in words.iter().flat_map(|word| forms(word)) {
            searcher.starts[usize::from(u16::from_be_bytes([form[0], form[1]]))] = true;
            let head = *form.first_chunk().expect("a needle is longer than its head");
            searcher.heads.entry(head).or_default().push(form);
        }
        searcher
    }

    /// The first needle in the bytes, and where it begins.
    fn find(&self, bytes: &[u8]) -> Option<(usize, String)> {
        let windows = bytes.windows(HEAD_BYTES).enumerate();
        let likely = windows.filter(|(_, window)| self.starts[usize::from(u16::from_be_bytes([window[0], window[1]]))]);
        likely.into_iter().find_map(|(at, window)| {
            let needles = self.heads.get(window)?;
            let found = needles.iter().find(|needle| bytes[at..].starts_with(needle))?;
            Some((at, String::from_utf8_lossy(found).into_owned()))
        })
    }
}

#[test]
fn every_form_of_a_word_is_found() {
    let word = canary().into_bytes();
    let searcher = Searcher::new(std::slice::from_ref(&word));
    assert_eq!(searcher.find(&vec![b'a'; 4096]), None);
    let plain = [b"before ", word.as_slice(), b" after"].concat();
    for before in 0..3 {
        let text = [&vec![7; before], word.as_slice(), b"rest"].concat();
        // Four digits for three bytes; the end, which padding would fill, is cut off.
        let encoded = base64_within(&text, 0);
        assert!(searcher.find(encoded.as_bytes()).is_some(), "base64 behind {before} bytes");
    }
    for haystack in [plain.clone(), hexadecimal(&plain).into_bytes(), percent_encoded(&plain).into_bytes()] {
        assert!(searcher.find(&haystack).is_some());
    }
}

/// One place for a canary or two.
#[derive(Clone, Copy, Debug)]
enum Place {
    KvNameAndValue,
    KvFolderAndField,
    CustomMetadata,
    PolicyNameAndText,
    TokenMetadata,
    TokenId,
    MountPathAndDescription,
}

/// How many of each are planted; each place takes two canaries.
const PLACES: [(Place, usize); 7] = [
    (Place::KvNameAndValue, 180),
    (Place::KvFolderAndField, 80),
    (Place::CustomMetadata, 60),
    (Place::PolicyNameAndText, 60),
    (Place::TokenMetadata, 60),
    (Place::TokenId, 40),
    (Place::MountPathAndDescription, 20),
];

/// Plants two canaries, and has the server show them once more.
async fn plant(client: &Client, place: Place, first: &str, second: &str) -> Result<(), Error> {
    let kv = client.kv2("secret");
    match place {
        Place::KvNameAndValue => {
            kv.put(first, &json!({ "value": second })).await?;
            assert_eq!(kv.get(first).await?.unwrap().data["value"], second);
        }
        Place::KvFolderAndField => {
            kv.put(&format!("{first}/name"), &json!({ second: "value" })).await?;
            assert_eq!(kv.list(first).await?, ["name"]);
        }
        Place::CustomMetadata => {
            let custom = BTreeMap::from([(first.to_owned(), second.to_owned())]);
            let update = MetadataUpdate { custom_metadata: Some(custom), ..MetadataUpdate::default() };
            kv.update_metadata("noted", &update).await?;
        }
        Place::PolicyNameAndText => {
            let text = format!("path \"secret/data/{second}/*\" {{ capabilities = [\"read\"] }}");
            client
                .raw(Method::Post, &format!("sys/policies/acl/{first}"), &[], Some(&json!({ "policy": text })))
                .await?;
            client.raw(Method::Get, &format!("sys/policies/acl/{first}"), &[], None).await?;
        }
        Place::TokenMetadata => {
            let meta = BTreeMap::from([(first.to_owned(), second.to_owned())]);
            let wanted = TokenRequest { meta, ttl: Some("1h".to_owned()), ..TokenRequest::default() };
            let made = client.tokens().create(&wanted).await?;
            client.with_token(Some(made.client_token)).tokens().lookup_self().await?;
        }
        Place::TokenId => {
            let body = json!({ "id": first, "ttl": "1h", "display_name": second });
            client.raw(Method::Post, "auth/token/create", &[], Some(&body)).await?;
            client.with_token(Some(first.into())).tokens().lookup_self().await?;
            // A token that does not exist must not be written down either.
            let unknown = client.with_token(Some(second.into())).tokens().lookup_self().await;
            assert_eq!(unknown.unwrap_err().status(), Some(403));
        }
        Place::MountPathAndDescription => {
            let body = json!({ "type": "kv", "description": second, "options": { "version": "2" } });
            client.raw(Method::Post, &format!("sys/mounts/{first}"), &[], Some(&body)).await?;
            client.kv2(first).put("name", &json!({ "value": second })).await?;
        }
    }
    Ok(())
}

/// Plants all canaries through all nodes; answers them, and those that are paths of mounts.
async fn plant_all(cluster: &Cluster) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let places: Vec<_> = PLACES.iter().flat_map(|(place, count)| std::iter::repeat_n(*place, *count)).collect();
    let work: Vec<_> = places.into_iter().map(|place| (place, canary(), canary())).collect();
    let words: Vec<_> =
        work.iter().flat_map(|(_, first, second)| [first, second]).map(|word| word.clone().into_bytes()).collect();
    assert_eq!(words.len(), CANARIES);
    let is_mount = |place: &Place| matches!(place, Place::MountPathAndDescription);
    let mount_paths = work.iter().filter(|(place, ..)| is_mount(place)).map(|(_, path, _)| path.clone().into_bytes());
    let mount_paths = mount_paths.collect();
    let mut planters = JoinSet::new();
    for (number, part) in work.chunks(work.len().div_ceil(PLANTERS)).enumerate() {
        let (client, part) = (cluster.client_of(number % 2), part.to_vec());
        planters.spawn(async move {
            for (place, first, second) in &part {
                plant(&client, *place, first, second).await.unwrap_or_else(|error| panic!("{place:?}: {error}"));
            }
        });
    }
    planters.join_all().await;
    (words, mount_paths)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// Fails if a file holds a needle; answers how many bytes were looked at.
fn search(searcher: &Searcher, path: &Path) -> usize {
    let bytes = fs::read(path).unwrap();
    if let Some((at, needle)) = searcher.find(&bytes) {
        let around = String::from_utf8_lossy(&bytes[at.saturating_sub(80)..(at + 120).min(bytes.len())]);
        panic!("{} holds {needle:?} at byte {at}: {around}", path.display());
    }
    bytes.len()
}

/// Has the running nodes purge their logs, so that the one that is down cannot catch up from entries.
async fn purge(cluster: &Cluster) {
    // A leader that seals makes a checkpoint first, and nothing behind the newest checkpoint is purged.
    let leader = cluster.wait_for_leader().await.unwrap();
    cluster.seal(leader).await.unwrap();
    for node in cluster.nodes().iter().filter(|node| node.is_running()) {
        let has_purged = async || fs::read_to_string(node.log_file()).unwrap().contains("purging the log");
        wait_until(&format!("{} purging its log", node.name()), PATIENCE, has_purged).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "long: .ci/run takes a third of these a day"]
async fn a_thousand_canaries_are_in_no_file_no_log_and_no_traffic() {
    // A node that lacks the log gets a snapshot, so that one travels, and comes to lie on a disk.
    let storage = "snapshot_threshold = 200\n  trailing_logs = 50".to_owned();
    let options = Options { links: Links::Recorded, log_level: "trace".to_owned(), storage, ..Options::default() };
    let cluster = Cluster::start(options).await.unwrap();
    cluster.node(2).kill().unwrap();
    cluster.wait_for_leader().await.unwrap();
    let (mut words, mount_paths) = plant_all(&cluster).await;
    // The keys themselves: the first token, and the shares as text and as bytes.
    words.push(cluster.root_token().expose().as_bytes().to_vec());
    for share in cluster.shares() {
        let text = share.expose();
        let digits = (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap());
        words.extend([digits.collect(), text.as_bytes().to_vec()]);
    }
    purge(&cluster).await;
    cluster.node(2).restart().await.unwrap();
    cluster.unseal_all().await.unwrap();
    let newcomer = cluster.client_of(2);
    let name = String::from_utf8(words[0].clone()).unwrap();
    let is_there = async || newcomer.kv2("secret").get(&name).await.is_ok_and(|found| found.is_some());
    wait_until("serving what was planted meanwhile", PATIENCE, is_there).await.unwrap();
    let log = fs::read_to_string(cluster.node(2).log_file()).unwrap();
    assert!(log.contains("a received table is in force"), "no snapshot travelled; the thresholds are too high");
    // In good order, so that everything that is in memory still is written down.
    for node in cluster.nodes() {
        node.stop().await.unwrap();
    }

    let searcher = Searcher::new(&words);
    // An operator reads in the log which mounts were enabled, by their paths.
    words.retain(|word| !mount_paths.contains(word));
    let log_searcher = Searcher::new(&words);
    let mut searched: BTreeMap<&str, usize> = BTreeMap::new();
    for node in cluster.nodes() {
        for path in files(&node.data_dir()) {
            *searched.entry("data").or_default() += search(&searcher, &path);
        }
        *searched.entry("logs").or_default() += search(&log_searcher, &node.log_file());
        *searched.entry("traffic").or_default() += search(&searcher, &node.traffic_file());
    }
    println!("bytes searched for {} words in {} forms each: {searched:?}", words.len(), forms(&words[0]).len());
    // All of it went through the log, the table, and the network.
    let least: BTreeMap<&str, usize> =
        BTreeMap::from([("data", 3 * 300_000), ("logs", 10_000), ("traffic", 2 * 300_000)]);
    for (place, bytes) in least {
        assert!(searched[place] >= bytes, "only {} bytes of {place} were searched", searched[place]);
    }
}
