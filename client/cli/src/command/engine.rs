//! What `secrets` and `auth` share: both manage mounts, under other paths and with other words.

mod relocation;

use std::collections::BTreeMap;

use clap::Args;
use conclave_client::Request;
use serde_json::{Map, Value, json};

use crate::failure::{Failure, Outcome};
use crate::session::Session;
use crate::{assignment, golang, table};

pub(crate) use relocation::Move;

/// One of the two families.
pub(super) struct Family {
    /// Where the API manages it.
    pub(super) root: &'static str,
    /// Its name in a sentence about one mount.
    pub(super) name: &'static str,
    /// What is said of its mounts alone: a column's title, and the setting that it shows.
    pub(super) own_column: (&'static str, &'static str),
}

impl Family {
    /// A mount's path as a move names it: from the top of the API's paths.
    fn remount_place(&self, path: &str) -> String {
        match self.root {
            "sys/auth" => format!("auth/{}", path.strip_prefix("auth/").unwrap_or(path)),
            _ => path.to_owned(),
        }
    }
}

/// Settings of a mount that can be given when it is made and changed later.
#[derive(Args, Default)]
pub(crate) struct EngineSettings {
    /// A note for people.
    #[arg(long)]
    description: Option<String>,
    /// How long leases live without being asked, such as 1h.
    #[arg(long, value_name = "DURATION")]
    default_lease_ttl: Option<String>,
    /// How long leases can live with all renewals.
    #[arg(long, value_name = "DURATION")]
    max_lease_ttl: Option<String>,
    /// Whether the mount is listed to people who are not logged in: unauth or hidden.
    #[arg(long)]
    listing_visibility: Option<String>,
    /// A field of requests that the audit log shows in the clear; may be repeated.
    #[arg(long, value_name = "FIELD")]
    audit_non_hmac_request_keys: Vec<String>,
    /// A field of replies that the audit log shows in the clear; may be repeated.
    #[arg(long, value_name = "FIELD")]
    audit_non_hmac_response_keys: Vec<String>,
    /// A header that the engine sees; may be repeated.
    #[arg(long, value_name = "HEADER")]
    passthrough_request_headers: Vec<String>,
    /// A header that the engine may send; may be repeated.
    #[arg(long, value_name = "HEADER")]
    allowed_response_headers: Vec<String>,
    /// The kind of token that logins give: service, batch, default-service or default-batch.
    #[arg(long)]
    token_type: Option<String>,
    /// The version of a KV engine, 1 or 2.
    #[arg(long)]
    version: Option<String>,
    /// An option of the engine, as name=value; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    options: Vec<String>,
}

impl EngineSettings {
    fn config(&self) -> Map<String, Value> {
        let texts = [
            ("default_lease_ttl", &self.default_lease_ttl),
            ("max_lease_ttl", &self.max_lease_ttl),
            ("listing_visibility", &self.listing_visibility),
            ("token_type", &self.token_type),
        ];
        let lists = [
            ("audit_non_hmac_request_keys", &self.audit_non_hmac_request_keys),
            ("audit_non_hmac_response_keys", &self.audit_non_hmac_response_keys),
            ("passthrough_request_headers", &self.passthrough_request_headers),
            ("allowed_response_headers", &self.allowed_response_headers),
        ];
        let texts = texts.into_iter().filter_map(|(name, text)| Some((name.to_owned(), json!(text.as_ref()?))));
        let lists = lists.into_iter().filter(|(_, list)| !list.is_empty());
        texts.chain(lists.map(|(name, list)| (name.to_owned(), json!(list)))).collect()
    }

    fn options(&self) -> Result<Map<String, Value>, Failure> {
        let mut options = assignment::pairs(&self.options)?;
        if let Some(version) = &self.version {
            options.insert("version".to_owned(), json!(version));
        }
        Ok(options)
    }
}

/// Make a mount.
#[derive(Args)]
pub(crate) struct Enable {
    /// Where to mount it, if not at its own name.
    #[arg(long)]
    path: Option<String>,
    /// Keep it on this cluster only.
    #[arg(long)]
    local: bool,
    /// Wrap its storage with the seal as well.
    #[arg(long)]
    seal_wrap: bool,
    #[command(flatten)]
    settings: EngineSettings,
    /// The type, such as kv, transit, pki, userpass or approle.
    kind: String,
}

