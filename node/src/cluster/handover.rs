//! One ceremony for the whole cluster: the node where the shares were entered gives the root key to the other members.
//!
//! Only inside a ceremony, never on a restart. Only to nodes of the members record whose offer is signed by the key that
//! the record pins, and whose fingerprint was confirmed with every share. Nothing before a majority of the record has
//! answered and none of them knows a newer one, and nothing to a node under whose id two processes were heard. The
//! sender writes to its log before, the receiver after.

pub(crate) mod candidates;
pub(crate) mod receiver;
pub(crate) mod testimony;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use conclave_storage::table::Table;
use conclave_vault::Core;
use conclave_vault::members::{self, Located, MemberRecord};
use conclave_vault::seal::handover::{self, Fingerprint, Occasion, Offer, SealedRootKey};
use futures::future::join_all;
use prost::Message;
use tokio::time::Instant;

use self::testimony::Testimonies;
use crate::seal::Seal;
use crate::view::SystemRandomness;

/// Asks a sealed member for its offer.
pub(crate) const OFFER_METHOD: &str = "handover-offer";
/// Brings it the root key.
pub(crate) const DELIVER_METHOD: &str = "handover-deliver";
/// How long finding a leader may take, who confirms that this node knows the newest members.
const READ_POINT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one member may take to say that it is there. One that is down should not hold up the ceremony.
const OFFER_TIMEOUT: Duration = Duration::from_secs(5);
/// How long one member may take to unseal; its table is checked meanwhile.
const DELIVER_TIMEOUT: Duration = Duration::from_secs(60);

/// The ceremony that a message belongs to.
#[derive(Clone, PartialEq, Message)]
struct Invitation {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
}

/// The root key on its way.
#[derive(Clone, PartialEq, Message)]
struct Delivery {
    #[prost(bytes = "vec", tag = "1")]
    nonce: Vec<u8>,
    #[prost(message, optional, tag = "2")]
    sealed: Option<SealedRootKey>,
}

/// What became of one member.
pub(crate) struct HandedOver {
    pub(crate) member: MemberRecord,
    pub(crate) fingerprint: Option<Fingerprint>,
    pub(crate) error: Option<String>,
}

/// A member's offer, signed by its node key.
struct Offered {
    occasion: Occasion,
    offer: Offer,
    fingerprint: Fingerprint,
}

/// A hand-over under way.
struct HandOver {
    seal: Arc<Seal>,
    core: Arc<Core>,
    nonce: [u8; 16],
    confirmed: BTreeSet<Fingerprint>,
}

/// Gives the root key to every other member that is sealed and was confirmed with every share.
pub(crate) async fn to_confirmed(
    seal: &Arc<Seal>,
    nonce: [u8; 16],
    confirmed: BTreeSet<Fingerprint>,
) -> Result<Vec<HandedOver>, String> {
    let core = seal.state.unsealed().ok_or("this node was sealed meanwhile")?;
    let is_current = seal.replica.raft.read_point(Instant::now() + READ_POINT_TIMEOUT).await.is_ok();
    let located = locate(seal, &core)?;
    let own = seal.replica.identity.id();
    let others: Vec<_> = located.record.members.iter().filter(|member| member.id != own).cloned().collect();
    let run = HandOver { seal: Arc::clone(seal), core, nonce, confirmed };
    let offers = join_all(others.iter().map(|member| run.offer_of(member)));
    let asked = testimony::ask_all(seal, &located);
    let (offers, mut testimonies) = tokio::join!(offers, asked);
    testimonies.ask_again_after(run.settle(&offers)).await;
    let objection = testimonies.survey(is_current).judge().err();
    let handed = others.into_iter().zip(offers).map(|(member, offered)| {
        let (run, testimonies) = (&run, &testimonies);
        async move {
            let (fingerprint, outcome) = match offered {
                Ok(None) => (None, Ok(())),
                Err(error) => (None, Err(error)),
                Ok(Some(offered)) => {
                    let may = objection.map_or(Ok(()), |objection| Err(objection.to_string()));
                    let outcome = match may {
                        Ok(()) => run.to_one(&member, &offered, testimonies, is_current).await,
                        Err(objection) => Err(objection),
                    };
                    (Some(offered.fingerprint), outcome)
                }
            };
            HandedOver { member, fingerprint, error: outcome.err() }
        }
    });
    Ok(join_all(handed).await)
}

