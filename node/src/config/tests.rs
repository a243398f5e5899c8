use std::fs;

use super::*;

fn from_text(text: &str) -> Result<(Config, Vec<Problem>), String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.hcl");
    fs::write(&file, text).unwrap();
    load(&[file], &|_| None, None).map_err(|error| error.to_string().replace(&folder.path().display().to_string(), ""))
}

const HCL: &str = r#"
storage "raft" {
  path    = "/data"
  node_id = "a"
  retry_join { leader_api_addr = "https://b:8200" }
  retry_join {
    leader_api_addr = "https://c:8200"
    token           = "join-secret"
  }
}
listener "tcp" {
  address              = "0.0.0.0:8200"
  tls_cert_file        = "cert.pem"
  tls_key_file         = "key.pem"
  tls_min_version      = "tls13"
  max_request_duration = "30s"
  x_forwarded_for_authorized_addrs = "10.0.0.0/8,127.0.0.1"
  telemetry { unauthenticated_metrics_access = true }
  disable_unauthed_rekey_endpoints = false
  custom_response_headers {
    "default" = { "X-Team" = ["a", "b"] }
    "4xx"     = { "X-Bad" = "1" }
  }
}
listener "tcp" {
  address     = "127.0.0.1:8300"
  tls_disable = 1
}
api_addr          = "https://a:8200"
cluster_addr      = "https://a:8201"
default_lease_ttl = "1h"
max_lease_ttl     = 7200
disable_mlock     = true
ui                = "true"
log_level         = "DEBUG"
"#;

const JSON: &str = r#"{
 "storage": {"raft": {"path": "/data", "node_id": "a",
   "retry_join": [{"leader_api_addr": "https://b:8200"}, {"leader_api_addr": "https://c:8200", "token": "join-secret"}]}},
 "listener": [
   {"tcp": {"address": "0.0.0.0:8200", "tls_cert_file": "cert.pem", "tls_key_file": "key.pem", "tls_min_version": "tls13",
     "max_request_duration": 30, "x_forwarded_for_authorized_addrs": ["10.0.0.0/8", "127.0.0.1"],
     "telemetry": {"unauthenticated_metrics_access": "true"}, "disable_unauthed_rekey_endpoints": "false",
     "custom_response_headers": {"default": {"X-Team": ["a", "b"]}, "4xx": {"X-Bad": ["1"]}}}},
   {"tcp": {"address": "127.0.0.1:8300", "tls_disable": "true"}}
 ],
 "api_addr": "https://a:8200", "cluster_addr": "https://a:8201",
 "default_lease_ttl": "1h", "max_lease_ttl": "2h", "disable_mlock": 1, "ui": true, "log_level": "debug"
}"#;

#[test]
fn hcl_and_json_say_the_same() {
    let (hcl, hcl_warnings) = from_text(HCL).unwrap();
    let (json, json_warnings) = from_text(JSON).unwrap();
    assert_eq!(hcl, json);
    let texts = |warnings: Vec<Problem>| warnings.into_iter().map(|warning| warning.message).collect::<Vec<_>>();
    assert_eq!(texts(hcl_warnings), [""; 0]);
    assert_eq!(texts(json_warnings), [""; 0]);
    let Storage::Raft(raft) = &hcl.storage else { panic!("not raft") };
    assert_eq!(raft.retry_join[1].token.as_ref().map(Hidden::reveal), Some("join-secret"));
    assert_eq!(hcl.listeners.len(), 2);
    let first = &hcl.listeners[0];
    assert_eq!(first.cluster_address, "0.0.0.0:8201");
    assert_eq!(first.max_request_duration, Duration::from_secs(30));
    assert!(first.has_open_metrics && first.has_open_rekey && !first.has_open_generate_root);
    assert_eq!(first.tls.as_ref().unwrap().min_version, TlsVersion::Tls13);
    assert_eq!(first.response_headers.len(), 2);
    assert!(hcl.listeners[1].tls.is_none());
    assert!(!hcl.has_open_rekey(), "the second listener forbids it");
}

