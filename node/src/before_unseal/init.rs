//! `sys/init`: a new cluster's keys, and the one time that its shares are seen.

use std::sync::Arc;
use std::time::Duration;

use conclave_batch::Outcome;
use conclave_raft::ChangeError;
use conclave_storage::table::Table;
use conclave_vault::seal::{Initialized, Parameters, initialize};
use conclave_vault::{Barrier, Core, Error, ErrorKind, NewCluster, Random as _, Registry, first_batch};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

use crate::before_unseal::plain;
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;
use crate::seal::Seal;
use crate::seal::recipients::{Recipient, Recipients};
use crate::view::{self, SystemRandomness};

/// How long the first election and the first batch may take.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Pause between two looks at whether apply has let go of the first core.
const PAUSE: Duration = Duration::from_millis(5);

/// A new cluster's secrets, for whoever initialised it.
pub(crate) struct Made {
    pub(crate) initialized: Initialized,
    pub(crate) root_token: Zeroizing<String>,
}

/// Answers `sys/init`.
pub(crate) async fn answer(seal: &Arc<Seal>, incoming: &Incoming) -> Outgoing {
    match incoming.method.as_str() {
        "GET" => plain(200, &json!({ "initialized": seal.is_initialized() })),
        "POST" | "PUT" => match init(seal, incoming).await {
            Ok(body) => plain(200, &body),
            Err(failed) => error::outgoing(&failed),
        },
        _ => error::failure(405, &[]),
    }
}

async fn init(seal: &Arc<Seal>, incoming: &Incoming) -> Result<Value, Error> {
    if seal.replica.is_initialized() {
        return Err(already());
    }
    let parameters = parameters(incoming)?;
    let data = &incoming.request.data;
    let recipients = recipients(data, parameters)?;
    let token_recipient = token_recipient(data)?;
    let made = create_cluster(seal, parameters, None, false).await?;
    let from = incoming.request.remote_address.map(|address| address.to_string());
    let Parameters { shares, threshold } = parameters;
    tracing::info!(cluster = seal.replica.cluster_id_text(), shares, threshold, from, "a new cluster is initialised");
    let [hex, base64] = recipients.present(&made.initialized.shares)?;
    let token = match token_recipient {
        Some(recipient) => recipient.encrypt_to_base64(&made.root_token)?,
        None => made.root_token.to_string(),
    };
    Ok(json!({ "keys": hex, "keys_base64": base64, "root_token": token }))
}

/// Whom the shares are encrypted to.
fn recipients(data: &Map<String, Value>, parameters: Parameters) -> Result<Recipients, Error> {
    let not_texts = || Error::invalid("failed to decode JSON input: age_recipients must be a list of texts");
    let texts = match data.get("age_recipients") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(not_texts));
            texts.collect::<Result<_, _>>()?
        }
        Some(_) => return Err(not_texts()),
    };
    Recipients::parse(&texts, parameters.shares)
}

/// Whom the first token is encrypted to.
fn token_recipient(data: &Map<String, Value>) -> Result<Option<Recipient>, Error> {
    const NAME: &str = "root_token_age_recipient";
    match data.get(NAME) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) => Recipient::parse(text, NAME).map(Some),
        Some(_) => Err(Error::invalid(format!("failed to decode JSON input: {NAME} must be a text"))),
    }
}

fn already() -> Error {
    Error::invalid("Vault is already initialized")
}

/// What the body asks for. This path alone takes numbers as numbers only.
fn parameters(incoming: &Incoming) -> Result<Parameters, Error> {
    let data = &incoming.request.data;
    let number = |name: &str| match data.get(name) {
        None | Some(Value::Null) => Ok(0),
        Some(Value::Number(number)) => number.as_i64().ok_or_else(|| not_a_number(name)),
        Some(_) => Err(not_a_number(name)),
    };
    let (shares, threshold) = (number("secret_shares")?, number("secret_threshold")?);
    let recovery: Vec<_> = ["recovery_shares", "recovery_threshold"]
        .into_iter()
        .filter(|name| number(name).is_ok_and(|n| n != 0))
        .collect();
    if !recovery.is_empty() {
        return Err(Error::invalid(format!("parameters {} not applicable to seal type shamir", recovery.join(","))));
    }
    let parameters =
        Parameters { shares: u64::try_from(shares).unwrap_or(0), threshold: u64::try_from(threshold).unwrap_or(0) };
    parameters.check().map_err(|error| Error::invalid(error.to_string()))?;
    let keys = data.get("pgp_keys").and_then(Value::as_array).map_or(0, Vec::len);
    let has_token_key = data.get("root_token_pgp_key").and_then(Value::as_str).is_some_and(|key| !key.is_empty());
    if keys > 0 && u64::try_from(keys).ok() != Some(parameters.shares) {
        return Err(Error::invalid(
            "invalid seal configuration: count mismatch between number of provided PGP keys and number of shares",
        ));
    }
    if keys > 0 || has_token_key {
        return Err(Error::invalid(
            "invalid seal configuration: encrypting shares with PGP keys is not supported; leave out pgp_keys and \
             root_token_pgp_key, and give age_recipients and root_token_age_recipient",
        ));
    }
    Ok(parameters)
}

fn not_a_number(name: &str) -> Error {
    Error::invalid(format!("failed to decode JSON input: {name} must be a whole number"))
}

