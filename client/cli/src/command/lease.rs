//! `lease`: leases of dynamic secrets.

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::json;

use crate::failure::Outcome;
use crate::session::Session;

/// What can be done with a lease.
#[derive(Subcommand)]
pub(crate) enum Lease {
    Lookup(LeaseLookup),
    Renew(LeaseRenew),
    Revoke(LeaseRevoke),
}

/// Show what the server knows of a lease.
#[derive(Args)]
pub(crate) struct LeaseLookup {
    /// The lease's id.
    id: String,
}

/// Let a lease live longer.
#[derive(Args)]
pub(crate) struct LeaseRenew {
    /// By how much, such as 1h; without it, by the engine's default.
    #[arg(long, short)]
    increment: Option<String>,
    /// The lease's id.
    id: String,
}

/// End a lease, and what it stands for.
#[derive(Args)]
pub(crate) struct LeaseRevoke {
    /// Take the id for a prefix, and end all leases below it.
    #[arg(long)]
    prefix: bool,
    /// Together with -prefix: forget the leases even where the engine cannot undo them.
    #[arg(long, requires = "prefix")]
    force: bool,
    /// Answer only when it is done.
    #[arg(long)]
    sync: bool,
    /// The lease's id.
    id: String,
}

impl Lease {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Lookup(command) => {
                let request = Request::post("sys/leases/lookup", &json!({ "lease_id": command.id })).reads_only();
                session.output.reply(&session.send("looking the lease up", request).await?)
            }
            Self::Renew(command) => {
                let mut body = json!({ "lease_id": command.id });
                if let Some(increment) = &command.increment {
                    body["increment"] = json!(increment);
                }
                let reply = session.send("renewing the lease", Request::post("sys/leases/renew", &body)).await?;
                session.output.reply(&reply)
            }
            Self::Revoke(command) => command.run(session).await,
        }
    }
}

impl LeaseRevoke {
    async fn run(&self, session: &Session) -> Outcome {
        let prefix = self.id.trim_matches('/');
        let request = match (self.prefix, self.force) {
            (true, true) => Request::post(format!("sys/leases/revoke-force/{prefix}"), &json!({})),
            (true, false) => Request::post(format!("sys/leases/revoke-prefix/{prefix}"), &json!({ "sync": self.sync })),
            (false, _) => Request::post("sys/leases/revoke", &json!({ "lease_id": self.id, "sync": self.sync })),
        };
        session.send("revoking the lease", request).await?;
        let text = match (self.prefix, self.sync || self.force) {
            (true, true) => format!("Success! Revoked any leases with prefix: {}", self.id),
            (false, true) => format!("Success! Revoked lease: {}", self.id),
            (_, false) => "All revocation operations queued successfully!".to_owned(),
        };
        session.output.done(&text)
    }
}
