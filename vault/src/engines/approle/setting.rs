//! Single settings of a role by paths of their own, such as `role/{role_name}/token-ttl`.

use serde_json::{Value, json};

use crate::engine::{Call, Handler, Path};
use crate::engines::approle::role::{self, AppRoleRecord};
use crate::engines::named;
use crate::engines::terms::{self, or_null};
use crate::error::Error;
use crate::field::Field;
use crate::reply::Reply;
use crate::request::Operation;

/// A setting: its path and fields, what a read shows, and what a delete makes of it. One without fields of its own can
/// only be read.
struct Setting {
    pattern: &'static str,
    fields: &'static [&'static [Field]],
    help: &'static str,
    show: fn(&AppRoleRecord) -> Value,
    reset: fn(&mut AppRoleRecord),
}

const SETTINGS: [Setting; 12] = [
    Setting {
        pattern: "role/{role_name}/policies",
        fields: &[&[role::NAME], &[terms::POLICIES, terms::OLD_POLICIES]],
        help: "Read, set or clear the policies of a role's tokens.",
        show: |role| match role.terms.old_policies.is_empty() {
            true => json!({ "token_policies": role.terms.policies }),
            false => json!({ "token_policies": role.terms.policies, "policies": role.terms.old_policies }),
        },
        reset: |role| (role.terms.policies, role.terms.old_policies) = (Vec::new(), Vec::new()),
    },
    Setting {
        pattern: "role/{role_name}/secret-id-num-uses",
        fields: &[&[role::NAME], &[role::SECRET_NUM_USES]],
        help: "Read, set or clear the number of logins of a role's secret ids.",
        show: |role| json!({ "secret_id_num_uses": role.secret_num_uses }),
        reset: |role| role.secret_num_uses = 0,
    },
    Setting {
        pattern: "role/{role_name}/secret-id-ttl",
        fields: &[&[role::NAME], &[role::SECRET_TTL]],
        help: "Read, set or clear the time to live of a role's secret ids.",
        show: |role| json!({ "secret_id_ttl": role.secret_ttl_secs }),
        reset: |role| role.secret_ttl_secs = 0,
    },
    Setting {
        pattern: "role/{role_name}/secret-id-bound-cidrs",
        fields: &[&[role::NAME], &[role::SECRET_CIDRS]],
        help: "Read, set or clear the addresses from which logins may come.",
        show: |role| json!({ "secret_id_bound_cidrs": or_null(&role.secret_cidrs) }),
        reset: reset_addresses,
    },
    Setting {
        pattern: "role/{role_name}/bound-cidr-list",
        fields: &[&[role::NAME], &[role::OLD_SECRET_CIDRS]],
        help: "Old name of secret-id-bound-cidrs.",
        show: |role| json!({ "bound_cidr_list": or_null(&role.secret_cidrs) }),
        reset: reset_addresses,
    },
    Setting {
        pattern: "role/{role_name}/token-ttl",
        fields: &[&[role::NAME], &[terms::TTL]],
        help: "Read, set or clear the time to live of a role's tokens.",
        show: |role| json!({ "token_ttl": role.terms.ttl_secs }),
        reset: |role| role.terms.ttl_secs = 0,
    },
    Setting {
        pattern: "role/{role_name}/token-max-ttl",
        fields: &[&[role::NAME], &[terms::MAX_TTL]],
        help: "Read, set or clear the longest life of a role's tokens.",
        show: |role| json!({ "token_max_ttl": role.terms.max_ttl_secs }),
        reset: |role| role.terms.max_ttl_secs = 0,
    },
    Setting {
        pattern: "role/{role_name}/token-num-uses",
        fields: &[&[role::NAME], &[terms::NUM_USES]],
        help: "Read, set or clear the number of uses of a role's tokens.",
        show: |role| json!({ "token_num_uses": role.terms.num_uses }),
        reset: |role| role.terms.num_uses = 0,
    },
    Setting {
        pattern: "role/{role_name}/token-bound-cidrs",
        fields: &[&[role::NAME], &[terms::BOUND_CIDRS]],
        help: "Read, set or clear the addresses that a role's tokens are bound to.",
        show: |role| json!({ "token_bound_cidrs": or_null(&role.terms.bound_cidrs) }),
        reset: |role| role.terms.bound_cidrs.clear(),
    },
    Setting {
        pattern: "role/{role_name}/period",
        fields: &[&[role::NAME], &[terms::PERIOD, terms::OLD_PERIOD]],
        help: "Read, set or clear the period of a role's tokens.",
        show: |role| match role.terms.old_period_secs {
            0 => json!({ "token_period": role.terms.period_secs }),
            old => json!({ "token_period": role.terms.period_secs, "period": old }),
        },
        reset: |role| (role.terms.period_secs, role.terms.old_period_secs) = (0, 0),
    },
    Setting {
        pattern: "role/{role_name}/bind-secret-id",
        fields: &[&[role::NAME], &[role::BIND_SECRET_ID]],
        help: "Read or set whether logins need a secret id; deleting the setting makes them need one.",
        show: |role| json!({ "bind_secret_id": role.bind_secret_id }),
        reset: |role| role.bind_secret_id = true,
    },
    Setting {
        pattern: "role/{role_name}/local-secret-ids",
        fields: &[&[role::NAME]],
        help: "Read whether a role was created with local secret ids.",
        show: |role| json!({ "local_secret_ids": role.local_secret_ids }),
        reset: |_| {},
    },
];

