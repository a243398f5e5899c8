//! `token`: made, looked up, renewed, revoked.

use clap::{Args, Subcommand};
use conclave_client::Request;
use serde_json::{Map, Value, json};

use crate::assignment;
use crate::failure::{Failure, Outcome};
use crate::session::Session;

/// What can be done with tokens.
#[derive(Subcommand)]
pub(crate) enum Token {
    Create(Box<Create>),
    Lookup(TokenLookup),
    Renew(TokenRenew),
    Revoke(TokenRevoke),
    Capabilities(Capabilities),
}

/// Make a token.
#[derive(Args)]
pub(crate) struct Create {
    /// A policy; may be repeated. Without any, those of the token that asks.
    #[arg(long)]
    policy: Vec<String>,
    /// How long it lives, such as 1h.
    #[arg(long)]
    ttl: Option<String>,
    /// How long it can live with all renewals.
    #[arg(long)]
    explicit_max_ttl: Option<String>,
    /// Live on without end if renewed at least this often.
    #[arg(long)]
    period: Option<String>,
    /// Whether it can be renewed (true).
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    renewable: Option<bool>,
    /// Let it outlive the token that asks.
    #[arg(long)]
    orphan: bool,
    /// Leave out the policy `default`.
    #[arg(long)]
    no_default_policy: bool,
    /// How often it may be used; 0 is without limit.
    #[arg(long)]
    use_limit: Option<u64>,
    /// A name for people.
    #[arg(long)]
    display_name: Option<String>,
    /// A note, as name=value; may be repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    metadata: Vec<String>,
    /// service or batch.
    #[arg(long = "type")]
    kind: Option<String>,
    /// A role that says what the token may be.
    #[arg(long)]
    role: Option<String>,
    /// The alias of the entity that it shall belong to.
    #[arg(long)]
    entity_alias: Option<String>,
    /// The token itself, instead of one that the server chooses.
    #[arg(long)]
    id: Option<String>,
}

impl Create {
    async fn run(&self, session: &Session) -> Outcome {
        let mut body = Map::new();
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                body.insert(name.to_owned(), value);
            }
        };
        set("policies", (!self.policy.is_empty()).then(|| json!(self.policy)));
        set(
            "meta",
            (!self.metadata.is_empty()).then(|| assignment::pairs(&self.metadata)).transpose()?.map(Value::Object),
        );
        set("ttl", self.ttl.as_ref().map(|ttl| json!(ttl)));
        set("explicit_max_ttl", self.explicit_max_ttl.as_ref().map(|ttl| json!(ttl)));
        set("period", self.period.as_ref().map(|period| json!(period)));
        set("renewable", self.renewable.map(Value::Bool));
        set("no_parent", self.orphan.then_some(Value::Bool(true)));
        set("no_default_policy", self.no_default_policy.then_some(Value::Bool(true)));
        set("num_uses", self.use_limit.map(Value::from));
        set("display_name", self.display_name.as_ref().map(|name| json!(name)));
        set("type", self.kind.as_ref().map(|kind| json!(kind)));
        set("entity_alias", self.entity_alias.as_ref().map(|alias| json!(alias)));
        set("id", self.id.as_ref().map(|id| json!(id)));
        let path = match &self.role {
            Some(role) => format!("auth/token/create/{role}"),
            None => "auth/token/create".to_owned(),
        };
        let reply = session.send("creating token", Request::post(path, &Value::Object(body))).await?;
        session.output.reply(&reply)
    }
}

/// Show what the server knows of a token.
#[derive(Args)]
pub(crate) struct TokenLookup {
    /// Take the word for an accessor.
    #[arg(long)]
    accessor: bool,
    /// The token; without it, the session's own.
    token: Option<String>,
}

impl TokenLookup {
    async fn run(&self, session: &Session) -> Outcome {
        let request = match (&self.token, self.accessor) {
            (None, true) => return Err(Failure::Usage("-accessor needs the accessor behind it".to_owned())),
            (None, false) => Request::get("auth/token/lookup-self"),
            (Some(accessor), true) => {
                Request::post("auth/token/lookup-accessor", &json!({ "accessor": accessor })).reads_only()
            }
            (Some(token), false) => Request::post("auth/token/lookup", &json!({ "token": token })).reads_only(),
        };
        session.output.reply(&session.send("looking up token", request).await?)
    }
}

