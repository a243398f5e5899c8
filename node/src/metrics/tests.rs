use conclave_raft::{Member, PeerStatus, Role, Status};

use super::*;

fn status() -> Status {
    let member = |id| Member {
        id,
        name: String::new(),
        cluster_addr: String::new(),
        api_addr: String::new(),
        public_key: [0; 32],
        voter: true,
    };
    let peer = |id, round_trip, matched| PeerStatus {
        id,
        matched,
        last_contact: Some(Duration::from_millis(30)),
        round_trip,
        least_round_trip: None,
        can_lead: None,
        clock_ahead_millis: None,
        contradiction: None,
        unanswered_for: Duration::ZERO,
        reached_voters: 0,
        acknowledged: 0,
    };
    Status {
        id: 1,
        cluster_id: None,
        role: Role::Leader,
        term: 3,
        leader: None,
        may_lead: true,
        committed: 10,
        applied: 10,
        last_log: 12,
        snapshot: 0,
        purged: 0,
        members: vec![member(1), member(2), member(3)],
        peers: vec![peer(2, Some(Duration::from_millis(1)), Some(12)), peer(3, None, Some(5))],
        halted: None,
        far_peers: Vec::new(),
        warnings: Vec::new(),
    }
}

/// Metrics of which everything was seen once.
fn seen() -> Metrics {
    let metrics = Metrics::new();
    metrics.request("read", 200, Duration::from_millis(3));
    metrics.route("read", "secret/", Duration::from_millis(3));
    metrics.committed(Duration::from_millis(2));
    metrics.set_raft(&status(), conclave_raft::Metrics::default(), |id| format!("node{id}"));
    metrics.set_node(State::Serving, true, 4);
    metrics.set_cluster("blue", 7);
    metrics.audit.wrote("file/", 1, true);
    metrics.audit.wrote("file/", 1, false);
    let folder = tempfile::tempdir().unwrap();
    metrics.watch_folder(folder.path().to_owned());
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let path = |name: &str| folder.path().join(name);
    std::fs::write(path("cert"), key.cert.pem()).unwrap();
    std::fs::write(path("key"), key.signing_key.serialize_pem()).unwrap();
    let tls = crate::config::Tls {
        cert_file: path("cert"),
        key_file: path("key"),
        client_ca_file: None,
        min_version: crate::config::TlsVersion::Tls12,
        max_version: crate::config::TlsVersion::Tls13,
        client_certificate: crate::config::ClientCertificate::Unwanted,
    };
    metrics.watch_certificate("127.0.0.1:8200".into(), crate::http::tls::Certificates::load(&tls).unwrap());
    metrics.gather();
    metrics
}

fn has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
}

#[test]
fn what_is_counted_is_shown_under_vaults_names_and_types() {
    let text = seen().render_prometheus();
    has(&text, "# TYPE vault_core_handle_request summary");
    has(&text, "vault_core_handle_request{quantile=\"0.99\"} 3");
    has(&text, "vault_core_handle_request_count 1");
    has(&text, "vault_core_active{cluster=\"blue\"} 1");
    has(&text, "vault_core_unsealed{cluster=\"blue\"} 1");
    has(&text, "vault_token_count{cluster=\"blue\"} 7");
    has(&text, "vault_core_in_flight_requests 4");
    has(&text, "vault_route_read_secret__count 1");
    has(&text, "# TYPE vault_raft_leader_lastContact summary");
    has(&text, "vault_raft_commitTime_count 1");
    has(&text, "conclave_http_requests_total{operation=\"read\",status=\"200\"} 1");
    has(&text, "conclave_node_state{state=\"serving\"} 1");
    has(&text, "# TYPE conclave_raft_sync_seconds histogram");
}

#[test]
fn every_state_of_the_keeper_has_its_series_and_one_of_them_is_1() {
    let metrics = Metrics::new();
    for present in State::ALL {
        metrics.set_node(*present, true, 0);
        let text = metrics.render_prometheus();
        for state in State::ALL {
            let value = i32::from(state == present);
            has(&text, &format!("conclave_node_state{{state=\"{}\"}} {value}", state.name()));
        }
    }
}

#[test]
fn each_peer_shows_its_lag_and_whether_it_answers() {
    let text = seen().render_prometheus();
    has(&text, "conclave_raft_peer_lag_entries{node_id=\"node3\"} 7");
    has(&text, "conclave_raft_peer_contact_milliseconds{node_id=\"node3\"} 30");
    has(&text, "conclave_raft_peer_answers{node_id=\"node2\"} 1");
    has(&text, "conclave_raft_peer_answers{node_id=\"node3\"} 0");
    has(&text, "vault_autopilot_healthy 0");
    has(&text, "vault_autopilot_failure_tolerance 0");
}

#[test]
fn a_member_that_was_removed_is_shown_no_more_and_a_state_that_was_left_is_0() {
    let metrics = seen();
    let mut status = status();
    status.peers.pop();
    metrics.set_raft(&status, conclave_raft::Metrics::default(), |id| format!("node{id}"));
    metrics.set_node(State::Sealed, false, 0);
    let text = metrics.render_prometheus();
    assert!(!text.contains("node3"), "{text}");
    has(&text, "conclave_node_state{state=\"sealed\"} 1");
    has(&text, "conclave_node_state{state=\"serving\"} 0");
}

