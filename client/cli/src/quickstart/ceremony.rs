//! Initialising, unsealing and growing the cluster, through its API like any operator.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Duration;

use conclave_client::{Client, Discovery, InitRequest, Method, Secret};
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::error::QuickstartError;
use super::folder::{Folder, write_private};
use super::{Node, step};
use crate::shell;

/// Shares that are made.
const SHARES: u32 = 5;
/// Shares that unseal.
const THRESHOLD: u32 = 3;
/// How long each phase may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How often a phase looks whether it is done.
const PAUSE: Duration = Duration::from_millis(100);

/// A node and a client that talks to it alone.
pub(super) struct Seat {
    pub(super) node: Node,
    pub(super) client: Client,
}

/// The ceremony's view of the cluster.
pub(super) struct Ceremony<'f> {
    folder: &'f Folder,
    pub(super) seats: Vec<Seat>,
}

impl<'f> Ceremony<'f> {
    /// Prepares a client for each node.
    pub(super) fn new(folder: &'f Folder, nodes: &[Node]) -> Result<Self, QuickstartError> {
        let path = folder.ca();
        let ca = fs::read(&path).map_err(|source| QuickstartError::File { path, source })?;
        let seat = |node: &Node| {
            let client = Client::builder()
                .address(node.address())
                .ca_cert_pem(ca.clone())
                .discovery(Discovery::Off)
                .deadline(Duration::from_secs(30))
                .build()
                .map_err(|source| QuickstartError::Request { what: "setting up a client".into(), source })?;
            Ok(Seat { node: node.clone(), client })
        };
        Ok(Self { folder, seats: nodes.iter().map(seat).collect::<Result<_, _>>()? })
    }

    /// Waits until every node answers.
    pub(super) async fn wait_until_listening(&self) -> Result<(), QuickstartError> {
        for seat in &self.seats {
            let what = format!("starting {}", seat.node.name);
            wait(&what, async || seat.client.seals().status().await.is_ok()).await?;
        }
        Ok(())
    }

    /// Initialises the first node, unless that was done, and keeps each share in a file of its own.
    pub(super) async fn initialise(&self) -> Result<(), QuickstartError> {
        let first = &self.seats[0];
        let status = first.client.seals().status().await.map_err(request("reading the seal status"))?;
        if status.initialized {
            // Who revoked the token, or keeps it elsewhere, resumes all the same.
            return if self.folder.root_token().exists() { self.use_root_token() } else { Ok(()) };
        }
        step(&format!("Initialising: {SHARES} shares, any {THRESHOLD} of them unseal"));
        let wanted = InitRequest { secret_shares: SHARES, secret_threshold: THRESHOLD };
        let made = first.client.seals().init(&wanted).await.map_err(request("initialising"))?;
        for (index, share) in made.keys.iter().enumerate() {
            write_private(&self.folder.share(index + 1), share.expose().as_bytes())?;
        }
        write_private(&self.folder.root_token(), made.root_token.expose().as_bytes())?;
        self.use_root_token()
    }

    fn use_root_token(&self) -> Result<(), QuickstartError> {
        let token = read_secret(self.folder.root_token())?;
        for seat in &self.seats {
            seat.client.set_token(Some(token.clone()));
        }
        Ok(())
    }

    /// Whether there is a token that still does what an operator may do.
    async fn may_administer(&self) -> bool {
        self.folder.root_token().exists() && self.seats[0].client.tokens().lookup_self().await.is_ok()
    }

    /// Holds the ceremony on the first node; it unseals the others too, as the processes that were started here.
    pub(super) async fn unseal(&self) -> Result<(), QuickstartError> {
        let mut is_any_sealed = false;
        let mut started_here = Vec::new();
        for seat in &self.seats {
            let status = seat.client.seals().status().await.map_err(request("reading the seal status"))?;
            is_any_sealed |= status.sealed && status.initialized;
            let own = seat.client.seals().candidate().await.map_err(request("reading the fingerprint"))?;
            started_here.extend(own.fingerprint);
        }
        if !is_any_sealed {
            return Ok(());
        }
        self.enter_shares(&started_here).await?;
        wait("electing a leader", async || is_serving(&self.seats[0]).await).await
    }

    /// Enters as many of the shares that are there as are needed; one that the node refuses is said and passed over.
    async fn enter_shares(&self, confirmed: &[String]) -> Result<(), QuickstartError> {
        let host = &self.seats[0];
        let mut entered = 0;
        for path in (1..=SHARES as usize).map(|number| self.folder.share(number)).filter(|path| path.exists()) {
            let share = read_secret(path.clone())?;
            let status = match host.client.seals().unseal_cluster(&share, confirmed).await {
                Err(error) if error.status() == Some(400) => {
                    step(&format!("The share in {} was not accepted: {error}", path.display()));
                    continue;
                }
                answer => answer.map_err(request("entering a share"))?,
            };
            // With the last share needed, the next ceremony begins.
            let is_complete = status.progress == 0;
            entered = if is_complete { u64::from(THRESHOLD) } else { status.progress };
            step(&format!("Ceremony on {}: share {entered} of {THRESHOLD} entered", host.node.name));
            for node in status.nodes.iter().filter(|node| node.error.is_some()) {
                step(&format!("{} could not be unsealed yet: {}", node.address, node.error.as_deref().unwrap_or("")));
            }
            if is_complete {
                return Ok(());
            }
        }
        Err(QuickstartError::SharesMissing { folder: self.folder.shares(), found: entered, needed: THRESHOLD })
    }