/// Let a token live longer.
#[derive(Args)]
pub(crate) struct TokenRenew {
    /// Take the word for an accessor.
    #[arg(long)]
    accessor: bool,
    /// By how much, such as 1h; without it, by what it had.
    #[arg(long, short)]
    increment: Option<String>,
    /// The token; without it, the session's own.
    token: Option<String>,
}

impl TokenRenew {
    async fn run(&self, session: &Session) -> Outcome {
        let (path, mut body) = match (&self.token, self.accessor) {
            (None, true) => return Err(Failure::Usage("-accessor needs the accessor behind it".to_owned())),
            (None, false) => ("auth/token/renew-self", json!({})),
            (Some(accessor), true) => ("auth/token/renew-accessor", json!({ "accessor": accessor })),
            (Some(token), false) => ("auth/token/renew", json!({ "token": token })),
        };
        if let Some(increment) = &self.increment {
            body["increment"] = json!(increment);
        }
        session.output.reply(&session.send("renewing token", Request::post(path, &body)).await?)
    }
}

/// End a token, its children and their leases.
#[derive(Args)]
pub(crate) struct TokenRevoke {
    /// Take the word for an accessor.
    #[arg(long)]
    accessor: bool,
    /// End the session's own token.
    #[arg(long = "self")]
    own: bool,
    /// orphan: leave its children alive. path: end all tokens that were made below a path.
    #[arg(long, value_parser = ["orphan", "path"])]
    mode: Option<String>,
    /// The token, accessor or path.
    token: Option<String>,
}

impl TokenRevoke {
    async fn run(&self, session: &Session) -> Outcome {
        let request = match (&self.token, self.own, self.accessor, self.mode.as_deref()) {
            (None, true, false, None) => Request::post("auth/token/revoke-self", &json!({})),
            (Some(accessor), false, true, None) => {
                Request::post("auth/token/revoke-accessor", &json!({ "accessor": accessor }))
            }
            (Some(token), false, false, None) => Request::post("auth/token/revoke", &json!({ "token": token })),
            (Some(token), false, false, Some("orphan")) => {
                Request::post("auth/token/revoke-orphan", &json!({ "token": token }))
            }
            (Some(path), false, false, Some(_)) => {
                Request::post(format!("sys/leases/revoke-prefix/{}", path.trim_matches('/')), &json!({}))
            }
            _ => {
                let reason = "name one token, or -self, or -accessor with an accessor, or -mode with a token or path";
                return Err(Failure::Usage(reason.to_owned()));
            }
        };
        session.send("revoking token", request).await?;
        session.output.done("Success! Revoked token (if it existed)")
    }
}

/// Show what a token may do at a path.
#[derive(Args)]
pub(crate) struct Capabilities {
    /// Take the first word for an accessor.
    #[arg(long)]
    accessor: bool,
    /// The path, or a token and the path.
    #[arg(num_args = 1..=2, required = true)]
    words: Vec<String>,
}

impl Capabilities {
    async fn run(&self, session: &Session) -> Outcome {
        let (path, body) = match (self.words.as_slice(), self.accessor) {
            ([accessor, path], true) => ("sys/capabilities-accessor", json!({ "accessor": accessor, "paths": [path] })),
            ([token, path], false) => ("sys/capabilities", json!({ "token": token, "paths": [path] })),
            ([path], false) => ("sys/capabilities-self", json!({ "paths": [path] })),
            _ => return Err(Failure::Usage("-accessor needs an accessor and a path".to_owned())),
        };
        let reply = session.send("listing capabilities", Request::post(path, &body).reads_only()).await?;
        let data = &reply.json()["data"];
        let asked = self.words.last().map_or(&Value::Null, |path| &data[path]);
        let found = if asked.is_array() { asked } else { &data["capabilities"] };
        let mut names: Vec<_> = found.as_array().into_iter().flatten().filter_map(Value::as_str).collect();
        names.sort_unstable();
        session.output.either(|| format!("{}\n", names.join(", ")), &json!(names))
    }
}

impl Token {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::Lookup(command) => command.run(session).await,
            Self::Renew(command) => command.run(session).await,
            Self::Revoke(command) => command.run(session).await,
            Self::Capabilities(command) => command.run(session).await,
        }
    }
}
