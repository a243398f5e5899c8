//! What a node answers without keys: it is asked before the core, so these handlers run only if that fails to happen.
//!
//! The paths stand in the same table as all others, so that they are described, listed and checked as all others.

use crate::engine::{Access, Call, Path};
use crate::error::Error;
use crate::field::{Kind, field};
use crate::reply::Reply;
use crate::request::Operation;

const CODES: &str = "Status code to answer with in that state";

/// The paths.
pub(super) const PATHS: &[Path] = &[
    Path {
        pattern: "health",
        fields: &[&[
            field("standbyok", Kind::Bool, "Whether a standby answers as the active node does"),
            field("activecode", Kind::Int, CODES).or("200"),
            field("standbycode", Kind::Int, CODES).or("429"),
            field("sealedcode", Kind::Int, CODES).or("503"),
            field("uninitcode", Kind::Int, CODES).or("501"),
        ]],
        operations: &[(Operation::Read, answered_by_the_node)],
        access: Access::Open,
        help: "Read what this node is, for load balancers",
        ..Path::DEFAULT
    },
    Path {
        pattern: "seal-status",
        operations: &[(Operation::Read, answered_by_the_node)],
        access: Access::Open,
        help: "Read how sealed this node is",
        ..Path::DEFAULT
    },
    Path {
        pattern: "leader",
        operations: &[(Operation::Read, answered_by_the_node)],
        access: Access::Open,
        help: "Read who leads",
        ..Path::DEFAULT
    },
    Path {
        pattern: "init",
        fields: &[&[
            field("secret_shares", Kind::Int, "Number of shares to make").required(),
            field("secret_threshold", Kind::Int, "Number of shares that unseal").required(),
            field("age_recipients", Kind::List, "The age recipients that the shares are encrypted to, one for each"),
            field("root_token_age_recipient", Kind::Text, "The age recipient that the first token is encrypted to"),
        ]],
        operations: &[(Operation::Read, answered_by_the_node), (Operation::Update, answered_by_the_node)],
        access: Access::Open,
        help: "Read whether the cluster is initialised, or initialise it",
        ..Path::DEFAULT
    },
    Path {
        pattern: "unseal",
        fields: &[&[
            field("key", Kind::Text, "One share"),
            field("reset", Kind::Bool, "Whether to forget the shares that were entered"),
            field("cluster", Kind::Bool, "Whether the ceremony opens the other nodes too"),
            field(
                "reset_time",
                Kind::Bool,
                "Whether the ceremony sets cluster time to this node's clock, and unseals nothing",
            ),
        ]],
        operations: &[(Operation::Update, answered_by_the_node)],
        access: Access::Open,
        help: "Enter a share",
        ..Path::DEFAULT
    },
    Path {
        pattern: "storage/raft/join",
        fields: &[&[
            field("token", Kind::Text, "A join token; without one, shares are entered at this node"),
            field("leader_api_addr", Kind::Text, "Without a token: URL of a member's API"),
            field("leader_ca_cert", Kind::Text, "PEM with the authorities for that API's certificate"),
            field("leader_client_cert", Kind::Text, "PEM with a certificate to show there"),
            field("leader_client_key", Kind::Text, "PEM with its key"),
            field("leader_tls_servername", Kind::Text, "Name that the API's certificate must have"),
            field("retry", Kind::Bool, "Whether to go on trying if it fails"),
            field("non_voter", Kind::Bool, "Whether to replicate for good without a vote"),
        ]],
        operations: &[(Operation::Update, answered_by_the_node)],
        access: Access::Open,
        help: "Let this node enter a cluster",
        ..Path::DEFAULT
    },
];

fn answered_by_the_node(_: &mut Call<'_, '_>) -> Result<Reply, Error> {
    Err(Error::internal("a path that the node answers itself came to the core"))
}