/// Makes a cluster of this one node: consensus, keys, first batch. If it fails, it can be tried again.
pub(crate) async fn create_cluster(
    seal: &Arc<Seal>,
    parameters: Parameters,
    root_token: Option<&str>,
    dev_kv: bool,
) -> Result<Made, Error> {
    let _entering = seal.replica.entering.to_found().await;
    if seal.replica.is_initialized() {
        return Err(already());
    }
    if seal.joining.lock().is_some() {
        return Err(Error::invalid(
            "Vault is already initialized: this node is about to join a cluster, whose shares it takes; to make a cluster of \
             its own, start it without retry_join",
        ));
    }
    if seal.replica.raft.is_entering() {
        return Err(Error::invalid("this node is joining a cluster, which is initialized; unseal it there"));
    }
    let mut random = SystemRandomness::default();
    // One attempt that failed may have named the cluster, and a node does not change its cluster.
    let cluster_id = seal.replica.raft.cluster_id().unwrap_or_else(|| {
        let mut fresh = [0; 16];
        random.fill(&mut fresh);
        fresh
    });
    let initialized = initialize(parameters, &mut random, view::now(), cluster_id)
        .map_err(|error| Error::invalid(error.to_string()))?;
    let Initialized { shares, barrier, records } = initialized;
    let core = Arc::new(Core::new(barrier, Registry::built_in()));
    seal.state.set_initialising(Some(Arc::clone(&core)));
    let made = write_first_batch(seal, &core, cluster_id, records.clone(), root_token, dev_kv).await;
    seal.state.set_initialising(None);
    let root_token = Zeroizing::new(made?);
    // The answer has the only copy of the shares, so it is given whatever comes of this.
    seal.replica.remember_committed().await;
    let barrier = take_back(core).await?;
    Ok(Made { initialized: Initialized { shares, barrier, records }, root_token })
}

/// The barrier, once apply has let go of it.
async fn take_back(mut core: Arc<Core>) -> Result<Barrier, Error> {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        match Arc::try_unwrap(core) {
            Ok(core) => return Ok(core.into_barrier()),
            Err(_) if Instant::now() >= deadline => return Err(Error::internal("the first core is still in use")),
            Err(shared) => core = shared,
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn write_first_batch(
    seal: &Arc<Seal>,
    core: &Core,
    cluster_id: [u8; 16],
    records: Vec<(&'static str, Vec<u8>)>,
    root_token: Option<&str>,
    dev_kv: bool,
) -> Result<String, Error> {
    let deadline = Instant::now() + TIMEOUT;
    lead(seal, cluster_id, deadline).await?;
    let (proposal, token) = {
        let view = seal.replica.table.view().map_err(|error| Error::internal(error.to_string()))?;
        let mut random = SystemRandomness::default();
        let mut context = seal.replica.context(&mut random);
        let first = NewCluster { open_records: records, member: seal.replica.own_record(), root_token, dev_kv };
        first_batch(core, &mut context, &view, first)?
    };
    match seal.replica.propose(&proposal, deadline).await? {
        Outcome::Applied { .. } => Ok(token),
        Outcome::Conflict { .. } => Err(already()),
        outcome => Err(Error::internal(format!("the first batch ended as {outcome:?}"))),
    }
}

/// Makes this node the leader of a cluster of one.
async fn lead(seal: &Seal, cluster_id: [u8; 16], deadline: Instant) -> Result<(), Error> {
    let failed = |error| match error {
        ChangeError::AlreadyInitialized => already(),
        other => Error::new(ErrorKind::Unavailable, other.to_string()),
    };
    seal.replica.raft.set_cluster_id(cluster_id).map_err(failed)?;
    // A cluster of this node alone that holds nothing is what an attempt that failed has left.
    if !seal.replica.raft.is_alone() {
        seal.replica.raft.bootstrap().await.map_err(failed)?;
    }
    let led = seal.replica.raft.read_point(deadline).await;
    led.map(|_| ())
        .map_err(|_| Error::unavailable("this node did not become the leader of its new cluster in time; try again"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::config::Config;

    const ONE: Parameters = Parameters { shares: 1, threshold: 1 };

    #[tokio::test(flavor = "multi_thread")]
    async fn an_initialisation_that_failed_half_way_can_be_tried_again() {
        let app = App::start(Config::memory("127.0.0.1:0")).await.unwrap();
        // As far as it gets if the first batch is lost.
        lead(&app.seal, [5; 16], Instant::now() + TIMEOUT).await.unwrap();
        assert!(!app.replica.is_initialized());
        let made = create_cluster(&app.seal, ONE, None, false).await.unwrap();
        assert_eq!((made.initialized.shares.len(), app.replica.cluster_id()), (1, Some([5; 16])));
        app.seal.unseal(made.initialized.barrier).await.unwrap();
        assert!(app.seal.state.serving().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn of_two_initialisations_at_once_one_succeeds_and_its_keys_are_good() {
        let app = App::start(Config::memory("127.0.0.1:0")).await.unwrap();
        let (one, two) =
            tokio::join!(create_cluster(&app.seal, ONE, None, false), create_cluster(&app.seal, ONE, None, false));
        let (made, refused) = match (one, two) {
            (Ok(made), Err(refused)) | (Err(refused), Ok(made)) => (made, refused),
            _ => panic!("not exactly one succeeded"),
        };
        assert_eq!(refused.messages, ["Vault is already initialized"]);
        app.seal.unseal(made.initialized.barrier).await.unwrap();
        assert!(app.seal.state.serving().is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_join_with_a_made_up_token_leaves_a_node_that_can_be_initialised() {
        let app = App::start(Config::memory("127.0.0.1:0")).await.unwrap();
        let token = crate::cluster::join::made_up_token("127.0.0.1:1");
        let refused = crate::cluster::join::join(&app.seal, &token, false).await.unwrap_err();
        assert_eq!(refused.kind, ErrorKind::Unavailable);
        assert!(!refused.messages.join("").contains("127.0.0.1"), "{refused}");
        create_cluster(&app.seal, ONE, None, false).await.unwrap();
    }
}
