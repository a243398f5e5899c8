//! Authorities below others, and what is brought in.

use serde_json::{Value, json};

use super::judge::Judge;
use super::{done, mounted, refused, text};
use crate::testing::Harness;

/// A root at `pki/`, and an authority below it at `pki-int/`: the harness, the root and the authority.
fn with_intermediate(root: Value) -> (Harness, Value, Value) {
    let mut harness = mounted();
    let mut body = json!({ "common_name": "Root", "key_type": "ec", "ttl": "87000h" });
    body.as_object_mut().unwrap().extend(root.as_object().cloned().unwrap_or_default());
    let root = done(&mut harness, "POST", "pki/root/generate/internal", body);
    assert_eq!(harness.request("POST", "sys/mounts/pki-int", json!({ "type": "pki" })).0, 204);
    let body = json!({ "common_name": "Int", "key_type": "ed25519", "add_basic_constraints": true });
    let request = done(&mut harness, "POST", "pki-int/intermediate/generate/internal", body);
    let body = json!({ "csr": request["csr"], "common_name": "Int", "ttl": "1000h", "format": "pem_bundle" });
    let signed = done(&mut harness, "POST", "pki/root/sign-intermediate", body);
    done(&mut harness, "POST", "pki-int/intermediate/set-signed", json!({ "certificate": signed["certificate"] }));
    (harness, root, signed)
}

#[test]
fn a_leaf_below_two_authorities_stands_up_to_openssl() {
    let (mut harness, root, signed) = with_intermediate(json!({}));
    done(&mut harness, "POST", "pki-int/roles/r", json!({ "allow_any_name": true, "key_type": "rsa" }));
    let leaf = done(&mut harness, "POST", "pki-int/issue/r", json!({ "common_name": "leaf", "ttl": "1h" }));
    assert_eq!(leaf["ca_chain"].as_array().map(Vec::len), Some(2), "{leaf}");
    let judge = Judge::new("chain");
    let (own, above) =
        (judge.file("leaf.pem", text(&leaf, "certificate")), judge.file("root.pem", text(&root, "certificate")));
    let between = judge.file("between.pem", text(&signed, "certificate"));
    let (went_well, said) = judge.verify(&harness, &own, &above, Some(&between));
    assert!(went_well, "{said}");
    judge.file(
        "request.pem",
        text(&done(&mut harness, "POST", "pki-int/intermediate/cross-sign", json!({ "common_name": "Int" })), "csr"),
    );
    let (went_well, said) = judge.openssl(&["req", "-in", "request.pem", "-noout", "-verify"]);
    assert!(went_well, "{said}");
}

// check 119
#[test]
fn no_more_authorities_come_below_one_than_it_says() {
    let (mut harness, _, signed) = with_intermediate(json!({ "max_path_length": 1 }));
    let judge = Judge::new("length");
    judge.file("between.pem", text(&signed, "certificate"));
    let (_, shown) = judge.openssl(&["x509", "-in", "between.pem", "-noout", "-text"]);
    assert!(shown.contains("CA:TRUE, pathlen:0"), "{shown}");
    let request = done(&mut harness, "POST", "pki-int/intermediate/generate/existing", json!({ "common_name": "Low" }));
    let body = json!({ "csr": request["csr"], "common_name": "Low", "ttl": "1h" });
    refused(&mut harness, "pki-int/root/sign-intermediate", body.clone());
    let mut long = body;
    long["max_path_length"] = json!(1);
    refused(&mut harness, "pki/root/sign-intermediate", long);
}

#[test]
fn a_revoked_authority_is_on_the_list_of_the_one_above() {
    let (mut harness, _, _) = with_intermediate(json!({}));
    done(&mut harness, "POST", "pki-int/issuer/default/revoke", json!({}));
    let issued = done(&mut harness, "LIST", "pki/certs", Value::Null);
    assert_eq!(issued["keys"].as_array().map(Vec::len), Some(2));
    let serial = issued["keys"].as_array().unwrap().iter().filter_map(Value::as_str).map(str::to_owned);
    let roots = done(&mut harness, "LIST", "pki/issuers", Value::Null)["key_info"].to_string();
    let below = serial.into_iter().find(|serial| !roots.contains(serial)).unwrap();
    done(&mut harness, "POST", "pki/revoke", json!({ "serial_number": below }));
    assert_eq!(done(&mut harness, "LIST", "pki/certs/revoked", Value::Null)["keys"], json!([below]));
}

// check 124
#[test]
fn what_is_brought_in_fits_together_and_its_key_is_not_shown() {
    let mut harness = mounted();
    let made = |harness: &mut Harness, kind: &str| {
        done(harness, "POST", "pki/root/generate/exported", json!({ "common_name": "Given", "key_type": kind }))
    };
    for kind in ["ec", "rsa", "ed25519"] {
        let (root, other) = (made(&mut harness, kind), made(&mut harness, "ec"));
        assert_eq!(harness.request("POST", "sys/mounts/in", json!({ "type": "pki" })).0, 204);
        let bundle = |key: &Value| json!({ "pem_bundle": format!("{}\n{}\n", text(key, "private_key"), text(&root, "certificate")) });
        refused(&mut harness, "in/issuers/import/bundle", bundle(&other));
        refused(&mut harness, "in/issuers/import/cert", bundle(&root));
        let imported = done(&mut harness, "POST", "in/config/ca", bundle(&root));
        assert_eq!(imported["imported_issuers"].as_array().map(Vec::len), Some(1), "{imported}");
        assert!(!imported.to_string().contains("PRIVATE"));
        let again = done(&mut harness, "POST", "in/config/ca", bundle(&root));
        assert_eq!(again["existing_issuers"], imported["imported_issuers"]);
        assert_eq!((&again["imported_keys"], &again["existing_keys"]), (&Value::Null, &imported["imported_keys"]));
        done(&mut harness, "POST", "in/roles/r", json!({ "allow_any_name": true, "key_type": "ec" }));
        done(&mut harness, "POST", "in/issue/r", json!({ "common_name": "leaf", "ttl": "1h" }));
        assert_eq!(harness.request("DELETE", "sys/mounts/in", Value::Null).0, 204);
    }
    refused(&mut harness, "pki/issuers/import/bundle", json!({ "pem_bundle": "nope" }));
    let leafless = json!({ "pem_bundle": "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".repeat(2) });
    refused(&mut harness, "pki/issuers/import/bundle", leafless);
}
