use proptest::prelude::*;

use super::*;
use crate::policy::acl::export::AclExport;
use crate::policy::builtin;
use crate::policy::parse::parse;

const NOW: Time = Time::from_secs(1_700_000_000);

fn acl(policies: &[Policy]) -> Acl {
    Acl::new(policies.iter(), &TemplateValues::default(), NOW)
}

fn request(path: &str, operation: Operation) -> AclRequest<'_> {
    AclRequest { path, operation, data: None, fields: &[], wrap_ttl: None, is_sudo_path: false }
}

fn policy(name: &str, text: &str) -> Policy {
    parse(text).unwrap().named(name)
}

#[test]
fn root_may_do_everything_and_says_so() {
    let acl = acl(&[builtin::root()]);
    let decision = acl.check(&AclRequest { is_sudo_path: true, ..request("sys/seal", Operation::Update) });
    assert!(decision.allowed && decision.is_root && decision.has_sudo);
    assert_eq!(decision.granting_policies().collect::<Vec<_>>(), ["root"]);
    assert_eq!(acl.capabilities("a"), ["root"]);
    assert_eq!(acl.export(), AclExport { root: true, ..AclExport::default() });
}

#[test]
fn no_policy_allows_nothing() {
    let acl = acl(&[]);
    assert_eq!(acl.check(&request("a", Operation::Read)).refusal, Some(Refusal::NoRule));
    assert_eq!(acl.capabilities("a"), ["deny"]);
    assert!(!acl.has_mount_access("a/"));
}

#[test]
fn a_decision_names_the_policies_that_granted_it() {
    let policies = [
        policy("one", "path \"a\" { capabilities = [\"read\"] }"),
        policy("two", "path \"a\" { capabilities = [\"update\", \"sudo\"] pagination_limit = 10 }"),
        policy("three", "path \"a\" { capabilities = [\"read\"] pagination_limit = 5 }"),
    ];
    let acl = acl(&policies);
    let names = |operation| acl.check(&request("a", operation)).granting_policies().collect::<Vec<_>>();
    assert_eq!(names(Operation::Read), ["one", "three"]);
    assert_eq!(names(Operation::Update), ["two"]);
    assert_eq!(names(Operation::Delete), Vec::<&str>::new());
    let decision = acl.check(&request("a", Operation::Read));
    assert_eq!((decision.has_sudo, decision.pagination_limit), (true, Some(5)));
}

#[test]
fn a_refusal_says_why() {
    let text = "path \"a\" { capabilities = [\"read\"] required_parameters = [\"x\"] }
        path \"d\" { capabilities = [\"deny\"] }
        path \"w\" { capabilities = [\"read\"] min_wrapping_ttl = 60 }";
    let acl = acl(&[policy("p", text)]);
    let refusal = |path, operation| acl.check(&request(path, operation)).refusal;
    assert_eq!(refusal("b", Operation::Read), Some(Refusal::NoRule));
    assert_eq!(refusal("d", Operation::Read), Some(Refusal::Denied));
    assert_eq!(refusal("a", Operation::Update), Some(Refusal::MissingCapability));
    assert_eq!(refusal("a", Operation::Read), Some(Refusal::Parameters));
    assert_eq!(refusal("w", Operation::Read), Some(Refusal::Wrapping));
    let protected = AclRequest { is_sudo_path: true, ..request("a", Operation::Read) };
    assert_eq!(acl.check(&protected).refusal, Some(Refusal::SudoRequired));
}

#[test]
fn expiry_is_known_in_advance() {
    // check 59
    let text = "path \"a\" { capabilities = [\"read\"] expiration = 1700000300 }
        path \"b\" { capabilities = [\"read\"] expiration = 1700000200 }
        path \"c\" { capabilities = [\"read\"] expiration = 1600000000 }";
    let policies = [policy("p", text)];
    let at = |now| Acl::new(policies.iter(), &TemplateValues::default(), now);
    let may_read = |acl: &Acl, path| acl.check(&request(path, Operation::Read)).allowed;
    let before = at(NOW);
    assert_eq!(before.valid_until(), Some(Time::from_secs(1_700_000_200)));
    assert!(may_read(&before, "a") && may_read(&before, "b") && !may_read(&before, "c"));
    let after = at(Time::from_secs(1_700_000_200));
    assert_eq!(after.valid_until(), Some(Time::from_secs(1_700_000_300)));
    assert!(may_read(&after, "a") && !may_read(&after, "b"));
}

