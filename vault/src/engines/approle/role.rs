//! AppRole's roles: what is stored of them, and writing, reading, listing and deleting them.
//!
//! What surprises: a role's secret ids do not lie below its name but below an id that was drawn when it was created. So
//! deleting a role is one small batch that leaves its secret ids unreachable, and a new role of the same name does not
//! find them.

use prost::Message;
use serde_json::{Map, Value, json};

use crate::context::Context;
use crate::engine::Call;
use crate::engines::approle::role_id;
use crate::engines::named::Named;
use crate::engines::terms::{self, Names, TermsRecord, or_null};
use crate::engines::{approle::secret, named};
use crate::error::{Error, ErrorKind};
use crate::field::{Field, Fields, Kind, field};
use crate::reply::Reply;

pub(super) const NAME: Field = field("role_name", Kind::LowerText, "Name of the role; upper and lower case are one.");
pub(super) const BIND_SECRET_ID: Field =
    field("bind_secret_id", Kind::Bool, "Whether a login needs a secret id; it does unless this says no.");
pub(super) const SECRET_CIDRS: Field =
    field("secret_id_bound_cidrs", Kind::CommaList, "Addresses from which a login may come.");
pub(super) const OLD_SECRET_CIDRS: Field =
    field("bound_cidr_list", Kind::CommaList, "Old name of secret_id_bound_cidrs.").renamed_to("secret_id_bound_cidrs");
pub(super) const SECRET_NUM_USES: Field =
    field("secret_id_num_uses", Kind::Int, "Most logins with one secret id; 0 is without limit.");
pub(super) const SECRET_TTL: Field =
    field("secret_id_ttl", Kind::Duration, "Time to live of its secret ids; 0 is without end.");
const LOCAL_SECRET_IDS: Field =
    field("local_secret_ids", Kind::Bool, "Shown, without effect: there is no replication between clusters.");

/// The fields that only AppRole has.
pub(super) const OWN_FIELDS: &[Field] = &[
    NAME,
    role_id::FIELD,
    BIND_SECRET_ID,
    SECRET_CIDRS,
    OLD_SECRET_CIDRS,
    SECRET_NUM_USES,
    SECRET_TTL,
    LOCAL_SECRET_IDS,
];

/// A role as it is stored. Has no `Debug`: a role id is half of a login.
#[derive(Clone, PartialEq, Message)]
#[prost(skip_debug)]
pub(super) struct AppRoleRecord {
    /// 32 hexadecimal digits, drawn at creation: names the folder of its secret ids.
    #[prost(string, tag = "1")]
    pub(super) id: String,
    /// What a login presents.
    #[prost(string, tag = "2")]
    pub(super) role_id: String,
    #[prost(bool, tag = "4")]
    pub(super) bind_secret_id: bool,
    #[prost(string, repeated, tag = "5")]
    pub(super) secret_cidrs: Vec<String>,
    /// Given by their old name, which then is shown too.
    #[prost(string, repeated, tag = "6")]
    pub(super) old_secret_cidrs: Vec<String>,
    #[prost(uint64, tag = "7")]
    pub(super) secret_num_uses: u64,
    #[prost(uint64, tag = "8")]
    pub(super) secret_ttl_secs: u64,
    #[prost(bool, tag = "9")]
    pub(super) local_secret_ids: bool,
    #[prost(message, required, tag = "10")]
    pub(super) terms: TermsRecord,
}

impl AppRoleRecord {
    fn new(context: &mut Context<'_>) -> Self {
        Self { id: hex::encode(context.bytes::<16>()), bind_secret_id: true, ..Self::default() }
    }

