//! The paths of a mount, by what they are about.

use super::authority::{self, AUTHORITY_FIELDS, FORM_FIELDS, KEY_FIELDS, NAME_FIELDS, ROOT_FIELDS, SUBJECT_FIELDS};
use super::role::PkiRoleRecord;
use super::{config, crl, fetch, import, intermediate, issue, issuers, key, ocsp, revoke, role, tidy};
use crate::engine::{Access, Effect, Path};
use crate::engines::{listing, named};
use crate::field::Field;
use crate::request::Operation;

/// All of them, in the order in which they are looked at.
pub(super) const ALL: &[&[Path]] =
    &[CONFIG, AUTHORITIES, INTERMEDIATES, ROLES, ISSUING, ISSUERS, KEYS, REVOKING, LISTS, CERTIFICATES];

/// Media types (RFC 5280, RFC 8555, RFC 2585).
const DER: &str = "application/pkix-cert";
const PEM: &str = "application/pem-certificate-chain";
const LIST_DER: &str = "application/pkix-crl";
const LIST_PEM: &str = "application/x-pem-file";

/// What anybody may read.
const OPEN: Path = Path { access: Access::Open, ..Path::DEFAULT };

const CONFIG: &[Path] = &[
    Path {
        pattern: "config/urls",
        fields: &[config::URLS_FIELDS],
        operations: &[(Operation::Read, config::read_urls), (Operation::Update, config::write_urls)],
        help: "Read or set the URLs that certificates hold.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/cluster",
        fields: &[config::CLUSTER_FIELDS],
        operations: &[(Operation::Read, config::read_cluster), (Operation::Update, config::write_cluster)],
        help: "Read or set where the cluster is reached.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/issuers",
        fields: &[config::ISSUERS_FIELDS],
        operations: &[(Operation::Read, config::read_issuers), (Operation::Update, config::write_issuers)],
        help: "Read or set which issuer is the default.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/keys",
        fields: &[key::CONFIG_FIELDS],
        operations: &[(Operation::Read, key::read_config), (Operation::Update, key::write_config)],
        help: "Read or set which key is the default.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/crl",
        fields: &[crl::FIELDS],
        operations: &[(Operation::Read, crl::read_config), (Operation::Update, crl::write_config)],
        help: "Read or set how lists of revoked certificates and OCSP replies are made.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/auto-tidy",
        fields: &[tidy::CONFIG_FIELDS, tidy::FIELDS],
        operations: &[(Operation::Read, tidy::read_config), (Operation::Update, tidy::write_config)],
        help: "Read or set what is tidied by itself, and how often.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "config/ca",
        fields: &[import::BUNDLE_FIELDS],
        operations: &[(Operation::Update, import::import_bundle)],
        help: "Bring in certificates and keys of authorities.",
        ..Path::DEFAULT
    },
];

const AUTHORITIES: &[Path] = &[
    Path {
        pattern: "root/generate/{exported}",
        fields: &[KEY_FIELDS, ROOT_FIELDS, SUBJECT_FIELDS, NAME_FIELDS, AUTHORITY_FIELDS, FORM_FIELDS],
        operations: &[(Operation::Update, authority::generate_root)],
        help: "Make a root.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuers/generate/root/{exported}",
        fields: &[KEY_FIELDS, ROOT_FIELDS, SUBJECT_FIELDS, NAME_FIELDS, AUTHORITY_FIELDS, FORM_FIELDS],
        operations: &[(Operation::Update, authority::generate_root)],
        help: "Make a root.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "root/rotate/{exported}",
        fields: &[KEY_FIELDS, ROOT_FIELDS, SUBJECT_FIELDS, NAME_FIELDS, AUTHORITY_FIELDS, FORM_FIELDS],
        operations: &[(Operation::Update, authority::generate_root)],
        help: "Make a root that is named next, unless another name is said.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "root/replace",
        fields: &[config::ISSUERS_FIELD_ROOT],
        operations: &[(Operation::Update, config::write_issuers)],
        help: "Make an issuer the default: the one named next, unless another is said.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "root",
        operations: &[(Operation::Delete, issuers::delete_all)],
        access: Access::Sudo,
        help: "Delete all issuers and keys.",
        ..Path::DEFAULT
    },
];

const GENERATE_FIELDS: &[&[Field]] =
    &[KEY_FIELDS, SUBJECT_FIELDS, NAME_FIELDS, SIGNATURE_FIELDS, FORM_FIELDS, intermediate::REQUEST_FIELDS];