#[test]
fn a_dropped_block_is_reported() {
    // check 52
    let entity = crate::policy::template::EntityValues { name: "a/*".to_owned(), ..Default::default() };
    let values = TemplateValues { entity: Some(entity), groups: Vec::new() };
    let policies =
        [policy("p", "path \"a/{{identity.entity.name}}\" { } path \"b/{{identity.entity.metadata.k}}\" { }")];
    let acl = Acl::new(policies.iter(), &values, NOW);
    let dropped = |template: &str, reason| Dropped { policy: "p".into(), template: template.to_owned(), reason };
    assert_eq!(
        acl.dropped(),
        [
            dropped("a/{{identity.entity.name}}", Unfilled::Unsafe),
            dropped("b/{{identity.entity.metadata.k}}", Unfilled::Missing)
        ]
    );
}

#[test]
fn a_filter_shows_only_what_may_be_read() {
    let text = "path \"kv/metadata/*\" { capabilities = [\"list\"]
            list_scan_response_keys_filter_path = \"kv/data/{{ .key }}\" }
        path \"kv/data/mine\" { capabilities = [\"read\"] } path \"kv/data/folder/\" { capabilities = [\"list\"] }
        path \"kv/data/write-only\" { capabilities = [\"update\"] }";
    let acl = acl(&[policy("p", text)]);
    let decision = acl.check(&request("kv/metadata/", Operation::List));
    let filter = decision.key_filter().expect("the block has a filter");
    let keys = ["mine", "theirs", "folder/", "other/", "write-only"];
    let shown: Vec<_> = keys.into_iter().filter(|key| acl.shows(filter, "kv/metadata/", key)).collect();
    assert_eq!(shown, ["mine", "folder/"]);
}

#[test]
fn the_export_merges_and_sorts() {
    let text = "path \"a\" { capabilities = [\"update\"] } path \"b/*\" { capabilities = [\"list\", \"create\"] }
        path \"+/c\" { capabilities = [\"read\"] }
        path \"d\" { capabilities = [\"deny\"] } path \"A\" { capabilities = [\"read\"] }
        path \"D\" { capabilities = [\"read\"] }";
    let acl = acl(&[policy("p", text), policy("q", "path \"a\" { capabilities = [\"read\"] }")]);
    let export = acl.export();
    let exact: Vec<_> = export.exact_paths.iter().map(|(path, words)| (*path, words.join(","))).collect();
    let expected = [("A", "read"), ("D", "deny"), ("a", "read,update"), ("d", "deny")];
    assert_eq!(exact, expected.map(|(path, words)| (path, words.to_owned())));
    assert_eq!(export.glob_paths.into_iter().collect::<Vec<_>>(), [("b/", vec!["create", "list"])]);
}

/// The rules of evaluation once more, as slow and plain as can be, sharing no code with the real ones.
mod reference {
    use std::cmp::Ordering;

    #[derive(Clone, Debug)]
    pub(super) struct Block {
        pub(super) pattern: String,
        pub(super) words: Vec<&'static str>,
    }

    impl Block {
        fn denies(&self) -> bool {
            self.words.contains(&"deny")
        }

        fn is_exact(&self) -> bool {
            !self.pattern.ends_with('*') && !self.pattern.split('/').any(|segment| segment == "+")
        }

        fn matches(&self, path: &str) -> bool {
            if self.denies() {
                fits(&self.pattern.to_lowercase(), &path.to_lowercase())
            } else {
                fits(&self.pattern, path)
            }
        }
    }

    /// Compares letter by letter; `+` between slashes eats a segment.
    fn fits(pattern: &str, path: &str) -> bool {
        let (pattern, path): (Vec<char>, Vec<char>) =
            (format!("/{pattern}").chars().collect(), format!("/{path}").chars().collect());
        let (mut p, mut q) = (0, 0);
        while p < pattern.len() {
            if pattern[p] == '*' && p + 1 == pattern.len() {
                return true;
            }
            let is_whole = pattern[p] == '+' && pattern[p - 1] == '/' && pattern.get(p + 1).is_none_or(|c| *c == '/');
            if is_whole && path[q - 1] == '/' {
                while path.get(q).is_some_and(|c| *c != '/') {
                    q += 1;
                }
            } else if path.get(q) == Some(&pattern[p]) {
                q += 1;
            } else {
                return false;
            }
            p += 1;
        }
        q == path.len()
    }

    /// The five rules of priority, one after another. `Greater` is the one that decides.
    fn compare(one: &str, other: &str) -> Ordering {
        let first = |pattern: &str| {
            let plus = format!("/{pattern}/").find("/+/").unwrap_or(usize::MAX);
            plus.min(if pattern.ends_with('*') { pattern.len() - 1 } else { usize::MAX })
        };
        let pluses = |pattern: &str| pattern.split(['/', '*']).filter(|segment| *segment == "+").count();
        if first(one) != first(other) {
            return first(one).cmp(&first(other));
        }
        if one.ends_with('*') != other.ends_with('*') {
            return if one.ends_with('*') { Ordering::Less } else { Ordering::Greater };
        }
        if pluses(one) != pluses(other) {
            return pluses(other).cmp(&pluses(one));
        }
        if one.len() != other.len() {
            return one.len().cmp(&other.len());
        }
        one.cmp(other)
    }