#[test]
fn a_test_suite_s_plain_maps_are_read() {
    let (config, warnings) = from_text(
        r#"{"backend":{"inmem":{}},"listener":{"tcp":{"tls_cert_file":"c.pem","tls_key_file":"k.pem","address":"127.0.0.1:8200"}},
            "disable_mlock":true,"default_lease_ttl":"768h","max_lease_ttl":"768h"}"#,
    )
    .unwrap();
    assert_eq!(config.storage, Storage::Memory);
    assert_eq!(config.listeners[0].tls.as_ref().unwrap().cert_file, PathBuf::from("c.pem"));
    assert_eq!(warnings, Vec::new());
    assert_eq!(config.api_addr, "https://127.0.0.1:8200");
}

#[test]
fn truth_values_are_taken_in_every_spelling() {
    for (text, expected) in
        [("1", true), ("\"1\"", true), ("\"true\"", true), ("true", true), ("0", false), ("\"False\"", false)]
    {
        let config = format!("storage \"inmem\" {{}}\nui = {text}\nlistener \"tcp\" {{ tls_disable = 1 }}");
        assert_eq!(from_text(&config).unwrap().0.ui, expected, "{text}");
    }
}

#[test]
fn a_join_token_names_the_members_so_that_no_address_is_needed() {
    let read = |join: &str| {
        let listener = "listener \"tcp\" {\n tls_disable = 1\n}";
        from_text(&format!("storage \"raft\" {{\n path = \"/x\"\n retry_join {{ {join} }}\n}}\n{listener}"))
    };
    let (config, warnings) = read("token = \"cjt.x\"").unwrap();
    let Storage::Raft(raft) = &config.storage else { panic!("not raft") };
    assert_eq!(raft.retry_join[0].token.as_ref().map(Hidden::reveal), Some("cjt.x"));
    assert_eq!((raft.retry_join[0].leader_api_addr.as_str(), warnings.len()), ("", 0));
    for wrong in ["", "leader_api_addr = \"\"", "leader_api_addr = \"b\"\n token = \"cjt.x\""] {
        let error = read(wrong).expect_err(wrong);
        assert!(error.contains("/c.hcl:3: retry_join: leader_api_addr must be a URL"), "{wrong}: {error}");
    }
}

#[test]
fn a_wrong_value_names_file_line_and_what_was_expected() {
    let cases = [
        ("ui = \"yes\"", "/c.hcl:1: ui must be true or false"),
        ("\nmax_lease_ttl = \"10M\"", "/c.hcl:2: max_lease_ttl must be a duration"),
        ("listener \"unix\" {}", "/c.hcl:1: listener \"unix\": only listeners of type \"tcp\""),
        ("listener \"tcp\" {\n address = \"x\"\n}", "/c.hcl:2: listener \"tcp\": address must be host:port"),
        ("listener \"tcp\" {}", "tls_cert_file and tls_key_file are needed"),
        (
            "listener \"tcp\" {\n tls_disable = true\n tls_min_version = \"tls10\"\n}",
            "/c.hcl:3: listener \"tcp\": tls_min_version must be",
        ),
        ("storage \"consul\" {}", "this storage does not exist; choose \"raft\""),
        ("storage \"raft\" {}", "needs a path"),
        (
            "storage \"raft\" {\n path = \"x\"\n retry_join { leader_api_addr = \"b\" }\n}",
            "/c.hcl:3: retry_join: leader_api_addr must be a URL",
        ),
        ("seal \"awskms\" {}", "only the shamir seal is supported"),
        ("ui = ", "/c.hcl:1: column 6: expected a value"),
        ("api_addr = \"https://{{ GetPrivateIP }}:8200\"", "api_addr must be a URL"),
        ("default_lease_ttl = \"2h\"\nmax_lease_ttl = \"1h\"", "default_lease_ttl must not be above"),
        ("ui = true", "a storage block is needed"),
    ];
    for (text, expected) in cases {
        let error = from_text(text).expect_err(text);
        assert!(error.contains(expected), "{text}: {error}");
    }
}