fn reset_addresses(role: &mut AppRoleRecord) {
    role.secret_cidrs.clear();
    role.old_secret_cidrs.clear();
}

const ALL: &[(Operation, Handler)] = &[(Operation::Read, read), (Operation::Update, write), (Operation::Delete, reset)];
const READ_ONLY: &[(Operation, Handler)] = &[(Operation::Read, read)];

/// A path for each setting.
pub(super) const PATHS: &[Path] = &{
    let mut paths = [Path::DEFAULT; SETTINGS.len()];
    let mut index = 0;
    while index < paths.len() {
        let Setting { pattern, fields, help, .. } = SETTINGS[index];
        let operations = if fields.len() > 1 { ALL } else { READ_ONLY };
        paths[index] = Path { pattern, fields, operations, help, ..Path::DEFAULT };
        index += 1;
    }
    paths
};

fn setting_of(call: &Call<'_, '_>) -> Result<&'static Setting, Error> {
    const TABLE: &[Setting] = &SETTINGS;
    let last = |path: &str| path.rsplit('/').next().map(str::to_owned);
    let setting = TABLE.iter().find(|setting| last(setting.pattern) == last(call.rest));
    setting.ok_or_else(|| Error::internal("a path of a setting that does not exist"))
}

fn read(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let setting = setting_of(call)?;
    let (mount, name) = (call.mount.clone(), named::name_of::<AppRoleRecord>(call));
    let role = named::find::<AppRoleRecord>(call.store, &mount, &name)?.ok_or_else(Error::not_found)?;
    Ok(Reply::data((setting.show)(&role)))
}

fn write(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let own = setting_of(call)?.fields[1];
    let mut role = role::existing(call)?;
    if !own.iter().any(|field| call.fields.has(field.name)) {
        return Err(Error::invalid(format!("missing {}", own[0].name)));
    }
    let mut reply = Reply::empty();
    role.take(&call.fields, &mut reply.warnings)?;
    role::save(call, &role)?;
    Ok(reply)
}

fn reset(call: &mut Call<'_, '_>) -> Result<Reply, Error> {
    let setting = setting_of(call)?;
    let (mount, name) = (call.mount.clone(), named::name_of::<AppRoleRecord>(call));
    if let Some(mut role) = named::find::<AppRoleRecord>(call.store, &mount, &name)? {
        (setting.reset)(&mut role);
        role::save(call, &role)?;
    }
    Ok(Reply::empty())
}