const SIGNATURE_FIELDS: &[Field] = &[authority::SIGNATURE_BITS, authority::USE_PSS];
const SIGN_INTERMEDIATE_FIELDS: &[&[Field]] =
    &[intermediate::SIGN_FIELDS, SUBJECT_FIELDS, NAME_FIELDS, AUTHORITY_FIELDS, FORM_FIELDS];

/// A request for the certificate of an authority.
const fn request(pattern: &'static str) -> Path {
    Path {
        pattern,
        fields: GENERATE_FIELDS,
        operations: &[(Operation::Update, intermediate::generate)],
        help: "Make a request for the certificate of an authority.",
        ..Path::DEFAULT
    }
}

/// Signing such a request.
const fn sign_intermediate(pattern: &'static str) -> Path {
    Path {
        pattern,
        fields: SIGN_INTERMEDIATE_FIELDS,
        operations: &[(Operation::Update, intermediate::sign)],
        help: "Sign the request of an authority.",
        ..Path::DEFAULT
    }
}

const INTERMEDIATES: &[Path] = &[
    request("intermediate/generate/{exported}"),
    request("issuers/generate/intermediate/{exported}"),
    request("intermediate/cross-sign"),
    sign_intermediate("root/sign-intermediate"),
    sign_intermediate("issuer/{issuer_ref}/sign-intermediate"),
    Path {
        pattern: "intermediate/set-signed",
        fields: &[import::SIGNED_FIELDS],
        operations: &[(Operation::Update, import::set_signed)],
        help: "Bring in the certificate that was issued for a request of this mount.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "root/sign-self-issued",
        fields: &[intermediate::SELF_ISSUED_FIELDS],
        operations: &[(Operation::Update, intermediate::sign_self_issued)],
        access: Access::Sudo,
        help: "Sign the certificate of a root, so that it is below this one too.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuer/{issuer_ref}/sign-self-issued",
        fields: &[intermediate::SELF_ISSUED_FIELDS, issuers::READ_FIELDS],
        operations: &[(Operation::Update, intermediate::sign_self_issued)],
        access: Access::Sudo,
        help: "Sign the certificate of a root, so that it is below this issuer too.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuers/import/bundle",
        fields: &[import::BUNDLE_FIELDS],
        operations: &[(Operation::Update, import::import_bundle)],
        help: "Bring in certificates and keys of authorities.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuers/import/cert",
        fields: &[import::BUNDLE_FIELDS],
        operations: &[(Operation::Update, import::import_certificates)],
        help: "Bring in certificates of authorities.",
        ..Path::DEFAULT
    },
];

const ROLES: &[Path] = &[
    Path {
        pattern: "roles/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, named::list::<PkiRoleRecord>)],
        help: "List the roles.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "roles/{name}",
        fields: &[role::FIELDS],
        operations: &[
            (Operation::Read, named::read::<PkiRoleRecord>),
            (Operation::Update, role::write),
            (Operation::Patch, role::write),
            (Operation::Delete, named::delete::<PkiRoleRecord>),
        ],
        exists: Some(named::exists::<PkiRoleRecord>),
        help: "Read, write, change and delete a role: what may be issued, and how it looks.",
        ..Path::DEFAULT
    },
];

/// A key and its certificate, by a role.
const fn issue_path(pattern: &'static str) -> Path {
    Path {
        pattern,
        fields: &[issue::ISSUE_FIELDS, FORM_FIELDS],
        operations: &[(Operation::Update, issue::issue)],
        help: "Make a key and a certificate for it.",
        ..Path::DEFAULT
    }
}

/// A certificate for a request, by a role.
const fn sign_path(pattern: &'static str) -> Path {
    Path {
        pattern,
        fields: &[issue::ISSUE_FIELDS, issue::SIGN_FIELDS, FORM_FIELDS],
        operations: &[(Operation::Update, issue::sign)],
        help: "Make a certificate for a request.",
        ..Path::DEFAULT
    }
}

/// A certificate for a request, with all names that it asks for.
const fn verbatim_path(pattern: &'static str) -> Path {
    Path {
        pattern,
        fields: &[issue::VERBATIM_FIELDS, FORM_FIELDS],
        operations: &[(Operation::Update, issue::sign_verbatim)],
        help: "Make a certificate for a request, with whatever names it asks for.",
        ..Path::DEFAULT
    }
}