#[test]
fn an_unknown_name_is_a_warning_with_its_line() {
    let (_, warnings) =
        from_text("storage \"inmem\" {}\nlistener \"tcp\" {\n tls_disable = 1\n adress = \"x\"\n}\nwat = 1").unwrap();
    let texts: Vec<String> = warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.message)).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].starts_with("4: listener \"tcp\": adress is not known"), "{texts:?}");
    assert!(texts[1].starts_with("6: wat is not known"), "{texts:?}");
}

#[test]
fn what_vault_knows_and_has_no_effect_here_is_said_unless_it_asks_for_nothing() {
    let text = "storage \"raft\" {\n path = \"/x\"\n performance_multiplier = 1\n}\nlistener \"tcp\" {\n tls_disable = 1\n \
                enable_quit = true\n}\nintrospection_endpoint = true\nlog_requests_level = \"info\"\n\
                raw_storage_endpoint = true\nenable_ui = false\nui = false\ndisable_sealwrap = true\n";
    let (_, warnings) = from_text(text).unwrap();
    let texts: Vec<String> = warnings.iter().map(|warning| format!("{}: {}", warning.line, warning.message)).collect();
    let mut expected = [
        "3: storage \"raft\": performance_multiplier has no effect here",
        "7: listener \"tcp\": enable_quit has no effect here",
        "9: introspection_endpoint has no effect here",
        "10: log_requests_level has no effect here",
        "11: raw_storage_endpoint has no effect here",
        "14: disable_sealwrap has no effect here",
    ]
    .map(str::to_owned);
    let mut texts = texts;
    texts.sort();
    expected.sort();
    assert_eq!(texts, expected);
}

#[test]
fn a_setting_that_would_protect_and_is_not_there_stops_the_start() {
    let text = "storage \"inmem\" {}\nlistener \"tcp\" {\n tls_disable = 1\n chroot_namespace = \"a\"\n}";
    assert!(from_text(text).unwrap_err().contains("/c.hcl:4: listener \"tcp\": chroot_namespace is not supported"));
}

#[test]
fn an_error_comes_with_the_warnings_that_may_be_its_reason() {
    let text = "storage \"inmem\" {}\nlistener \"tcp\" {\n tls_cert_fil = \"c\"\n tls_key_file = \"k\"\n}";
    let error = from_text(text).unwrap_err();
    assert!(error.contains("tls_cert_file and tls_key_file are needed"), "{error}");
    assert!(error.contains("warning: /c.hcl:3: listener \"tcp\": tls_cert_fil is not known"), "{error}");
}

#[test]
fn a_folder_without_a_configuration_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let error = load(&[folder.path().to_owned()], &|_| None, None).unwrap_err().to_string();
    assert!(error.contains("the folder holds no .hcl and no .json file"), "{error}");
}

#[test]
fn a_dev_server_has_the_interface_unless_its_file_says_no() {
    let base = || Some(Config { ui: true, ..Config::memory("127.0.0.1:8200") });
    assert!(load(&[], &|_| None, base()).unwrap().0.ui);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a.hcl"), "ui = false").unwrap();
    assert!(!load(&[folder.path().to_owned()], &|_| None, base()).unwrap().0.ui);
}

#[test]
fn files_of_a_folder_are_merged_by_name() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("b.json"), r#"{"ui": false, "cluster_name": "b"}"#).unwrap();
    fs::write(folder.path().join("a.hcl"), "storage \"inmem\" {}\nui = true\nlistener \"tcp\" { tls_disable = 1 }")
        .unwrap();
    fs::write(folder.path().join("c.txt"), "not read").unwrap();
    let (config, _) = load(&[folder.path().to_owned()], &|_| None, None).unwrap();
    assert!(!config.ui);
    assert_eq!(config.cluster_name.as_deref(), Some("b"));
    assert_eq!(config.listeners.len(), 1);
    assert_eq!(config.audit.sources, [folder.path()], "no audit device writes there");
}

