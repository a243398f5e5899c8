//! Scenarios as text: each file under `cases/` holds cases, and adding one needs no code.
//!
//! A case is `== its name`, then `-- policy` sections, perhaps a `-- values` section (JSON, what templates may refer
//! to), and `-- requests`: lines `operation path [sudo] [wrap=SECONDS] [JSON fields] => allow | deny`. Besides
//! operations there are `capabilities path => words` and `mount path => yes | no`.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::policy::acl::{Acl, AclRequest};
use crate::policy::parse::parse;
use crate::policy::template::{AliasValues, EntityValues, GroupValues, TemplateValues};
use crate::request::Operation;
use crate::time::Time;

/// When all cases take place: 2023-11-14.
const NOW: Time = Time::from_secs(1_700_000_000);

const FILES: [(&str, &str); 9] = [
    ("globs", include_str!("cases/globs.txt")),
    ("precedence", include_str!("cases/precedence.txt")),
    ("parameters", include_str!("cases/parameters.txt")),
    ("wrapping", include_str!("cases/wrapping.txt")),
    ("capabilities", include_str!("cases/capabilities.txt")),
    ("templates", include_str!("cases/templates.txt")),
    ("sudo", include_str!("cases/sudo.txt")),
    ("case", include_str!("cases/case.txt")),
    ("lists", include_str!("cases/lists.txt")),
];

#[test]
fn every_case_answers_as_written() {
    let mut failures = Vec::new();
    for (file, text) in FILES {
        for case in text.split("\n== ").skip(1) {
            let (name, sections) = case.split_once('\n').expect("a case has a name and sections");
            failures.extend(run(sections).into_iter().map(|failure| format!("{file}: {name}: {failure}")));
        }
    }
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
}

#[test]
fn the_examples_of_the_reference_page_parse() {
    let page = include_str!("../../../docs/reference/policies.md");
    let examples: Vec<_> = page.split("```hcl\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        assert!(parse(example).is_ok_and(|policy| !policy.rules.is_empty()), "{example}");
    }
}

fn run(sections: &str) -> Vec<String> {
    let (mut policies, mut values, mut requests) = (Vec::new(), TemplateValues::default(), "");
    for section in sections.split("-- ").skip(1) {
        match section.split_once('\n').expect("a section has a line for its kind") {
            ("policy", text) => policies.push(parse(text).expect("the policy of a case parses")),
            ("values", text) => values = read_values(&serde_json::from_str(text).expect("values are JSON")),
            ("requests", text) => requests = text,
            (other, _) => panic!("unknown section {other}"),
        }
    }
    let acl = Acl::new(policies.iter(), &values, NOW);
    let lines = requests.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    let failures: Vec<_> = lines.filter_map(|line| check(&acl, line)).collect();
    assert!(requests.contains("=>"), "a case without requests shows nothing");
    failures
}

/// Runs one line; `None` if it answers as it says.
fn check(acl: &Acl, line: &str) -> Option<String> {
    let (request, expected) = line.rsplit_once("=>").expect("a line has => and an answer");
    let (words, data) = match request.split_once('{') {
        Some((words, data)) => (words, Some(serde_json::from_str(&format!("{{{data}")).expect("fields are JSON"))),
        None => (request, None),
    };
    let mut words = words.split_whitespace();
    let (verb, path) = (words.next().expect("a verb"), words.next().expect("a path"));
    let actual = match verb {
        "capabilities" => acl.capabilities(path).join(","),
        "mount" => if acl.has_mount_access(path) { "yes" } else { "no" }.to_owned(),
        _ => decide(acl, verb, path, words, data),
    };
    (actual != expected.trim()).then(|| format!("{} answered {actual}", line.trim()))
}

fn decide<'w>(
    acl: &Acl,
    verb: &str,
    path: &str,
    options: impl Iterator<Item = &'w str>,
    data: Option<Map<String, Value>>,
) -> String {
    let operation = operation(verb);
    let mut request =
        AclRequest { path, operation, data: data.as_ref(), fields: &[], wrap_ttl: None, is_sudo_path: false };
    for option in options {
        match option.strip_prefix("wrap=") {
            Some(secs) => request.wrap_ttl = Some(Duration::from_secs(secs.parse().expect("seconds"))),
            None if option == "sudo" => request.is_sudo_path = true,
            None => panic!("unknown option {option}"),
        }
    }
    if acl.check(&request).allowed { "allow" } else { "deny" }.to_owned()
}

fn operation(verb: &str) -> Operation {
    use Operation::{Create, Delete, Header, Help, List, Patch, Read, Scan, Update};
    let all = [Create, Read, Update, Patch, Delete, List, Scan, Header, Help];
    all.into_iter().find(|operation| operation.as_str() == verb).expect("an operation")
}

fn read_values(json: &Value) -> TemplateValues {
    let entity = json.get("entity").map(|entity| EntityValues {
        id: text(&entity["id"]),
        name: text(&entity["name"]),
        metadata: texts(&entity["metadata"]),
        aliases: objects(&entity["aliases"]).map(|(accessor, alias)| (accessor.clone(), read_alias(alias))).collect(),
    });
    let group = |group: &Value| GroupValues {
        id: text(&group["id"]),
        name: text(&group["name"]),
        metadata: texts(&group["metadata"]),
    };
    TemplateValues { entity, groups: json["groups"].as_array().into_iter().flatten().map(group).collect() }
}

fn read_alias(alias: &Value) -> AliasValues {
    AliasValues {
        id: text(&alias["id"]),
        name: text(&alias["name"]),
        metadata: texts(&alias["metadata"]),
        custom_metadata: texts(&alias["custom_metadata"]),
    }
}

fn objects(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn texts(value: &Value) -> BTreeMap<String, String> {
    objects(value).map(|(key, value)| (key.clone(), text(value))).collect()
}