    /// Lets the other nodes join, each with a token of its own, and unseals them by a second ceremony.
    pub(super) async fn join(&self) -> Result<(), QuickstartError> {
        let host = &self.seats[0];
        let mut is_grown = false;
        for seat in &self.seats[1..] {
            let status = seat.client.seals().status().await.map_err(request("reading the seal status"))?;
            if status.initialized {
                continue;
            }
            let made = host.client.raw(Method::Post, "sys/storage/raft/join-token", &[], Some(&json!({}))).await;
            let made = made.map_err(request("making a join token"))?;
            let token = made.data().and_then(|data| data["token"].as_str()).unwrap_or_default().to_owned();
            let body = Some(json!({ "token": token }));
            let joined = seat.client.raw(Method::Post, "sys/storage/raft/join", &[], body.as_ref()).await;
            joined.map_err(request(&format!("letting {} join", seat.node.name)))?;
            let what = format!("replicating to {}", seat.node.name);
            wait(&what, async || seat.client.seals().status().await.is_ok_and(|status| status.initialized)).await?;
            step(&format!("{} joined", seat.node.name));
            is_grown = true;
        }
        if is_grown {
            self.unseal().await?;
        }
        for seat in &self.seats {
            let what = format!("unsealing {}", seat.node.name);
            wait(&what, async || is_serving(seat).await).await?;
        }
        if !self.may_administer().await {
            step(&format!("There is no root token that works in {}", self.folder.root_token().display()));
            return Ok(());
        }
        wait("making every node a voter", async || self.voters().await == self.seats.len()).await
    }

    async fn voters(&self) -> usize {
        let servers = self.seats[0].client.cluster().raft_configuration().await.unwrap_or_default();
        servers.iter().filter(|server| server.voter).count()
    }

    /// Enables KV version 2 at `secret/`, unless something is there.
    pub(super) async fn enable_kv(&self) -> Result<(), QuickstartError> {
        let client = &self.seats[0].client;
        if !self.may_administer().await {
            return Ok(());
        }
        let mounts = client.mounts().list().await.map_err(request("listing the mounts"))?;
        if mounts.contains_key("secret/") {
            return Ok(());
        }
        step("Enabling KV version 2 at secret/");
        let body: Value = json!({ "type": "kv", "options": { "version": "2" } });
        let enabled = client.raw(Method::Post, "sys/mounts/secret", &[], Some(&body)).await;
        enabled.map(|_| ()).map_err(request("enabling KV"))
    }

    /// The lines that point a shell's client at the cluster.
    pub(super) fn environment(&self) -> Result<Zeroizing<String>, QuickstartError> {
        let mut lines = Zeroizing::new(format!(
            "export VAULT_ADDR={}\nexport VAULT_CACERT={}\n",
            self.seats[0].node.address(),
            shell::word(&self.folder.ca().display().to_string()),
        ));
        if self.folder.root_token().exists() {
            let token = read_secret(self.folder.root_token())?;
            lines = Zeroizing::new(format!("{}export VAULT_TOKEN={}\n", lines.as_str(), token.expose()));
        }
        Ok(lines)
    }

    /// Writes those lines to the folder's `env` file.
    pub(super) fn write_environment(&self) -> Result<(), QuickstartError> {
        let path = self.folder.environment();
        write_private(&path, self.environment()?.as_bytes())?;
        let permissions = fs::Permissions::from_mode(0o600);
        fs::set_permissions(&path, permissions).map_err(|source| QuickstartError::File { path, source })
    }
}

fn read_secret(path: PathBuf) -> Result<Secret, QuickstartError> {
    let read = fs::read_to_string(&path).map_err(|source| QuickstartError::File { path, source })?;
    Ok(Secret::new(Zeroizing::new(read).trim()))
}

/// Whether a node serves requests, which needs no token.
async fn is_serving(seat: &Seat) -> bool {
    seat.client.raw(Method::Get, "sys/health", &[("standbyok", "true")], None).await.is_ok()
}

fn request(what: &str) -> impl FnOnce(conclave_client::Error) -> QuickstartError + use<> {
    let what = what.to_owned();
    move |source| QuickstartError::Request { what, source }
}

async fn wait(what: &str, mut is_done: impl AsyncFnMut() -> bool) -> Result<(), QuickstartError> {
    let deadline = Instant::now() + TIMEOUT;
    while !is_done().await {
        if Instant::now() >= deadline {
            return Err(QuickstartError::TooSlow { what: what.to_owned(), secs: TIMEOUT.as_secs() });
        }
        tokio::time::sleep(PAUSE).await;
    }
    Ok(())
}
