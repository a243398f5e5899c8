//! Requests by operation and mount, under the names that Vault gives them: `vault_route_read_secret_`.
//!
//! Mounts come and go, so the number of series has a limit; what comes after it is counted under `other`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use prometheus::proto::MetricFamily;

use super::family;
use super::summary::Summary;
use crate::config::limits::ROUTE_METRICS;

/// What every one of them says of itself.
pub(super) const HELP: &str = "Time of requests of one operation to one mount, in milliseconds";

/// All series.
#[derive(Default)]
pub(super) struct Routes(RwLock<Series>);

#[derive(Default)]
struct Series {
    by_name: BTreeMap<String, Arc<Summary>>,
    /// The same by operation and mount, so that counting makes no name.
    by_mount: BTreeMap<&'static str, HashMap<String, Arc<Summary>>>,
}

impl Routes {
    pub(super) fn observe(&self, operation: &'static str, mount: &str, time: Duration) {
        if let Some(known) = self.0.read().by_mount.get(operation).and_then(|mounts| mounts.get(mount)) {
            return known.observe(time);
        }
        self.0.write().make(operation, mount).observe(time);
    }

    pub(super) fn families(&self) -> Vec<MetricFamily> {
        self.0.read().by_name.iter().map(|(name, summary)| family::summary(name, HELP, summary)).collect()
    }
}

impl Series {
    fn make(&mut self, operation: &'static str, mount: &str) -> Arc<Summary> {
        let name = name(operation, mount);
        if self.by_name.len() >= ROUTE_METRICS && !self.by_name.contains_key(&name) {
            return self.by_name.entry(self::name(operation, "other")).or_default().clone();
        }
        let summary = self.by_name.entry(name).or_default().clone();
        let mounts = self.by_mount.entry(operation).or_default();
        // Two mounts may share a name, and mounts come and go.
        if mounts.len() < ROUTE_METRICS {
            mounts.insert(mount.to_owned(), Arc::clone(&summary));
        }
        summary
    }
}

/// The name in which whatever is no letter and no digit is an underscore.
fn name(operation: &str, mount: &str) -> String {
    let plain = mount.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' });
    format!("vault_route_{operation}_{}", plain.collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_has_vaults_name_and_their_number_is_bounded() {
        let routes = Routes::default();
        for number in 0..ROUTE_METRICS {
            routes.observe("read", &format!("team-{number}/"), Duration::from_millis(1));
        }
        routes.observe("read", "team-0/", Duration::from_millis(1));
        routes.observe("read", "late/", Duration::from_millis(1));
        routes.observe("read", "later/", Duration::from_millis(1));
        let families = routes.families();
        assert_eq!(families.len(), ROUTE_METRICS + 1);
        let count = |name: &str| {
            let family = families.iter().find(|family| family.name() == name).unwrap();
            family.get_metric()[0].get_summary().sample_count()
        };
        assert_eq!((count("vault_route_read_team_0_"), count("vault_route_read_other")), (2, 2));
    }
}
