//! Directories on this machine: OpenLDAP's server with a folder of its own, and servers that a test plays.
//!
//! Without `slapd` what needs it says so and is left out; the continuous integration installs it.

/// Something with some of its fields changed. What wipes itself cannot be taken apart by struct update.
macro_rules! changed {
    ($from:expr; $($field:ident: $value:expr),+) => {{
        let mut changed = $from;
        $(changed.$field = $value;)+
        changed
    }};
}

mod played;
mod slapd;

use conclave_vault::Operation;
use prost::Message;
use serde_json::json;

use super::*;
use crate::app::App;
use crate::config::Config;
use crate::outside::directory::tests::slapd::Slapd;
use crate::outside::tests::ask as ask_app;

fn servers(url: &str) -> DirectoryServers {
    changed!(
        DirectoryServers::default();
        urls: vec![url.to_owned()],
        min_tls: 12,
        max_tls: 13,
        connect_secs: 60,
        request_secs: 60
    )
}

/// What a mount with a service account asks about a user.
fn question(url: &str, name: &str, password: &str) -> DirectoryQuestion {
    changed!(
        DirectoryQuestion::default();
        servers: servers(url),
        service_dn: "cn=svc,dc=x".into(),
        service_password: "of-svc".into(),
        password: Some(password.to_owned()),
        user_base: "ou=people,dc=x".into(),
        user_filter: format!("(uid={name})"),
        user_attribute: "uid".into(),
        needs_entry: true,
        group_base: "ou=groups,dc=x".into(),
        group_filter: format!("(|(memberUid={name})(member={{{{.UserDN}}}})(uniqueMember={{{{.UserDN}}}}))"),
        group_attribute: "cn".into()
    )
}

async fn ask(question: &DirectoryQuestion) -> Result<DirectoryAnswer, String> {
    let directories = Directories::new(Outbound::default(), &Limits::default());
    let answer = directories.reach("", &question.encode_to_vec()).await?;
    Ok(DirectoryAnswer::decode(answer.as_slice()).unwrap())
}

async fn verdict(question: &DirectoryQuestion) -> (DirectoryVerdict, String) {
    let answer = ask(question).await.unwrap();
    (answer.verdict(), answer.reason)
}