impl Enable {
    pub(super) async fn run(&self, session: &Session, family: &Family) -> Outcome {
        // The name with a version in it is an old habit of the command line.
        let (kind, version) = match self.kind.as_str() {
            "kv-v1" => ("kv", Some("1")),
            "kv-v2" => ("kv", Some("2")),
            kind => (kind, None),
        };
        let path = with_slash(self.path.as_deref().unwrap_or(&self.kind));
        let mut options = self.settings.options()?;
        if let Some(version) = version {
            options.insert("version".to_owned(), json!(version));
        }
        let body = json!({
            "type": kind,
            "description": self.settings.description.as_deref().unwrap_or(""),
            "local": self.local,
            "seal_wrap": self.seal_wrap,
            "config": self.settings.config(),
            "options": options,
        });
        let request = Request::post(mount_path(family, &path), &body);
        let reply = session.send(&format!("enabling {kind} at {path}"), request).await?;
        session.output.warnings(&reply);
        session.output.done(&match family.root {
            "sys/auth" => format!("Success! Enabled {kind} auth method at: {path}"),
            _ => format!("Success! Enabled the {} secrets engine at: {path}", self.kind),
        })
    }
}

/// Remove a mount and all that is in it.
#[derive(Args)]
pub(crate) struct Disable {
    /// Where it is mounted.
    path: String,
}

impl Disable {
    pub(super) async fn run(&self, session: &Session, family: &Family) -> Outcome {
        let path = with_slash(&self.path);
        session.send(&format!("disabling {path}"), Request::delete(mount_path(family, &path))).await?;
        session.output.done(&format!("Success! Disabled the {} (if it existed) at: {path}", family.name))
    }
}

/// Change settings of a mount.
#[derive(Args)]
pub(crate) struct Tune {
    #[command(flatten)]
    settings: EngineSettings,
    /// Where it is mounted.
    path: String,
}

impl Tune {
    pub(super) async fn run(&self, session: &Session, family: &Family) -> Outcome {
        self.run_with(session, family, Map::new()).await
    }

    /// Sends settings together with those that one family alone has.
    pub(super) async fn run_with(&self, session: &Session, family: &Family, own: Map<String, Value>) -> Outcome {
        let mut body = self.settings.config();
        body.extend(own);
        let options = self.settings.options()?;
        if !options.is_empty() {
            body.insert("options".to_owned(), Value::Object(options));
        }
        if let Some(description) = &self.settings.description {
            body.insert("description".to_owned(), json!(description));
        }
        tune(session, family, &self.path, &Value::Object(body)).await
    }
}

/// Sends settings of a mount.
pub(super) async fn tune(session: &Session, family: &Family, path: &str, body: &Value) -> Outcome {
    let path = with_slash(path);
    let request = Request::post(format!("{}/tune", mount_path(family, &path)), body);
    let reply = session.send(&format!("tuning {path}"), request).await?;
    session.output.warnings(&reply);
    session.output.done(&format!("Success! Tuned the {} at: {path}", family.name))
}

/// Show the mounts.
#[derive(Args)]
pub(crate) struct EngineList {
    /// Show also settings.
    #[arg(long)]
    detailed: bool,
}

impl EngineList {
    pub(super) async fn run(&self, session: &Session, family: &Family) -> Outcome {
        let reply = session.send(&format!("listing each {}", family.name), Request::get(family.root)).await?;
        let mounts: BTreeMap<String, Value> =
            reply.data().into_iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
        let document: Value = mounts.iter().map(|(path, mount)| (path.clone(), mount.clone())).collect();
        let table = || if self.detailed { detailed(&mounts, family) } else { brief(&mounts) };
        session.output.either(table, &document)
    }
}

fn brief(mounts: &BTreeMap<String, Value>) -> String {
    let rows: Vec<_> = mounts
        .iter()
        .map(|(path, mount)| {
            let field = |name: &str| mount[name].as_str().unwrap_or("").to_owned();
            vec![path.clone(), field("type"), field("accessor"), field("description"), version(mount)]
        })
        .collect();
    table::columns(&["Path", "Type", "Accessor", "Description", "Version"], &rows)
}

/// The version of the plugin, or of the KV engine.
fn version(mount: &Value) -> String {
    let options = mount["options"]["version"].as_str().map(|version| format!("kv v{version}"));
    options.or_else(|| mount["plugin_version"].as_str().map(str::to_owned)).unwrap_or_default()
}