#[test]
fn the_surroundings_are_this_process_s() {
    let metrics = seen();
    let value = |name: &str| {
        let families = metrics.gather();
        let family = families.iter().find(|family| family.name() == name).unwrap();
        family.get_metric()[0].get_gauge().get_value()
    };
    let now = crate::view::now().nanos() as f64 / 1e9;
    assert!((now - 86_400.0..=now + 1.0).contains(&value("process_start_time_seconds")));
    assert!(value("process_max_fds") >= value("process_open_fds") && value("process_open_fds") > 2.0);
    assert!(value("conclave_disk_size_bytes") >= value("conclave_disk_free_bytes"));
    assert!(value("conclave_tls_certificate_expiry_seconds") > now);
}

#[test]
fn the_json_has_vaults_shape() {
    let json = seen().render_json();
    for key in ["Timestamp", "Gauges", "Points", "Counters", "Samples"] {
        assert!(json.get(key).is_some(), "{key}");
    }
    let samples = json["Samples"].as_array().unwrap();
    let request = samples.iter().find(|sample| sample["Name"] == "vault.core.handle_request").unwrap();
    assert_eq!((request["Count"].as_u64(), request["Mean"].as_f64()), (Some(1), Some(3.0)));
}

#[test]
fn an_unknown_format_is_refused() {
    assert_eq!(Metrics::new().reply("xml").status, 400);
    assert_eq!(Metrics::new().reply("prometheus").content_type, "text/plain; version=0.0.4");
}

/// The expressions that the page proposes as alerts.
fn alerts() -> Vec<String> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/metrics.md");
    let page = std::fs::read_to_string(path).expect("the page is readable");
    let table =
        page.split("| What to alert on |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("its table");
    let expressions = table.lines().filter_map(|row| row.split(" | `").nth(1)?.split("` | ").next());
    expressions.map(|expression| expression.replace("\\|", "|")).collect()
}

/// The words of an expression that are neither numbers nor functions, without what stands in quotes, and what does.
fn words(expression: &str) -> (Vec<String>, Vec<String>) {
    const FUNCTIONS: [&str; 8] = ["max", "absent", "or", "histogram_quantile", "rate", "increase", "time", "up"];
    let parts: Vec<_> = expression.split('"').collect();
    let outside = parts.iter().step_by(2).copied().collect::<Vec<_>>().join(" ");
    let quoted = parts.iter().skip(1).step_by(2).flat_map(|text| text.split('|')).map(str::to_owned).collect();
    let is_word = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = outside
        .split(|letter| !is_word(letter))
        .filter(|word| word.starts_with(|first: char| first.is_ascii_lowercase()));
    (words.filter(|word| !FUNCTIONS.contains(word)).map(str::to_owned).collect(), quoted)
}

#[test]
fn every_alert_of_the_page_speaks_of_metrics_and_states_that_there_are() {
    let families = seen().gather();
    let alerts = alerts();
    assert!(alerts.len() > 8, "the alerts were not found: {alerts:?}");
    for alert in alerts {
        let (words, states) = words(&alert);
        let is_known = |word: &String| {
            let name = word.strip_suffix("_bucket").unwrap_or(word);
            word == "state" || families.iter().any(|family| family.name() == name)
        };
        let unknown: Vec<_> = words.iter().filter(|word| !is_known(word)).collect();
        assert!(unknown.is_empty(), "`{alert}` names {unknown:?}");
        for state in states {
            assert!(State::ALL.iter().any(|known| known.name() == state), "`{alert}` names the state {state}");
        }
    }
}

#[test]
fn every_state_with_keys_that_does_not_serve_has_its_alert() {
    let alerts = alerts();
    let passing = [State::Sealed, State::Initialising, State::Checking];
    for state in State::ALL.iter().filter(|state| !state.serves() && !passing.contains(state)) {
        let has_alert = alerts.iter().any(|alert| alert.split(['"', '|']).any(|part| part == state.name()));
        assert!(has_alert, "no alert of docs/reference/metrics.md speaks of a node that is {}", state.name());
    }
}

/// The lines of the page's table that the code wants.
fn wanted() -> Vec<String> {
    let kind = |kind| match kind {
        MetricType::COUNTER => "counter",
        MetricType::GAUGE => "gauge",
        MetricType::HISTOGRAM => "histogram",
        _ => "summary",
    };
    let line = |family: &MetricFamily| {
        let mut labels: Vec<_> = family.get_metric()[0].get_label().iter().map(|label| label.name()).collect();
        labels.sort_unstable();
        let name =
            if family.name().starts_with("vault_route_") { "vault_route_OPERATION_MOUNT" } else { family.name() };
        format!("| `{name}` | {} | {} | {} |", kind(family.get_field_type()), labels.join(", "), family.help())
    };
    let mut lines: Vec<_> = seen().gather().iter().map(line).collect();
    lines.sort();
    lines
}

#[test]
fn the_page_lists_every_metric_and_no_other() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/reference/metrics.md");
    let page = std::fs::read_to_string(path).unwrap_or_default();
    let listed: Vec<_> = page.lines().filter(|line| line.starts_with("| `")).collect();
    assert_eq!(listed, wanted(), "docs/reference/metrics.md must hold these lines:\n{}\n", wanted().join("\n"));
}