#[test]
fn the_environment_wins_over_files() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.hcl");
    fs::write(
        &file,
        "storage \"raft\" { path = \"/x\" }\nlistener \"tcp\" { tls_disable = 1 }\napi_addr = \"http://a:1\"",
    )
    .unwrap();
    let variable = |name: &str| {
        let known = [
            ("VAULT_API_ADDR", "http://b:2"),
            ("BAO_RAFT_PATH", "/y"),
            ("CONCLAVE_RAFT_NODE_ID", "n"),
            ("VAULT_LOG_LEVEL", "trace"),
            ("VAULT_LOCAL_CONFIG", "{\"ui\": true}"),
        ];
        known.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let (config, _) = load(&[file], &variable, None).unwrap();
    assert_eq!(config.api_addr, "http://b:2");
    let Storage::Raft(raft) = &config.storage else { panic!("not raft") };
    assert_eq!((raft.path.to_str(), raft.node_id.as_deref()), (Some("/y"), Some("n")));
    assert_eq!(config.log.level, Level::Trace);
    assert!(config.ui);
}

#[test]
fn what_is_shown_of_a_configuration_holds_no_secret() {
    // check 217
    let (config, _) = from_text(HCL).unwrap();
    assert!(!config.sanitized().to_string().contains("join-secret"));
    assert!(!format!("{config:?}").contains("join-secret"));
    assert_eq!(config.sanitized()["storage"]["type"], "raft");
    assert_eq!(config.sanitized()["listeners"][0]["type"], "tcp");
}

#[test]
fn lockout_is_said_for_all_and_for_kinds() {
    let text = r#"
        storage "inmem" {}
        listener "tcp" { tls_disable = true }
        user_lockout "all" { lockout_threshold = "7" lockout_duration = "10m" }
        user_lockout "userpass" { lockout_counter_reset = "1m" disable_lockout = "true" }
    "#;
    let (config, warnings) = from_text(text).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let lockout = config.user_lockout;
    assert_eq!((lockout.all.threshold, lockout.all.lock_secs, lockout.all.is_disabled), (Some(7), Some(600), None));
    let own = lockout.kinds["userpass"];
    assert_eq!((own.threshold, own.reset_secs, own.is_disabled), (None, Some(60), Some(true)));
    for (block, reason) in [
        ("user_lockout \"github\" {}", "not for \"github\""),
        // It counts no wrong logins, so the block could not be obeyed.
        ("user_lockout \"cert\" {}", "one of approle, userpass, ldap"),
        ("user_lockout \"all\" { lockout_threshold = 1001 }", "at most 1000"),
        ("user_lockout \"all\" { lockout_treshold = 7 }", "lockout_treshold"),
    ] {
        let text = format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{ tls_disable = true }}\n{block}");
        let said = match from_text(&text) {
            Ok((_, warnings)) => format!("{warnings:?}"),
            Err(error) => error.to_string(),
        };
        assert!(said.contains(reason), "{block}: {said}");
    }
}

#[test]
fn audit_devices_are_read_in_every_spelling() {
    let hcl = r#"
storage "inmem" {}
listener "tcp" { tls_disable = true }
audit_paths = ["/var/log"]
audit "file" {
  options { file_path = "/var/log/a" }
}
audit "file" "second" {
  description = "more"
  options = { file_path = "/var/log/b", log_raw = true }
}
"#;
    let json = r#"{"storage": {"inmem": {}}, "listener": {"tcp": {"tls_disable": true}}, "audit_paths": "/var/log", "audit": [
  {"file": {"options": {"file_path": "/var/log/a"}}},
  {"type": "file", "path": "second", "description": "more", "options": {"file_path": "/var/log/b", "log_raw": true}}
]}"#;
    for text in [hcl, json] {
        let (config, warnings) = from_text(text).unwrap();
        assert_eq!(warnings, []);
        let devices: Vec<_> =
            config.audit.devices.iter().map(|device| (device.path.as_str(), device.kind.as_str())).collect();
        assert_eq!(devices, [("file/", "file"), ("second/", "file")]);
        assert_eq!(config.audit.devices[1].options["log_raw"], "true");
        assert_eq!(config.audit.paths, [PathBuf::from("/var/log")]);
    }
    let twice = format!("{hcl}audit \"file\" {{ options {{ file_path = \"/var/log/c\" }} }}\n");
    assert!(from_text(&twice).unwrap_err().contains("the same path"));
}