/// All that is known of mounts, in the columns of Vault and in their order.
fn detailed(mounts: &BTreeMap<String, Value>, family: &Family) -> String {
    let header = [
        "Path",
        "Plugin",
        "Accessor",
        "Default TTL",
        "Max TTL",
        family.own_column.0,
        "Replication",
        "Seal Wrap",
        "External Entropy Access",
        "Options",
        "Description",
        "UUID",
        "Version",
        "Running Version",
        "Running SHA256",
        "Deprecation Status",
    ];
    let rows: Vec<_> = mounts.iter().map(|(path, mount)| detailed_row(path, mount, family)).collect();
    table::columns(&header, &rows)
}

fn detailed_row(path: &str, mount: &Value, family: &Family) -> Vec<String> {
    let field = |name: &str| mount[name].as_str().unwrap_or("").to_owned();
    let truth = |name: &str| mount[name].as_bool().unwrap_or(false).to_string();
    // These two have nothing that could live longer or shorter.
    let has_leases = !matches!(mount["type"].as_str(), Some("system" | "cubbyhole"));
    let ttl = |name: &str| match mount["config"][name].as_u64() {
        _ if !has_leases => String::new(),
        None | Some(0) => "system".to_owned(),
        Some(seconds) => seconds.to_string(),
    };
    let is_local = mount["local"].as_bool().unwrap_or(false);
    let options = &mount["options"];
    vec![
        path.to_owned(),
        field("type"),
        field("accessor"),
        ttl("default_lease_ttl"),
        ttl("max_lease_ttl"),
        golang::value(&mount["config"][family.own_column.1]),
        if is_local { "local" } else { "replicated" }.to_owned(),
        truth("seal_wrap"),
        truth("external_entropy_access"),
        if options.is_null() { "map[]".to_owned() } else { golang::value(options) },
        field("description"),
        field("uuid"),
        field("plugin_version"),
        field("running_plugin_version"),
        field("running_sha256"),
        field("deprecation_status"),
    ]
}

fn mount_path(family: &Family, path: &str) -> String {
    format!("{}/{}", family.root, path.trim_matches('/'))
}

/// A mount's path as it is shown.
pub(super) fn with_slash(path: &str) -> String {
    format!("{}/", path.trim_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_shown_in_columns() {
        let mounts = BTreeMap::from([(
            "secret/".to_owned(),
            json!({"type": "kv", "accessor": "kv_1", "description": "", "options": {"version": "2"}}),
        )]);
        let expected = "\
Path       Type    Accessor    Description    Version
----       ----    --------    -----------    -------
secret/    kv      kv_1        n/a            kv v2
";
        assert_eq!(brief(&mounts), expected);
    }

    #[test]
    fn details_stand_in_the_columns_of_vault() {
        let family = Family { root: "sys/auth", name: "auth method", own_column: ("Token Type", "token_type") };
        let mount = json!({
            "type": "approle", "accessor": "auth_1", "description": "", "uuid": "u", "local": false, "seal_wrap": false,
            "external_entropy_access": false, "options": null, "plugin_version": "", "running_sha256": "",
            "running_plugin_version": "v1", "deprecation_status": "supported",
            "config": {"default_lease_ttl": 0, "max_lease_ttl": 3600, "token_type": "default-service"}
        });
        let text = detailed(&BTreeMap::from([("approle/".to_owned(), mount)]), &family);
        let cells: Vec<Vec<&str>> = text
            .lines()
            .map(|line| line.split("    ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
            .collect();
        let expected = [
            ("Path", "approle/"),
            ("Plugin", "approle"),
            ("Accessor", "auth_1"),
            ("Default TTL", "system"),
            ("Max TTL", "3600"),
            ("Token Type", "default-service"),
            ("Replication", "replicated"),
            ("Seal Wrap", "false"),
            ("External Entropy Access", "false"),
            ("Options", "map[]"),
            ("Description", "n/a"),
            ("UUID", "u"),
            ("Version", "n/a"),
            ("Running Version", "v1"),
            ("Running SHA256", "n/a"),
            ("Deprecation Status", "supported"),
        ];
        assert_eq!(cells[0].iter().copied().zip(cells[2].iter().copied()).collect::<Vec<_>>(), expected);
    }
}
