//! What a request ends with, and the one JSON envelope that carries it.

use serde_json::{Map, Value, json};

use crate::action::Action;
use crate::time::Time;

/// How a reply went; the node maps it to a status code.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// Done: 200 with a body, 204 if there is nothing to say.
    #[default]
    Done,
    /// Accepted, going on in the background (202).
    Accepted,
    /// An envelope that says what is not there any more (404).
    NotFound,
    /// An envelope with what failed in it (400).
    Invalid,
    /// An envelope under the status code that the client asked for.
    Wanted(u16),
}

/// What a login or a token operation hands out.
#[derive(Clone, Default)]
pub struct Auth {
    /// The token itself.
    pub client_token: String,
    /// Its accessor; empty for batch tokens.
    pub accessor: String,
    /// All policies, sorted.
    pub policies: Vec<String>,
    /// Those of the token alone.
    pub token_policies: Vec<String>,
    /// Those of its entity and groups; shown if there are any.
    pub identity_policies: Vec<String>,
    /// Metadata.
    pub metadata: Option<Map<String, Value>>,
    /// Time to live in seconds; 0 is for ever.
    pub lease_secs: u64,
    /// Whether it can be renewed.
    pub renewable: bool,
    /// The entity behind it; empty if none.
    pub entity_id: String,
    /// `service` or `batch`.
    pub token_type: &'static str,
    /// Whether it has no parent.
    pub orphan: bool,
    /// Uses left; 0 is without limit.
    pub num_uses: u64,
    /// What more must be shown before there is a token; all else is empty then.
    pub mfa_requirement: Option<Value>,
}

/// What a wrapped reply shows instead of itself.
#[derive(Clone)]
pub struct WrapInfo {
    /// The wrapping token.
    pub token: String,
    /// Its accessor.
    pub accessor: String,
    /// Its time to live in seconds.
    pub ttl_secs: u64,
    /// When it was made.
    pub creation_time: Time,
    /// The path whose reply it holds.
    pub creation_path: String,
    /// Accessor of a token inside.
    pub wrapped_accessor: Option<String>,
}

/// A body that is not the envelope.
#[derive(Clone, PartialEq, Eq)]
pub struct Raw {
    /// Status code of the stored reply, 200 or 204.
    pub status_code: u16,
    /// Media type.
    pub content_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// A request's successful end.
#[derive(Clone, Default)]
pub struct Reply {
    /// How it went.
    pub status: Status,
    /// `data`; absent is `null`.
    pub data: Option<Map<String, Value>>,
    /// `auth`.
    pub auth: Option<Auth>,
    /// `lease_id`.
    pub lease_id: String,
    /// `renewable` of the lease.
    pub renewable: bool,
    /// `lease_duration` in seconds.
    pub lease_secs: u64,
    /// `warnings`; none is `null`.
    pub warnings: Vec<String>,
    /// Set when the reply was put into a wrapping token.
    pub wrap_info: Option<WrapInfo>,
    /// Whether the keys of `data` stand at the top level too, as old clients expect of some `sys/` paths.
    pub inject_data: bool,
    /// Whether `data` alone is the body, without an envelope.
    pub plain: bool,
    /// A body that is not the envelope at all.
    pub raw: Option<Raw>,
    /// What a client without a valid token is told of how to come by one: `WWW-Authenticate` (RFC 9110, section 11.6.1).
    pub challenge: Option<&'static str>,
    /// What the node does next; it may fill `data`.
    pub action: Option<Action>,
    /// Wraps the reply even if the client did not ask, for this many seconds.
    pub wrap_secs: Option<u64>,
    /// What an operator must know of, for the node's log once the change is committed: one sentence, no secret.
    pub announcement: Option<String>,
}

impl Reply {
    /// Nothing to say (204).
    pub fn empty() -> Self {
        Self::default()
    }

    /// Data, given as a JSON object; anything else is a programmer's error and becomes no data.
    pub fn data(value: Value) -> Self {
        match value {
            Value::Object(map) => Self { data: Some(map), ..Self::default() },
            _ => Self::default(),
        }
    }

    /// A list of names, or "not found" where there are none.
    pub fn keys(keys: Vec<String>) -> Result<Self, crate::error::Error> {
        if keys.is_empty() {
            return Err(crate::error::Error::not_found());
        }
        Ok(Self::data(json!({ "keys": keys })))
    }