    /// The words that count at a path, sorted.
    pub(super) fn decide(blocks: &[Block], path: &str, listing: bool) -> Vec<&'static str> {
        let bare = path.strip_suffix('/').filter(|_| listing);
        let steps = [(Some(path), true), (bare, true), (Some(path), false), (bare, false)];
        for (path, exact) in steps {
            let Some(path) = path else { continue };
            let fitting: Vec<_> =
                blocks.iter().filter(|block| block.is_exact() == exact && block.matches(path)).collect();
            let best =
                fitting.iter().map(|block| block.pattern.to_lowercase()).max_by(|one, other| compare(one, other));
            let Some(best) = best else { continue };
            let deciding: Vec<_> = fitting.into_iter().filter(|block| block.pattern.to_lowercase() == best).collect();
            let mut words: Vec<_> = deciding.iter().flat_map(|block| block.words.clone()).collect();
            words.sort_unstable();
            words.dedup();
            return if words.is_empty() || words.contains(&"deny") { vec!["deny"] } else { words };
        }
        vec!["deny"]
    }
}

/// Few names, so that patterns and paths meet often; two of them differ by case only.
const NAMES: [&str; 4] = ["a", "b", "A", "ab"];

fn block() -> impl Strategy<Value = reference::Block> {
    let segment = prop_oneof![3 => prop::sample::select(&NAMES[..]), 2 => Just("+")];
    let end = prop::sample::select(&["", "*", "/", "/*"][..]);
    let words = prop::sample::select(vec![
        vec!["deny"],
        vec!["read"],
        vec!["list"],
        vec!["list", "read"],
        vec!["update"],
        vec![],
    ]);
    (prop::collection::vec(segment, 1..5), end, words)
        .prop_map(|(segments, end, words)| reference::Block { pattern: format!("{}{end}", segments.join("/")), words })
        .prop_filter("forbidden", |block| !block.pattern.contains("+*"))
}

fn path() -> impl Strategy<Value = String> {
    let segments = prop::collection::vec(prop::sample::select(&NAMES[..]), 1..5);
    (segments, prop::sample::select(&["", "/"][..])).prop_map(|(segments, end)| format!("{}{end}", segments.join("/")))
}

/// Spreads blocks over three policies and writes them as documents.
fn documents(blocks: &[reference::Block]) -> Vec<Policy> {
    let mut texts = [const { String::new() }; 3];
    for (index, block) in blocks.iter().enumerate() {
        texts[index % 3].push_str(&format!("path \"{}\" {{ capabilities = {:?} }}\n", block.pattern, block.words));
    }
    texts.iter().map(|text| policy("p", text)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(600) })]

    // check 51
    #[test]
    fn evaluation_agrees_with_the_reference(
        blocks in prop::collection::vec(block(), 0..12),
        paths in prop::collection::vec(path(), 40),
    ) {
        let acl = acl(&documents(&blocks));
        for path in &paths {
            let expected = reference::decide(&blocks, path, true);
            prop_assert_eq!(acl.capabilities(path), expected, "capabilities of {}", path);
            for operation in [Operation::Read, Operation::Update, Operation::List] {
                let is_bare = operation.is_list() && !path.ends_with('/');
                let folder = if is_bare { format!("{path}/") } else { path.clone() };
                let expected = reference::decide(&blocks, &folder, operation.is_list()).contains(&operation.as_str());
                prop_assert_eq!(acl.check(&request(path, operation)).allowed, expected, "{:?} {}", operation, path);
            }
        }
    }

    // check 64
    #[test]
    fn capabilities_are_what_is_enforced(
        blocks in prop::collection::vec(block(), 0..12),
        paths in prop::collection::vec(path(), 40),
    ) {
        let acl = acl(&documents(&blocks));
        for path in &paths {
            let reported = acl.capabilities(path);
            let of_files = &[Operation::Read, Operation::Update][..];
            let operations = if path.ends_with('/') { &[Operation::List][..] } else { of_files };
            for operation in operations {
                let allowed = acl.check(&request(path, *operation)).allowed;
                prop_assert_eq!(reported.contains(&operation.as_str()), allowed, "{:?} {}", operation, path);
            }
        }
    }

    #[test]
    fn what_may_be_read_below_a_mount_shows_the_mount(
        blocks in prop::collection::vec(block(), 0..6),
        paths in prop::collection::vec(path(), 20),
    ) {
        let acl = acl(&documents(&blocks));
        for path in &paths {
            let (mount, _) = path.split_once('/').unwrap_or((path, ""));
            let mount = format!("{mount}/");
            if path.starts_with(&mount) && acl.check(&request(path, Operation::Read)).allowed {
                prop_assert!(acl.has_mount_access(&mount), "{} is readable", path);
            }
        }
    }
}