const ISSUING: &[Path] = &[
    issue_path("issue/{role}"),
    issue_path("issuer/{issuer_ref}/issue/{role}"),
    sign_path("sign/{role}"),
    sign_path("issuer/{issuer_ref}/sign/{role}"),
    verbatim_path("sign-verbatim"),
    verbatim_path("sign-verbatim/{role}"),
    verbatim_path("issuer/{issuer_ref}/sign-verbatim"),
    verbatim_path("issuer/{issuer_ref}/sign-verbatim/{role}"),
];

const REVOKING: &[Path] = &[
    Path {
        pattern: "revoke",
        fields: &[revoke::FIELDS],
        operations: &[(Operation::Update, revoke::revoke)],
        help: "Revoke a certificate.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "revoke-with-key",
        fields: &[revoke::KEY_FIELDS],
        operations: &[(Operation::Update, revoke::revoke_with_key)],
        help: "Revoke a certificate whose key is shown.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuer/{issuer_ref}/revoke",
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Update, revoke::revoke_issuer)],
        help: "Revoke an issuer.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tidy",
        fields: &[tidy::FIELDS],
        operations: &[(Operation::Update, tidy::tidy)],
        help: "Delete certificates that are over, in the background.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tidy-status",
        operations: &[(Operation::Read, tidy::status)],
        help: "How far tidying is.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "tidy-cancel",
        operations: &[(Operation::Update, tidy::cancel)],
        help: "End tidying.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "ocsp",
        fields: &[ocsp::FIELDS],
        operations: &[(Operation::Update, ocsp::answer)],
        effect: Effect::Reads,
        help: "Say whether certificates are revoked, by OCSP. The reply is DER.",
        ..OPEN
    },
    Path {
        pattern: "ocsp/{request..}",
        fields: &[ocsp::FIELDS],
        operations: &[(Operation::Read, ocsp::answer)],
        read_type: ocsp::MEDIA_TYPE,
        help: "Say whether certificates are revoked, by OCSP.",
        ..OPEN
    },
];

const ISSUERS: &[Path] = &[
    Path {
        pattern: "issuers/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, issuers::list)],
        help: "List the issuers.",
        ..OPEN
    },
    Path {
        pattern: "issuer/{issuer_ref}",
        fields: &[issuers::WRITE_FIELDS, config::ISSUER_URLS_FIELDS],
        operations: &[
            (Operation::Read, issuers::read),
            (Operation::Update, issuers::write),
            (Operation::Patch, issuers::write),
            (Operation::Delete, issuers::delete),
        ],
        help: "Read, change and delete an issuer.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuer/{issuer_ref}/json",
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Read, issuers::read_json)],
        help: "An issuer's certificate and chain.",
        ..OPEN
    },
    Path {
        pattern: "issuer/{issuer_ref}/pem",
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Read, issuers::read_pem)],
        read_type: PEM,
        help: "An issuer's certificate in PEM.",
        ..OPEN
    },
    Path {
        pattern: "issuer/{issuer_ref}/der",
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Read, issuers::read_der)],
        read_type: DER,
        help: "An issuer's certificate in DER.",
        ..OPEN
    },
    Path {
        pattern: "issuer/{issuer_ref}/resign-crls",
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Update, crl::resign)],
        help: "Make a new list of the issuer's revoked certificates.",
        ..Path::DEFAULT
    },
];

const KEYS: &[Path] = &[
    Path {
        pattern: "keys/import",
        fields: &[import::KEY_FIELDS],
        operations: &[(Operation::Update, import::import_key)],
        help: "Bring in a key.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, key::list)],
        help: "List the keys.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "keys/generate/{exported}",
        fields: &[key::GENERATE_FIELDS],
        operations: &[(Operation::Update, key::generate)],
        help: "Make a key without an issuer.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "key/{key_ref}",
        fields: &[key::WRITE_FIELDS],
        operations: &[(Operation::Read, key::read), (Operation::Update, key::write), (Operation::Delete, key::delete)],
        help: "Read, name and delete a key.",
        ..Path::DEFAULT
    },
];

/// A list of an issuer, in one form.
const fn list_of_issuer(pattern: &'static str, is_pem: bool) -> Path {
    Path {
        pattern,
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Read, crl::read_raw)],
        read_type: if is_pem { LIST_PEM } else { LIST_DER },
        help: "The list of an issuer's revoked certificates, or the delta.",
        ..OPEN
    }
}