    /// What a token operation hands out.
    pub fn auth(auth: Auth) -> Self {
        Self { auth: Some(auth), ..Self::default() }
    }

    /// With a sentence for the operators' log.
    #[must_use]
    pub fn announce(mut self, announcement: impl Into<String>) -> Self {
        self.announcement = Some(announcement.into());
        self
    }

    /// With one more warning.
    #[must_use]
    pub fn warn(mut self, warning: impl Into<String>) -> Self {
        self.warnings.push(warning.into());
        self
    }

    /// With `data` copied to the top level.
    #[must_use]
    pub fn injected(mut self) -> Self {
        self.inject_data = true;
        self
    }

    /// With an action for the node.
    #[must_use]
    pub fn with_action(mut self, action: Action) -> Self {
        self.action = Some(action);
        self
    }

    /// Whether there is nothing to put into a body.
    pub fn is_empty(&self) -> bool {
        self.data.is_none()
            && self.auth.is_none()
            && self.wrap_info.is_none()
            && self.warnings.is_empty()
            && self.lease_id.is_empty()
            && self.status == Status::Done
    }

    /// The reply as bytes: what leaves the node, and what a wrapping token or an idempotency record keeps.
    pub fn render(&self, request_id: &str) -> Raw {
        if let Some(raw) = &self.raw {
            return raw.clone();
        }
        let status_code = match self.status {
            Status::Done if self.is_empty() => 204,
            Status::Done => 200,
            Status::Accepted => 202,
            Status::NotFound => 404,
            Status::Invalid => 400,
            Status::Wanted(code) => code,
        };
        let mut body = Vec::new();
        if status_code != 204 {
            body = self.envelope(request_id).to_string().into_bytes();
            body.push(b'\n');
        }
        Raw { status_code, content_type: "application/json".into(), body }
    }

    /// The envelope as JSON. A wrapped reply has an empty request id.
    pub fn envelope(&self, request_id: &str) -> Value {
        if self.plain {
            return Value::Object(self.data.clone().unwrap_or_default());
        }
        let mut envelope = if self.inject_data { self.data.clone().unwrap_or_default() } else { Map::new() };
        let request_id = if self.wrap_info.is_some() { "" } else { request_id };
        envelope.insert("request_id".into(), request_id.into());
        envelope.insert("lease_id".into(), self.lease_id.clone().into());
        envelope.insert("renewable".into(), self.renewable.into());
        envelope.insert("lease_duration".into(), self.lease_secs.into());
        envelope.insert("data".into(), self.data.clone().map_or(Value::Null, Value::Object));
        envelope.insert("wrap_info".into(), self.wrap_info.as_ref().map_or(Value::Null, WrapInfo::to_json));
        let warnings = if self.warnings.is_empty() { Value::Null } else { json!(self.warnings) };
        envelope.insert("warnings".into(), warnings);
        envelope.insert("auth".into(), self.auth.as_ref().map_or(Value::Null, Auth::to_json));
        Value::Object(envelope)
    }
}

impl Auth {
    /// As the API shows it.
    pub fn to_json(&self) -> Value {
        let mut auth = json!({
            "client_token": self.client_token,
            "accessor": self.accessor,
            "policies": self.policies,
            "token_policies": self.token_policies,
            "metadata": self.metadata,
            "lease_duration": self.lease_secs,
            "renewable": self.renewable,
            "entity_id": self.entity_id,
            "token_type": self.token_type,
            "orphan": self.orphan,
            "mfa_requirement": self.mfa_requirement,
            "num_uses": self.num_uses,
        });
        if self.mfa_requirement.is_some() {
            auth["policies"] = Value::Null;
            auth.as_object_mut().and_then(|auth| auth.remove("token_policies"));
        }
        if !self.identity_policies.is_empty() {
            auth["identity_policies"] = json!(self.identity_policies);
        }
        auth
    }
}

impl WrapInfo {
    /// As the API shows it.
    pub fn to_json(&self) -> Value {
        let mut info = json!({
            "token": self.token,
            "accessor": self.accessor,
            "ttl": self.ttl_secs,
            "creation_time": self.creation_time.to_string(),
            "creation_path": self.creation_path,
        });
        if let Some(accessor) = &self.wrapped_accessor {
            info["wrapped_accessor"] = accessor.clone().into();
        }
        info
    }
}