    /// Takes what was sent; the rest stays.
    pub(super) fn take(&mut self, fields: &Fields, warnings: &mut Vec<String>) -> Result<(), Error> {
        self.bind_secret_id = fields.bool_or(BIND_SECRET_ID.name, self.bind_secret_id, true);
        let names = Names { new: SECRET_CIDRS.name, old: OLD_SECRET_CIDRS.name };
        terms::take_renamed_addresses(fields, &names, &mut self.secret_cidrs, &mut self.old_secret_cidrs, warnings)?;
        terms::take_count(fields, SECRET_NUM_USES.name, &mut self.secret_num_uses)?;
        terms::take_duration(fields, SECRET_TTL.name, &mut self.secret_ttl_secs);
        self.terms.take(fields, warnings)
    }

    fn check(&self) -> Result<(), Error> {
        let is_bound = self.bind_secret_id || !self.secret_cidrs.is_empty() || !self.terms.bound_cidrs.is_empty();
        match is_bound {
            true => Ok(()),
            false => Err(Error::invalid(
                "at least one constraint should be enabled on the role: \
                 bind_secret_id, secret_id_bound_cidrs or token_bound_cidrs",
            )),
        }
    }
}

impl Named for AppRoleRecord {
    const FOLDER: &'static str = "role";
    const NAME: Field = NAME;

    fn show(&self) -> Map<String, Value> {
        let mut data = self.terms.show();
        let mut put = |field: &Field, value: Value| data.insert(field.name.to_owned(), value);
        put(&BIND_SECRET_ID, self.bind_secret_id.into());
        put(&SECRET_CIDRS, or_null(&self.secret_cidrs));
        put(&SECRET_NUM_USES, self.secret_num_uses.into());
        put(&SECRET_TTL, self.secret_ttl_secs.into());
        put(&LOCAL_SECRET_IDS, self.local_secret_ids.into());
        if !self.old_secret_cidrs.is_empty() {
            put(&OLD_SECRET_CIDRS, json!(self.old_secret_cidrs));
        }
        data
    }
}

/// The role that the request's path names.
///
/// # Errors
/// [`ErrorKind::NotFound`], in words.
pub(super) fn existing(call: &mut Call<'_, '_>) -> Result<AppRoleRecord, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<AppRoleRecord>(call));
    named::find::<AppRoleRecord>(call.store, &mount, &name)?
        .ok_or_else(|| Error::new(ErrorKind::NotFound, format!("role {name:?} does not exist")))
}

/// Checks and stores a role.
pub(super) fn save(call: &mut Call<'_, '_>, role: &AppRoleRecord) -> Result<(), Error> {
    role.check()?;
    let (mount, name) = (call.mount.clone(), named::name_of::<AppRoleRecord>(call));
    named::save(call.store, &mount, &name, role)
}

pub(super) fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<AppRoleRecord>(call));
    let found = named::find::<AppRoleRecord>(call.store, &mount, &name)?;
    let is_new = found.is_none();
    let mut role = found.unwrap_or_else(|| AppRoleRecord::new(call.context));
    let mut reply = Reply::empty();
    role.take(&call.fields, &mut reply.warnings)?;
    if let Some(sent) = call.fields.bool(LOCAL_SECRET_IDS.name).filter(|sent| *sent != role.local_secret_ids) {
        if !is_new {
            return Err(Error::invalid("local_secret_ids can only be modified during role creation"));
        }
        role.local_secret_ids = sent;
    }
    let chosen = call.fields.text(role_id::FIELD.name).filter(|id| !id.is_empty()).map(str::to_owned);
    if let Some(role_id) = chosen.or_else(|| is_new.then(|| call.context.uuid())) {
        role_id::assign(call, &mut role, role_id)?;
    }
    save(call, &role)?;
    Ok(reply)
}

/// Deletes the role, which makes its secret ids useless at once; the records of those go in the background.
pub(super) fn delete(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let (mount, name) = (call.mount.clone(), named::name_of::<AppRoleRecord>(call));
    let Some(role) = named::find::<AppRoleRecord>(call.store, &mount, &name)? else { return Ok(Reply::empty()) };
    role_id::release(call, &role.role_id);
    call.store.delete(&mount.area, &[AppRoleRecord::FOLDER, &name]);
    call.work().drop_folder(&secret::folder_of(&role.id))?;
    Ok(Reply::empty())
}