/// The members as the cluster's keys vouch for them.
fn locate(seal: &Seal, core: &Core) -> Result<Located, String> {
    let view = seal.replica.table.view().map_err(|error| error.to_string())?;
    members::locate(&mut core.store(&view)).map_err(|error| error.messages.join("; "))
}

fn occasion(seal: &Seal, sender: u64, receiver: u64, nonce: [u8; 16]) -> Option<Occasion> {
    let outside = seal.replica.outside().ok()??;
    Some(Occasion { cluster_id: outside.cluster_id, epoch: outside.epoch, sender, receiver, nonce })
}

/// Asks a member for its offer; `None` if it is unsealed. `node_key` is the key that must have signed it.
async fn ask_for_offer(
    seal: &Seal,
    member: u64,
    node_key: &[u8],
    nonce: [u8; 16],
) -> Result<Option<(Occasion, Offer, Fingerprint)>, String> {
    let invitation = Invitation { nonce: nonce.to_vec() }.encode_to_vec();
    let deadline = Instant::now() + OFFER_TIMEOUT;
    let answer = seal.replica.raft.call(member, OFFER_METHOD, invitation.into(), deadline).await;
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.is_empty() {
        return Ok(None);
    }
    let offer = Offer::decode(answer).map_err(|_| "the node's offer does not decode".to_owned())?;
    let occasion = occasion(seal, seal.replica.identity.id(), member, nonce).ok_or("this node holds no seal yet")?;
    let fingerprint = offer.verify(&occasion, node_key).map_err(|error| error.to_string())?;
    seal.replica.raft.note_process(member, fingerprint.to_bytes());
    Ok(Some((occasion, offer, fingerprint)))
}

impl HandOver {
    async fn offer_of(&self, member: &MemberRecord) -> Result<Option<Offered>, String> {
        let offered = ask_for_offer(&self.seal, member.id, &member.public_key, self.nonce).await?;
        Ok(offered.map(|(occasion, offer, fingerprint)| Offered { occasion, offer, fingerprint }))
    }

    /// How long to wait until a second process under the id of one that may receive would have been heard: every node asks
    /// every other how it is, once in an interval. Nothing for processes that are known for longer.
    fn settle(&self, offers: &[Result<Option<Offered>, String>]) -> Duration {
        let settled = self.seal.replica.raft.probe_interval() * 3 / 2;
        let offers = offers.iter().filter_map(|offered| offered.as_ref().ok()?.as_ref());
        let confirmed = offers.filter(|offered| self.confirmed.contains(&offered.fingerprint));
        confirmed.map(|offered| settled.saturating_sub(self.known(offered))).max().unwrap_or_default()
    }

    /// How long this node has known the process that offers.
    fn known(&self, offered: &Offered) -> Duration {
        let processes = self.seal.replica.raft.processes(offered.occasion.receiver);
        let process = processes.iter().find(|process| process.name == offered.fingerprint.to_bytes());
        process.map_or(Duration::ZERO, |process| process.first.elapsed())
    }

    async fn to_one(
        &self,
        member: &MemberRecord,
        offered: &Offered,
        testimonies: &Testimonies,
        is_current: bool,
    ) -> Result<(), String> {
        if member.is_blind {
            return Err("the node is blind until an operator confirms it".into());
        }
        let known = self.known(offered);
        let alone = testimonies.survey(is_current).judge_process(member.id, offered.fingerprint, known);
        alone.map_err(|objection| objection.to_string())?;
        let delivery = Delivery { nonce: self.nonce.to_vec(), sealed: Some(self.seal(member, offered)?) };
        let fingerprint = offered.fingerprint;
        let node = self.seal.replica.node_name(member.id);
        tracing::info!(node, %fingerprint, "handing the root key to a member that a ceremony unseals");
        let deadline = Instant::now() + DELIVER_TIMEOUT;
        let delivered =
            self.seal.replica.raft.call(member.id, DELIVER_METHOD, Bytes::from(delivery.encode_to_vec()), deadline);
        delivered.await.map(|_| ()).map_err(|error| error.to_string())
    }

    fn seal(&self, member: &MemberRecord, offered: &Offered) -> Result<SealedRootKey, String> {
        let outside = self.seal.replica.outside().map_err(|error| error.to_string())?.ok_or("there is no seal")?;
        let sealed = handover::seal(
            self.core.barrier(),
            &offered.occasion,
            outside.seal.generation,
            &offered.offer,
            &member.public_key,
            &self.confirmed,
            &mut SystemRandomness::default(),
        );
        sealed.map_err(|error| error.to_string())
    }
}