fn sorted(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[tokio::test]
async fn a_user_is_found_and_the_password_tried_and_the_groups_are_theirs() {
    let Some(slapd) = Slapd::start() else { return };
    let answer = ask(&question(&slapd.url, "ann", "of-ann")).await.unwrap();
    assert_eq!((answer.verdict(), answer.reason.as_str()), (DirectoryVerdict::Known, ""));
    assert_eq!(
        (answer.user_dn.as_str(), answer.user_values.as_slice()),
        ("uid=ann,ou=people,dc=x", &["ann".to_owned()][..])
    );
    assert_eq!(sorted(answer.groups), ["dev", "posix", "unique"]);
    // The directory takes a name in any case, and says how it is spelled.
    assert_eq!(ask(&question(&slapd.url, "ANN", "of-ann")).await.unwrap().user_values, ["ann"]);
    for (name, password, expected) in [
        ("ann", "of-bob", DirectoryVerdict::Refused),
        ("ann", "", DirectoryVerdict::Refused),
        ("nobody", "of-ann", DirectoryVerdict::Unknown),
        // More than one.
        ("*", "of-ann", DirectoryVerdict::Unknown),
        // Escaped it is a name that nobody has.
        ("\\2a", "of-ann", DirectoryVerdict::Unknown),
        ("new", "of-new", DirectoryVerdict::MustChange),
        ("new", "of-ann", DirectoryVerdict::Refused),
    ] {
        assert_eq!(verdict(&question(&slapd.url, name, password)).await.0, expected, "{name} {password}");
    }
    let looked_up = changed!(question(&slapd.url, "ann", ""); password: None);
    assert_eq!(verdict(&looked_up).await.0, DirectoryVerdict::Known);
}

#[tokio::test]
async fn without_a_service_account_users_bind_by_their_names_and_search_for_themselves() {
    let Some(slapd) = Slapd::start() else { return };
    let own = |name: &str, password: &str| {
        changed!(
            question(&slapd.url, name, password);
            service_dn: String::new(),
            service_password: String::new(),
            bind_name: format!("uid={name},ou=people,dc=x")
        )
    };
    let answer = ask(&own("ann", "of-ann")).await.unwrap();
    assert_eq!((answer.verdict(), sorted(answer.groups).len()), (DirectoryVerdict::Known, 3));
    for (name, password) in [("ann", "of-bob"), ("nobody", "of-ann"), ("a,,b", "x")] {
        assert_eq!(verdict(&own(name, password)).await.0, DirectoryVerdict::Refused, "{name}");
    }
    // Nobody may search here, and a wrong password of the service account is no wrong password of the user.
    let discovered = changed!(own("ann", "of-ann"); bind_name: String::new());
    assert_eq!(verdict(&discovered).await.0, DirectoryVerdict::Misconfigured);
    let wrong = changed!(question(&slapd.url, "ann", "of-ann"); service_password: "wrong".into());
    let (verdict, reason) = verdict(&wrong).await;
    assert_eq!(verdict, DirectoryVerdict::Misconfigured);
    assert!(reason.contains("service account") && reason.contains("49") && !reason.contains("wrong"), "{reason}");
}

#[tokio::test]
async fn groups_come_in_pages_are_never_cut_and_may_be_nested_or_searched_by_nobody() {
    let Some(slapd) = Slapd::start() else { return };
    let all = |page_entries| {
        changed!(
            question(&slapd.url, "ann", "of-ann");
            group_filter: "(objectClass=groupOfNames)".into(),
            page_entries: page_entries
        )
    };
    let whole = sorted(ask(&all(0)).await.unwrap().groups);
    assert!(whole.len() > 5, "{whole:?}");
    for page_entries in [1, 2, 100] {
        assert_eq!(sorted(ask(&all(page_entries)).await.unwrap().groups), whole);
        let few = changed!(
            all(page_entries);
            service_dn: "cn=few,dc=x".into(),
            service_password: "of-few".into()
        );
        let (verdict, reason) = verdict(&few).await;
        assert_eq!(verdict, DirectoryVerdict::Misconfigured, "{page_entries}");
        assert!(reason.contains("size limit"), "{reason}");
    }
    let nested = changed!(
        question(&slapd.url, "ann", "of-ann");
        group_base: "ou=people,dc=x".into(),
        group_filter: "(uid=ann)".into(),
        group_attribute: "memberOf".into()
    );
    let names = ask(&nested).await.unwrap().groups;
    for expected in ["cn=all,ou=groups,dc=x", "cn=dev,ou=groups,dc=x"] {
        assert!(names.iter().any(|name| name == expected), "{names:?}");
    }
    let open = |searches_groups_as_nobody| {
        changed!(
            question(&slapd.url, "ann", "of-ann");
            group_base: "ou=open,dc=x".into(),
            searches_groups_as_nobody: searches_groups_as_nobody
        )
    };
    assert_eq!(ask(&open(true)).await.unwrap().groups, ["public"]);
    assert_eq!(verdict(&open(false)).await.0, DirectoryVerdict::Misconfigured);
}

#[tokio::test]
async fn a_group_without_the_attribute_goes_by_its_name_and_none_are_wanted_without_a_base() {
    let Some(slapd) = Slapd::start() else { return };
    let by_name = changed!(question(&slapd.url, "ann", "of-ann"); group_attribute: "mail".into());
    assert!(ask(&by_name).await.unwrap().groups.contains(&"cn=dev,ou=groups,dc=x".to_owned()));
    let without = changed!(question(&slapd.url, "ann", "of-ann"); group_base: String::new());
    assert!(ask(&without).await.unwrap().groups.is_empty());
    for (group_base, group_filter, word) in
        [("ou=groups,dc=x", "((a=b)(c=d))", "groupfilter is no filter"), ("ou=gone,dc=x", "(cn=a)", "below groupdn")]
    {
        let wrong = changed!(
            question(&slapd.url, "ann", "of-ann");
            group_base: group_base.into(),
            group_filter: group_filter.into()
        );
        let (verdict, reason) = verdict(&wrong).await;
        assert!(verdict == DirectoryVerdict::Misconfigured && reason.contains(word), "{reason}");
    }
}

#[tokio::test]
async fn a_server_is_believed_by_its_authority_with_tls_and_with_start_tls() {
    let Some(slapd) = Slapd::start() else { return };
    let encrypted = |url: &str, starts_tls, change: &dyn Fn(&mut DirectoryServers)| {
        let mut question = question(&url.replace("127.0.0.1", "localhost"), "ann", "of-ann");
        question.servers.starts_tls = starts_tls;
        question.servers.ca_pem.clone_from(&slapd.ca_pem);
        change(&mut question.servers);
        question
    };
    for (url, starts_tls) in [(&slapd.tls_url, false), (&slapd.url, true)] {
        for (least, most) in [(12, 12), (12, 13), (13, 13)] {
            let versions = |servers: &mut DirectoryServers| (servers.min_tls, servers.max_tls) = (least, most);
            let answer = verdict(&encrypted(url, starts_tls, &versions)).await;
            assert_eq!(answer.0, DirectoryVerdict::Known, "{url} {least} {most}");
        }
        let error = ask(&encrypted(url, starts_tls, &|servers| servers.ca_pem.clear())).await.unwrap_err();
        assert!(error.contains("certificate is not trusted"), "{error}");
        let elsewhere = |servers: &mut DirectoryServers| servers.urls[0] = url.clone();
        let error = ask(&encrypted(url, starts_tls, &elsewhere)).await.unwrap_err();
        assert!(error.contains("certificate is not trusted"), "the certificate is for another name: {error}");
        let anybody = |servers: &mut DirectoryServers| {
            servers.ca_pem.clear();
            servers.is_insecure = true;
        };
        assert_eq!(verdict(&encrypted(url, starts_tls, &anybody)).await.0, DirectoryVerdict::Known);
        let old = |servers: &mut DirectoryServers| (servers.min_tls, servers.max_tls) = (10, 11);
        let (verdict, reason) = verdict(&encrypted(url, starts_tls, &old)).await;
        assert!(verdict == DirectoryVerdict::Misconfigured && reason.contains("tls_max_version"), "{reason}");
    }
}

#[tokio::test]
async fn the_first_server_that_can_be_reached_is_asked() {
    let Some(slapd) = Slapd::start() else { return };
    let mut asked = question("ldap://127.0.0.1:1", "ann", "of-ann");
    assert!(ask(&asked).await.unwrap_err().contains("cannot be reached"));
    asked.servers.urls.push(slapd.url.clone());
    assert_eq!(verdict(&asked).await.0, DirectoryVerdict::Known);
    asked.servers.urls = vec!["ftp://127.0.0.1".into(), slapd.url.clone()];
    let (verdict, reason) = verdict(&asked).await;
    assert!(verdict == DirectoryVerdict::Misconfigured && reason.contains("ldaps://directory.example"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_goes_all_the_way_and_is_renewed_as_long_as_the_directory_knows_the_user() {
    let Some(slapd) = Slapd::start() else { return };
    let (app, _) = App::start_dev(Config::memory("127.0.0.1:0"), Some("root-of-test")).await.unwrap();
    let config = json!({
        "url": slapd.url, "binddn": "cn=svc,dc=x", "bindpass": "of-svc", "userdn": "ou=people,dc=x", "userattr": "uid",
        "groupdn": "ou=groups,dc=x",
    });
    for (path, body) in [
        ("sys/auth/ldap", json!({ "type": "ldap" })),
        ("auth/ldap/config", config),
        ("auth/ldap/groups/Dev", json!({ "policies": "d" })),
    ] {
        assert_eq!(ask_app(&app, Operation::Update, path, &body).await.0, 204, "{path}");
    }
    let log_in = async |name: &str, password: &str| {
        let path = format!("auth/ldap/login/{name}");
        ask_app(&app, Operation::Update, &path, &json!({ "password": password })).await
    };
    let (status, body) = log_in("ann", "of-ann").await;
    assert_eq!((status, &body["auth"]["policies"]), (200, &json!(["d", "default"])), "{body}");
    for (name, password) in [("ann", "guess"), ("nobody", "of-ann"), ("*", "of-ann"), ("ann)(uid=*", "of-ann")] {
        let (status, body) = log_in(name, password).await;
        assert_eq!(
            (status, &body["errors"]),
            (400, &json!(["ldap operation failed: failed to bind as user"])),
            "{name}"
        );
    }
    let renewal = json!({ "token": body["auth"]["client_token"] });
    let (status, renewed) = ask_app(&app, Operation::Update, "auth/token/renew", &renewal).await;
    assert_eq!(status, 200, "{renewed}");
    drop(slapd);
    let (status, body) = log_in("ann", "of-ann").await;
    assert!(status == 503 && body.to_string().contains("cannot be reached"), "{body}");
}