/// A list of the default issuer, in one form.
const fn list_of_default(pattern: &'static str, is_pem: bool) -> Path {
    Path {
        fields: &[],
        help: "The list of revoked certificates of the default issuer, or the delta.",
        ..list_of_issuer(pattern, is_pem)
    }
}

const LISTS: &[Path] = &[
    list_of_default("crl", false),
    list_of_default("crl/pem", true),
    list_of_default("crl/delta", false),
    list_of_default("crl/delta/pem", true),
    Path {
        pattern: "crl/rotate",
        operations: &[(Operation::Read, crl::rotate), (Operation::Update, crl::rotate)],
        effect: Effect::Writes,
        help: "Make new lists.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "crl/rotate-delta",
        operations: &[(Operation::Read, crl::rotate_delta), (Operation::Update, crl::rotate_delta)],
        effect: Effect::Writes,
        help: "Make new deltas.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "issuer/{issuer_ref}/crl",
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Read, crl::read_json)],
        help: "The list of an issuer's revoked certificates.",
        ..OPEN
    },
    Path {
        pattern: "issuer/{issuer_ref}/crl/delta",
        fields: &[issuers::READ_FIELDS],
        operations: &[(Operation::Read, crl::read_json)],
        help: "The delta of an issuer.",
        ..OPEN
    },
    list_of_issuer("issuer/{issuer_ref}/crl/pem", true),
    list_of_issuer("issuer/{issuer_ref}/crl/der", false),
    list_of_issuer("issuer/{issuer_ref}/crl/delta/pem", true),
    list_of_issuer("issuer/{issuer_ref}/crl/delta/der", false),
];

const CERTIFICATES: &[Path] = &[
    Path {
        pattern: "ca",
        operations: &[(Operation::Read, fetch::ca_der)],
        read_type: DER,
        help: "The default issuer's certificate in DER.",
        ..OPEN
    },
    Path {
        pattern: "ca/pem",
        operations: &[(Operation::Read, fetch::ca_pem)],
        read_type: PEM,
        help: "The default issuer's certificate in PEM.",
        ..OPEN
    },
    Path {
        pattern: "ca_chain",
        operations: &[(Operation::Read, fetch::ca_chain)],
        read_type: DER,
        help: "The default issuer and those above it, in PEM.",
        ..OPEN
    },
    Path {
        pattern: "cert/ca",
        operations: &[(Operation::Read, fetch::cert_ca)],
        help: "The default issuer's certificate.",
        ..OPEN
    },
    Path {
        pattern: "cert/ca_chain",
        operations: &[(Operation::Read, fetch::cert_ca_chain)],
        help: "The default issuer and those above it.",
        ..OPEN
    },
    Path {
        pattern: "cert/crl",
        operations: &[(Operation::Read, crl::read_certificate)],
        help: "The list of revoked certificates of the default issuer.",
        ..OPEN
    },
    Path {
        pattern: "cert/delta-crl",
        operations: &[(Operation::Read, crl::read_certificate)],
        help: "The delta of the default issuer.",
        ..OPEN
    },
    Path {
        pattern: "cert/{serial..}/raw/pem",
        fields: &[&[fetch::SERIAL]],
        operations: &[(Operation::Read, fetch::cert_pem)],
        read_type: PEM,
        help: "A certificate in PEM.",
        ..OPEN
    },
    Path {
        pattern: "cert/{serial..}/raw",
        fields: &[&[fetch::SERIAL]],
        operations: &[(Operation::Read, fetch::cert_der)],
        read_type: DER,
        help: "A certificate in DER.",
        ..OPEN
    },
    Path {
        pattern: "cert/{serial..}",
        fields: &[&[fetch::SERIAL]],
        operations: &[(Operation::Read, fetch::cert)],
        help: "A certificate, and whether it is revoked.",
        ..OPEN
    },
    Path {
        pattern: "certs/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, fetch::list)],
        help: "List the serial numbers of certificates.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "certs/revoked/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, fetch::list_revoked)],
        help: "List the serial numbers of revoked certificates.",
        ..Path::DEFAULT
    },
    Path {
        pattern: "certs/detailed/?",
        fields: &[listing::FIELDS],
        operations: &[(Operation::List, fetch::list_detailed)],
        help: "List certificates with their names and times.",
        ..Path::DEFAULT
    },
];
