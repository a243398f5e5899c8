//! Where a secret lies: the mount, its version, and the path inside.

use clap::Args;
use conclave_client::Request;
use serde_json::Value;

use crate::failure::Failure;
use crate::session::Session;

/// The words that name a secret.
#[derive(Args)]
pub(crate) struct Location {
    /// Where the engine is mounted; the path is then inside of it.
    #[arg(long)]
    pub(crate) mount: Option<String>,
    /// The secret's path, such as secret/app, or app with -mount=secret.
    pub(crate) path: String,
}

/// A secret's place.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Ends in a slash.
    mount: String,
    /// The path inside the mount, without slashes around it.
    inside: String,
    /// Whether the mount keeps versions.
    pub(crate) is_versioned: bool,
}

impl Location {
    /// Asks the server where the mount ends and which version it has.
    pub(crate) async fn find(&self, session: &Session) -> Result<Place, Failure> {
        let path = self.path.trim_matches('/');
        let whole = match &self.mount {
            Some(mount) => format!("{}/{path}", mount.trim_matches('/')),
            None => path.to_owned(),
        };
        let asked = self.mount.as_deref().unwrap_or(path).trim_matches('/');
        let request = Request::get(format!("sys/internal/ui/mounts/{asked}"));
        match session.ask("making the preflight request", asked, request).await {
            Ok(reply) => Ok(Place::from_mount(reply.json().get("data").unwrap_or(&Value::Null), &whole)),
            // Servers older than versions do not know the question.
            Err(Failure::NotFound { .. }) => Ok(Place::from_mount(&Value::Null, &whole)),
            Err(failure) => Err(failure),
        }
    }

    /// As [`Location::find`], for commands that only a mount with versions knows.
    pub(crate) async fn find_versioned(&self, session: &Session, command: &str) -> Result<Place, Failure> {
        let place = self.find(session).await?;
        if place.is_versioned {
            return Ok(place);
        }
        let mount = place.mount.trim_end_matches('/');
        Err(Failure::Usage(format!(
            "`kv {command}` needs version 2 of the KV engine; `kv enable-versioning {mount}` turns this one into it"
        )))
    }
}

impl Place {
    /// Reads the server's answer about the mount; without one, the first segment is taken for the mount.
    fn from_mount(mount: &Value, whole: &str) -> Self {
        let is_versioned = mount["options"]["version"].as_str() == Some("2");
        let mount = match mount["path"].as_str() {
            Some(path) => format!("{}/", path.trim_matches('/')),
            None => whole.split_inclusive('/').next().unwrap_or("").to_owned(),
        };
        // The mount itself may be named without its slash.
        let inside = whole.strip_prefix(mount.as_str()).or_else(|| whole.strip_prefix(mount.trim_end_matches('/')));
        Self { inside: inside.unwrap_or(whole).to_owned(), mount, is_versioned }
    }

    /// Adds to the failure to find a secret that its path names a part of the API, which these commands add.
    pub(crate) fn explain(&self, failure: Failure) -> Failure {
        match (failure, self.inside.strip_prefix("data/").filter(|_| self.is_versioned)) {
            (Failure::NotFound { path, mut reasons }, Some(inside)) => {
                reasons.push(format!("`kv` adds `data/` itself: is {}{inside} meant?", self.mount));
                Failure::NotFound { path, reasons }
            }
            (failure, _) => failure,
        }
    }

    /// The path of the API, below `kind` (`data`, `metadata`, ...) where there are versions.
    pub(crate) fn api_path(&self, kind: &str) -> String {
        let mount = &self.mount;
        let path = if self.is_versioned {
            format!("{mount}{kind}/{}", self.inside)
        } else {
            format!("{mount}{}", self.inside)
        };
        path.trim_end_matches('/').to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_versioned_mount_has_paths_of_their_own_for_data_and_metadata() {
        let place = Place::from_mount(&json!({"path": "team/kv/", "options": {"version": "2"}}), "team/kv/app/db");
        assert_eq!(place.api_path("data"), "team/kv/data/app/db");
        assert_eq!(place.api_path("metadata"), "team/kv/metadata/app/db");
    }

    #[test]
    fn a_mount_without_versions_has_one_path() {
        let place = Place::from_mount(&json!({"path": "kv/", "options": {"version": "1"}}), "kv/app");
        assert_eq!(place.api_path("data"), "kv/app");
    }

    #[test]
    fn the_mount_itself_is_the_top_of_a_listing() {
        let place = Place::from_mount(&json!({"path": "secret/", "options": {"version": "2"}}), "secret");
        assert_eq!(place.api_path("metadata"), "secret/metadata");
    }

    #[test]
    fn without_an_answer_the_path_is_left_as_it_is() {
        let place = Place::from_mount(&Value::Null, "kv/app/db");
        assert_eq!(place.api_path("data"), "kv/app/db");
    }
}
