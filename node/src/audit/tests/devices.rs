//! Devices as a configuration or a client sets them up, on real nodes and real files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use conclave_vault::AuditDevice;
use rustix::fs::{FileType, Mode, OFlags};
use tempfile::TempDir;

use super::*;
use crate::gateway::NotedHeader;
use crate::opening::StartError;

/// A folder for files of devices: below the real place of the temporary one, which may be a link itself.
struct Folder {
    path: PathBuf,
    _folder: TempDir,
}

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { path: folder.path().canonicalize().unwrap(), _folder: folder }
    }

    fn file(&self, name: &str) -> String {
        self.path.join(name).display().to_string()
    }

    /// The records of a file.
    fn records(&self, name: &str) -> Vec<Value> {
        let text = fs::read_to_string(self.path.join(name)).unwrap();
        let records = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        records.filter(|record| record["type"] != "chain").collect()
    }

    /// The records of a file beside others, once it holds so many: a reply waits for one device only.
    async fn all_records(&self, name: &str, count: usize) -> Vec<Value> {
        let has_all = || {
            let is_whole = fs::read_to_string(self.path.join(name)).is_ok_and(|text| text.ends_with('\n'));
            is_whole && self.records(name).len() >= count
        };
        comes(&format!("{count} records in {name}"), has_all).await;
        self.records(name)
    }
}

async fn app() -> Arc<App> {
    App::start_dev(Config::memory("127.0.0.1:0"), Some(ROOT)).await.unwrap().0
}

/// A node that soon gives up a device: only where one stalls, because what is soon for a busy machine is too late for this node.
async fn impatient() -> Arc<App> {
    let mut config = Config::memory("127.0.0.1:0");
    config.limits.audit_time = Duration::from_secs(2);
    App::start_dev(config, Some(ROOT)).await.unwrap().0
}

async fn enable(app: &Arc<App>, name: &str, options: Value) -> u16 {
    let body = json!({ "type": "file", "options": options });
    ask(app, Operation::Update, &format!("sys/audit/{name}"), ROOT, body).await.0
}

