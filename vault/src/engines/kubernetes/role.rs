//! Roles: which service accounts log in, and what they get.

use prost::Message;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::engine::Call;
use crate::engines::named::{self, Named};
use crate::engines::terms::{self, TermsRecord};
use crate::error::Error;
use crate::field::{Field, Fields, Kind, field};
use crate::reply::Reply;

const NAME: Field = field("name", Kind::LowerText, "Name of the role; upper and lower case are one.");
const ACCOUNTS: Field =
    field("bound_service_account_names", Kind::CommaList, "Names of service accounts; a star stands for any text.")
        .required();
const NAMESPACES: Field =
    field("bound_service_account_namespaces", Kind::CommaList, "Their namespaces; a star stands for any text.")
        .required();
const SELECTOR: Field = field(
    "bound_service_account_namespace_selector",
    Kind::Text,
    "Refused, unless empty: namespaces are not looked up.",
);
const AUDIENCE: Field =
    field("audience", Kind::Text, "The audience that a token must be for; none is that of the API server.");
const ALIAS_SOURCE: Field = field("alias_name_source", Kind::Text, "By what an account is known.")
    .one_of(&["serviceaccount_uid", "serviceaccount_name"])
    .or("serviceaccount_uid");

pub(super) const FIELDS: &[Field] = &[NAME, ACCOUNTS, NAMESPACES, SELECTOR, AUDIENCE, ALIAS_SOURCE];

/// A role as it is stored.
#[derive(Clone, PartialEq, Message)]
pub(super) struct KubernetesRoleRecord {
    /// 32 hexadecimal digits, drawn at creation, so that a token is not renewed by a later role of the same name.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    #[prost(string, repeated, tag = "2")]
    pub(super) accounts: Vec<String>,
    #[prost(string, repeated, tag = "3")]
    pub(super) namespaces: Vec<String>,
    #[prost(string, tag = "4")]
    pub(super) audience: String,
    /// Whether an account is known by namespace and name, so that one of the same name that comes later is the same.
    #[prost(bool, tag = "5")]
    pub(super) is_known_by_name: bool,
    #[prost(message, required, tag = "6")]
    pub(super) terms: TermsRecord,
}

impl KubernetesRoleRecord {
    fn new(context: &mut Context<'_>) -> Self {
        Self { id: hex::encode(context.bytes::<16>()), ..Self::default() }
    }

    fn take(&mut self, fields: &Fields, warnings: &mut Vec<String>) -> Result<(), Error> {
        for (of, list) in [(&ACCOUNTS, &mut self.accounts), (&NAMESPACES, &mut self.namespaces)] {
            if let Some(sent) = fields.list(of.name) {
                terms::check_length(of.name, sent)?;
                *list = sent.to_vec();
            }
        }
        if let Some(audience) = fields.text(AUDIENCE.name) {
            audience.clone_into(&mut self.audience);
        }
        match fields.text(ALIAS_SOURCE.name) {
            None => {}
            Some("serviceaccount_uid" | "") => self.is_known_by_name = false,
            Some("serviceaccount_name") => self.is_known_by_name = true,
            Some(_) => {
                return Err(Error::invalid(
                    "invalid alias_name_source, must be one of: serviceaccount_uid, serviceaccount_name",
                ));
            }
        }
        if !fields.text_or_empty(SELECTOR.name).is_empty() {
            return Err(Error::invalid(
                "bound_service_account_namespace_selector must be empty: namespaces are not looked up; name them",
            ));
        }
        if self.accounts.is_empty() {
            return Err(Error::invalid("\"bound_service_account_names\" can not be empty"));
        }
        if self.namespaces.is_empty() {
            return Err(Error::invalid(
                "\"bound_service_account_namespaces\" can not be empty if \
                 \"bound_service_account_namespace_selector\" is not set",
            ));
        }
        self.terms.take(fields, warnings)
    }
}

impl Named for KubernetesRoleRecord {
    const FOLDER: &'static str = "role";
    const NAME: Field = NAME;

    fn show(&self) -> Map<String, Value> {
        let mut data = self.terms.show();
        let own = json!({
            "bound_service_account_names": self.accounts,
            "bound_service_account_namespaces": self.namespaces,
            "bound_service_account_namespace_selector": "",
            "audience": self.audience,
            "alias_name_source": if self.is_known_by_name { "serviceaccount_name" } else { "serviceaccount_uid" },
        });
        data.extend(own.as_object().cloned().unwrap_or_default());
        if self.audience.is_empty() {
            data.remove("audience");
        }
        data
    }
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<KubernetesRoleRecord>(call));
    let found = named::find::<KubernetesRoleRecord>(call.store, &mount, &name)?;
    let mut role = found.unwrap_or_else(|| KubernetesRoleRecord::new(call.context));
    let mut reply = Reply::empty();
    role.take(&call.fields, &mut reply.warnings)?;
    named::save(call.store, &mount, &name, &role)?;
    Ok(reply)
}