async fn hash(app: &Arc<App>, device: &str, text: &str) -> Value {
    let reply = ask(app, Operation::Update, &format!("sys/audit-hash/{device}"), ROOT, json!({ "input": text })).await;
    reply.1["data"]["hash"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_fill_the_disk_with_short_values() {
    let (app, folder) = (app().await, Folder::new());
    assert_eq!(enable(&app, "log", json!({ "file_path": folder.file("log") })).await, 204);
    let many: Value = vec![json!(0); 2_000].into();
    let sent = json!({ "few": [1, 2], "many": many, "nested": { "a": many } });
    assert_eq!(ask(&app, Operation::Update, "auth/token/lookup", "", sent.clone()).await.0, 403);
    let recorded = |folder: &Folder| folder.records("log").pop().unwrap()["request"]["data"].clone();
    let data = recorded(&folder);
    assert_eq!(data["few"].as_array().unwrap().len(), 2);
    assert_eq!(data["many"], hash(&app, "log", &many.to_string()).await);
    assert!(data["nested"].is_string());
    // Who has a token is told field by field.
    ask(&app, Operation::Update, "auth/token/lookup", ROOT, sent).await;
    assert_eq!(recorded(&folder)["many"].as_array().unwrap().len(), 2_000);
}

// check 86
#[tokio::test(flavor = "multi_thread")]
async fn no_device_writes_where_the_configuration_is_read() {
    let folder = Folder::new();
    let mut config = Config::memory("127.0.0.1:0");
    config.audit.sources = vec![folder.path.clone()];
    let app = App::start_dev(config, Some(ROOT)).await.unwrap().0;
    assert_eq!(enable(&app, "a", json!({ "file_path": folder.file("z.json") })).await, 400);
    assert!(!folder.path.join("z.json").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_gets_each_request_and_reply_with_hashes_in_place_of_values() {
    let (folder, app) = (Folder::new(), app().await);
    assert_eq!(enable(&app, "file", json!({ "file_path": folder.file("log") })).await, 204);
    let data =
        json!({ "data": { "a": SECRET, "n": 8_147_114_711_471_147_i64, "deep": [{ "b": SECRET }], "yes": true } });
    assert_eq!(ask(&app, Operation::Update, "secret/data/x", ROOT, data).await.0, 200);
    let records = folder.records("log");
    let [_, _, asked, answered] = &records[..] else { panic!("{} records", records.len()) };
    let (secret, number) = (hash(&app, "file", SECRET).await, hash(&app, "file", "8147114711471147").await);
    let expected = json!({ "data": { "a": secret, "n": number, "deep": [{ "b": secret }], "yes": true } });
    assert_eq!(asked["request"]["data"], expected);
    assert_eq!(asked["request"]["client_token"], hash(&app, "file", ROOT).await);
    assert_eq!((&asked["type"], &answered["type"]), (&json!("request"), &json!("response")));
    assert_eq!(answered["response"]["data"]["version"], hash(&app, "file", "1").await);
    for (field, value) in [
        ("operation", json!("create")),
        ("path", json!("secret/data/x")),
        ("mount_point", json!("secret/")),
        ("mount_type", json!("kv")),
        ("mount_class", json!("secret")),
        ("remote_address", json!("127.0.0.1")),
        ("namespace", json!({ "id": "root" })),
        ("id", answered["request"]["id"].clone()),
    ] {
        assert_eq!(asked["request"][field], value, "{field}");
    }
    let granting =
        json!({ "allowed": true, "granting_policies": [{ "name": "root", "namespace_id": "root", "type": "acl" }] });
    assert_eq!(asked["auth"]["policy_results"], granting);
    assert_eq!((&asked["auth"]["policies"], &asked["auth"]["token_type"]), (&json!(["root"]), &json!("service")));
    let text = fs::read_to_string(folder.path.join("log")).unwrap();
    assert!(
        !text.contains(SECRET) && !text.contains(ROOT) && !text.contains("8147114711471147"),
        "no value in the clear"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_request_that_enables_the_first_device_and_the_one_that_disables_the_last_are_recorded() {
    // check 220
    let (folder, app) = (Folder::new(), app().await);
    assert_eq!(enable(&app, "file", json!({ "path": folder.file("log") })).await, 204);
    assert_eq!(ask(&app, Operation::Delete, "sys/audit/file", ROOT, Value::Null).await.0, 204);
    assert_eq!(write(&app, "unseen").await, 200);
    let shown = |record: &Value| {
        format!("{} {}", record["type"].as_str().unwrap(), record["request"]["operation"].as_str().unwrap())
    };
    let shown: Vec<String> = folder.records("log").iter().map(shown).collect();
    assert_eq!(shown, ["request update", "response update", "request delete", "response delete"]);
    assert!(folder.records("log").iter().all(|record| record["auth"]["policies"] == json!(["root"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_that_shows_values_changes_nothing_of_another() {
    // check 215
    let (folder, app) = (Folder::new(), app().await);
    assert_eq!(enable(&app, "raw", json!({ "path": folder.file("raw"), "log_raw": "true" })).await, 204);
    let options = json!({ "path": folder.file("log"), "hmac_accessor": false, "elide_list_responses": true });
    assert_eq!(enable(&app, "log", options).await, 204);
    assert_eq!(write(&app, "a").await, 200);
    let made = ask(&app, Operation::Update, "auth/token/create", ROOT, json!({ "policies": ["default"] })).await.1;
    ask(&app, Operation::List, "secret/metadata/", ROOT, Value::Null).await;
    let (raw, hidden) = (folder.all_records("raw", 10).await, folder.all_records("log", 6).await);
    let last = |records: &[Value]| records[records.len() - 1]["response"]["data"]["keys"].clone();
    assert_eq!((last(&raw), last(&hidden)), (json!(["a"]), json!(1)));
    let given = |records: &[Value]| records[records.len() - 3]["response"]["auth"].clone();
    let (token, accessor) = (&made["auth"]["client_token"], &made["auth"]["accessor"]);
    assert_eq!((&given(&raw)["client_token"], &given(&raw)["accessor"]), (token, accessor));
    assert_eq!(given(&hidden)["client_token"], hash(&app, "log", token.as_str().unwrap()).await);
    assert_eq!(&given(&hidden)["accessor"], accessor);
    let text = |name: &str| fs::read_to_string(folder.path.join(name)).unwrap();
    assert!(text("raw").contains(SECRET) && !text("log").contains(SECRET));
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_that_a_mount_shows_stay_readable() {
    let (folder, app) = (Folder::new(), app().await);
    let config = json!({ "audit_non_hmac_request_keys": ["b"], "audit_non_hmac_response_keys": ["b"] });
    ask(&app, Operation::Update, "sys/mounts/kv", ROOT, json!({ "type": "kv", "config": config })).await;
    assert_eq!(enable(&app, "file", json!({ "path": folder.file("log") })).await, 204);
    ask(&app, Operation::Update, "kv/x", ROOT, json!({ "a": SECRET, "b": "shown" })).await;
    ask(&app, Operation::Read, "kv/x", ROOT, Value::Null).await;
    let records = folder.records("log");
    assert_eq!(records[2]["request"]["data"]["b"], "shown");
    assert_eq!(records[5]["response"]["data"]["b"], "shown");
    assert_eq!(records[5]["response"]["data"]["a"], hash(&app, "file", SECRET).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_stand_in_records_if_they_are_asked_for() {
    let (folder, app) = (Folder::new(), app().await);
    assert_eq!(enable(&app, "file", json!({ "path": folder.file("log") })).await, 204);
    for (name, is_hashed) in [("x-one", false), ("x-two", true)] {
        let path = format!("sys/config/auditing/request-headers/{name}");
        ask(&app, Operation::Update, &path, ROOT, json!({ "hmac": is_hashed })).await;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in [("x-one", "1"), ("x-two", "2"), ("x-three", "3")] {
        headers.insert(name, value.parse().unwrap());
    }
    // The rules of the last request count for the next one.
    ask(&app, Operation::Read, "secret/data/x", ROOT, Value::Null).await;
    let mut request = incoming(Operation::Read, "secret/data/x", ROOT, Value::Null);
    request.noted.headers = app.recorded_headers(&headers);
    let names: Vec<&str> = request.noted.headers.iter().map(|NotedHeader { name, .. }| name.as_str()).collect();
    assert_eq!(names, ["x-one", "x-two"]);
    app.serve(request).await;
    let records = folder.records("log");
    let expected = json!({ "x-one": ["1"], "x-two": [hash(&app, "file", "2").await] });
    assert_eq!(records[records.len() - 1]["request"]["headers"], expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_records_must_not_go_to_is_refused() {
    // check 86, check 222
    let (folder, app) = (Folder::new(), app().await);
    let (foreign, tool) = (folder.path.join("foreign"), folder.path.join("tool"));
    fs::write(&foreign, "storage \"raft\" {}\n").unwrap();
    fs::write(&tool, "").unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(folder.path.join("one"), "").unwrap();
    fs::hard_link(folder.path.join("one"), folder.path.join("other")).unwrap();
    symlink(folder.path.join("target"), folder.path.join("link")).unwrap();
    symlink(&folder.path, folder.path.join("folder")).unwrap();
    let beside_the_program = std::env::current_exe().unwrap().with_file_name("audit.log").display().to_string();
    let paths = ["foreign", "tool", "other", "link", "folder/log", "none/log", "../log"].map(|name| folder.file(name));
    for path in
        paths.iter().map(String::as_str).chain(["/dev/full", "/proc/self/mem", "relative", "/", &beside_the_program])
    {
        assert_eq!(enable(&app, "file", json!({ "path": path })).await, 400, "{path}");
    }
    assert!(!folder.path.join("target").exists());
    assert_eq!(fs::read_to_string(&foreign).unwrap(), "storage \"raft\" {}\n");
    assert_eq!(enable(&app, "file", json!({ "path": folder.file("log"), "mode": "0640" })).await, 204);
    assert_eq!(fs::metadata(folder.path.join("log")).unwrap().permissions().mode() & 0o777, 0o640);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_moved_away_is_followed_by_a_new_one_and_nothing_is_lost() {
    // check 222
    let (folder, app) = (Folder::new(), app().await);
    assert_eq!(enable(&app, "file", json!({ "path": folder.file("log") })).await, 204);
    let mut written = 0;
    for turn in 0..4 {
        for name in ["a", "b", "c"] {
            assert_eq!(write(&app, name).await, 200);
            written += 1;
        }
        fs::rename(folder.path.join("log"), folder.path.join(format!("log.{turn}"))).unwrap();
        if turn < 3 {
            app.audit.reopen();
        }
    }
    let records = (0..4).flat_map(|turn| folder.records(&format!("log.{turn}")));
    let writes = records.filter(|record| record["request"]["path"].as_str().unwrap().starts_with("secret/data/"));
    assert_eq!(writes.count(), 2 * written);
}

/// A pipe that takes nothing more.
fn full_pipe(path: &PathBuf) -> fs::File {
    rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).unwrap();
    let pipe = rustix::fs::open(path, OFlags::RDWR | OFlags::NONBLOCK, Mode::empty()).unwrap();
    while rustix::io::write(&pipe, &[b' '; 4096]).is_ok() {}
    pipe.into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_that_stalls_refuses_what_no_other_records_and_can_be_disabled() {
    // check 205
    let (folder, app) = (Folder::new(), impatient().await);
    let _pipe = full_pipe(&folder.path.join("pipe"));
    let reply = enable(&app, "pipe", json!({ "path": folder.file("pipe") })).await;
    assert_eq!(reply, 500, "it is enabled, but did not record that");
    assert_eq!(write(&app, "a").await, 500);
    assert_eq!(ask(&app, Operation::Delete, "sys/audit/pipe", "nobody", Value::Null).await.0, 500);
    assert_eq!(ask(&app, Operation::Delete, "sys/audit/pipe", ROOT, Value::Null).await.0, 204);
    assert_eq!(ask(&app, Operation::Read, "secret/data/a", ROOT, Value::Null).await.0, 404, "nothing was written");
    assert_eq!(write(&app, "a").await, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_device_that_works_is_enough_beside_one_that_stalls() {
    let (folder, app) = (Folder::new(), app().await);
    let _pipe = full_pipe(&folder.path.join("pipe"));
    assert_eq!(enable(&app, "file", json!({ "path": folder.file("log") })).await, 204);
    assert_eq!(enable(&app, "pipe", json!({ "path": folder.file("pipe") })).await, 204);
    for _ in 0..100 {
        assert_eq!(write(&app, "a").await, 200);
    }
    let metrics = app.replica.metrics.render_prometheus();
    assert!(metrics.contains("conclave_audit_records_total{device=\"file/\"}"), "{metrics}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_of_the_configuration_records_from_the_start_and_stays() {
    let folder = Folder::new();
    let device = |options: &[(&str, String)]| AuditDevice {
        path: "local/".into(),
        kind: "file".into(),
        options: options.iter().map(|(name, value)| ((*name).to_owned(), value.clone())).collect(),
        id: AuditDevice::configured_id("local/"),
        ..AuditDevice::default()
    };
    let mut config = Config::memory("127.0.0.1:0");
    config.audit.devices = vec![device(&[("file_path", folder.file("log")), ("colour", "red".into())])];
    let refused = App::start(config.clone()).await.err();
    assert!(matches!(&refused, Some(StartError::Config(reason)) if reason.contains("colour")), "an error at the start");
    config.audit.devices = vec![device(&[("file_path", folder.file("log"))])];
    let (app, _) = App::start_dev(config.clone(), Some(ROOT)).await.unwrap();
    assert_eq!(write(&app, "a").await, 200);
    assert_eq!(folder.records("log").len(), 2);
    let listed = ask(&app, Operation::Read, "sys/audit", ROOT, Value::Null).await.1;
    assert_eq!(listed["data"]["local/"]["type"], "file");
    assert_eq!(folder.records("log")[0]["request"]["client_token"], hash(&app, "local", ROOT).await);
    assert_eq!(enable(&app, "local", json!({ "path": folder.file("other") })).await, 400);
    assert_eq!(ask(&app, Operation::Delete, "sys/audit/local", ROOT, Value::Null).await.0, 400);
    // What a reload cannot obey changes nothing.
    let mut wrong = config.clone();
    wrong.audit.devices.push(AuditDevice { path: "more/".into(), ..device(&[]) });
    assert!(app.configure_audit(&wrong).is_err());
    assert!(app.audit.is_on());
    config.audit.devices.clear();
    app.configure_audit(&config).unwrap();
    assert!(!app.audit.is_on());
}
