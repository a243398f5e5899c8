//! `operator unseal`: gives one share.
//!
//! What surprises: with `-cluster` the same ceremony unseals other nodes too, those that the holder of every share
//! confirmed by their fingerprints. The exit code is 2 if one of those that the ceremony was for stays sealed.

use clap::Args;
use conclave_client::{Candidate, Method, Request, Secret};
use serde_json::{Value, json};

use crate::failure::{Failure, NO_SHARE, Outcome};
use crate::session::Session;
use crate::{golang, prompt, table};

/// Give one share. Asks for it without showing it, so that it stays out of the shell's history.
#[derive(Args)]
pub(crate) struct Unseal {
    /// Forget the shares given so far. From an address that gave none, a share says that you may.
    #[arg(long)]
    reset: bool,
    /// Unseal other nodes of the cluster too, in one ceremony. Lists them and asks which of them you confirm.
    #[arg(long)]
    cluster: bool,
    /// Confirm the nodes with these fingerprints instead of being asked, as their own `status` shows them. Implies
    /// -cluster.
    #[arg(long, value_delimiter = ',', value_name = "FINGERPRINT,…")]
    confirm: Vec<String>,
    /// Accepted for scripts; there is no other seal to migrate from.
    #[arg(long, hide = true)]
    migrate: bool,
    /// The share, or - for standard input; without it, it is asked for.
    share: Option<String>,
}

impl Unseal {
    pub(crate) async fn run(&self, session: &Session) -> Outcome {
        let Some(body) = self.body(session).await? else { return Ok(()) };
        let request = Request::new(Method::Put, "sys/unseal").json(&body).about_one_node();
        let reply = match session.send_anonymously("unsealing", request).await {
            Err(failure) if failure.is_answer(400, "failed to decrypt keys") => {
                return Err(with_progress(failure, session).await);
            }
            sent => sent?,
        };
        session.output.either(|| text(reply.json()), reply.json())?;
        session.output.warnings(&reply);
        let mut nodes = reply.json()["nodes"].as_array().into_iter().flatten();
        if nodes.any(|node| node["sealed"].as_bool().unwrap_or(true)) { Err(Failure::Quiet(2)) } else { Ok(()) }
    }

    /// What is sent; `None` if there is nothing that a share could do.
    async fn body(&self, session: &Session) -> Result<Option<Value>, Failure> {
        if self.reset {
            let key = self.share.as_ref().map(|_| self.share(session)).transpose()?;
            return Ok(Some(json!({ "reset": true, "key": key.as_ref().map(Secret::expose) })));
        }
        if !self.cluster && self.confirm.is_empty() {
            return Ok(Some(json!({ "key": self.share(session)?.expose() })));
        }
        let round = Round::ask(session).await?;
        let confirmed = if self.confirm.is_empty() {
            match round.choose(session)? {
                Some(confirmed) => confirmed,
                None => return Ok(None),
            }
        } else {
            round.check(&self.confirm)?;
            self.confirm.clone()
        };
        Ok(Some(json!({ "key": self.share(session)?.expose(), "cluster": true, "confirm": confirmed })))
    }

    fn share(&self, session: &Session) -> Result<Secret, Failure> {
        match self.share.as_deref() {
            None | Some("-") => prompt::secret("Unseal Key", session.may_ask),
            Some(share) => Ok(Secret::new(share.trim())),
        }
    }
}

/// A refused share, with how many count after it: one that would have been the last makes the node forget the others.
async fn with_progress(failure: Failure, session: &Session) -> Failure {
    match session.client.with_token(None).seals().status().await {
        Ok(status) => failure.advising(after_wrong_share(status.progress, status.t)),
        // Without it the failure is told as any other.
        Err(_) => failure,
    }
}

fn after_wrong_share(progress: u64, threshold: u64) -> String {
    match progress {
        0 => format!("{NO_SHARE} Progress is 0/{threshold}: if others were entered, they were forgotten. Begin again."),
        _ => format!("{NO_SHARE} Progress stays {progress}/{threshold}. Enter a right one."),
    }
}

/// The nodes that a ceremony on this one could be for.
struct Round {
    others: Vec<Candidate>,
    /// The fingerprint of the node that takes the share, while that is sealed.
    own: Option<String>,
    is_sealed: bool,
}

impl Round {
    async fn ask(session: &Session) -> Result<Self, Failure> {
        let client = session.client.with_token(None);
        let failed = |source| Failure::call("listing the nodes that wait for a share", source);
        let others = client.seals().candidates().await.map_err(failed)?;
        let own = client.seals().candidate().await.map_err(failed)?;
        Ok(Self { others, own: own.fingerprint, is_sealed: own.sealed.unwrap_or(true) })
    }

    fn waiting(&self) -> Vec<&str> {
        self.others.iter().filter_map(|node| node.fingerprint.as_deref()).collect()
    }

    /// Refuses fingerprints that nobody shows who waits for the root key.
    fn check(&self, confirmed: &[String]) -> Outcome {
        let waiting = self.waiting();
        let is_shown = |given: &str| waiting.iter().copied().chain(self.own.as_deref()).any(|shown| shown == given);
        let Some(stranger) = confirmed.iter().map(|given| given.trim()).find(|given| !is_shown(given)) else {
            return Ok(());
        };
        Err(Failure::Usage(format!(
            "No node that waits for the root key shows the fingerprint {stranger}; no share was sent. A restart changes it.\n\n{}",
            candidates_table(&self.others)
        )))
    }

    /// Shows the nodes that wait for the root key, and asks which of them are confirmed; `None` if none is sealed that a
    /// share could unseal.
    fn choose(&self, session: &Session) -> Result<Option<Vec<String>>, Failure> {
        let waiting = self.waiting();
        let list = candidates_table(&self.others);
        if waiting.is_empty() && self.is_sealed {
            session.output.warn("No other node that answers is sealed; the share is for this one alone.");
            return Ok(Some(Vec::new()));
        }
        if waiting.is_empty() {
            if self.others.iter().all(|node| node.error.is_none()) {
                session.output.done("No node is sealed, so there is nothing to give a share for.")?;
                return Ok(None);
            }
            return Err(Failure::Reply(format!("No node that answers is sealed; no share was sent.\n\n{list}")));
        }
        if !prompt::is_possible(session.may_ask) {
            return Err(Failure::Usage(format!(
                "{list}\nName the nodes that may receive the root key: -confirm=FINGERPRINT,… with the fingerprints that \
                 their own `conclave status` shows."
            )));
        }
        let answer = prompt::line(&format!(
            "{list}\nCompare each fingerprint with the one that the node itself shows (`conclave status` there, or its \
             log).\nWhich of them may receive the root key? (yes for all, numbers such as 1,3, or no): "
        ))?;
        let confirmed = chosen(&answer, &waiting)?;
        if confirmed.is_empty() && !self.is_sealed {
            session.output.done("No node was confirmed, so there is nothing to give a share for.")?;
            return Ok(None);
        }
        Ok(Some(confirmed))
    }
}

/// What somebody answered, as fingerprints.
fn chosen(answer: &str, waiting: &[&str]) -> Result<Vec<String>, Failure> {
    let all = || waiting.iter().map(|fingerprint| (*fingerprint).to_owned());
    match answer.to_ascii_lowercase().as_str() {
        "yes" => return Ok(all().collect()),
        "no" | "" => return Ok(Vec::new()),
        _ => {}
    }
    let one = |number: &str| {
        let number = number.trim().parse::<usize>().ok().and_then(|number| number.checked_sub(1));
        number.and_then(|at| waiting.get(at)).map(|fingerprint| (*fingerprint).to_owned())
    };
    let chosen = answer.split(',').map(one).collect::<Option<_>>();
    chosen.ok_or_else(|| {
        Failure::Usage(format!("{answer:?} is neither yes, no, nor numbers of the list; no share was sent"))
    })
}

fn candidates_table(candidates: &[Candidate]) -> String {
    let mut number = 0;
    let cells = |node: &Candidate| {
        let state = match (&node.fingerprint, &node.error) {
            (Some(fingerprint), _) => fingerprint.clone(),
            (None, Some(error)) => error.clone(),
            (None, None) => "is unsealed".to_owned(),
        };
        number += usize::from(node.fingerprint.is_some());
        let shown = if node.fingerprint.is_some() { number.to_string() } else { String::new() };
        vec![shown, node.node_id.clone(), node.address.clone(), state]
    };
    table::columns(&["#", "Node", "Address", "Fingerprint"], &candidates.iter().map(cells).collect::<Vec<_>>())
}

fn text(status: &Value) -> String {
    let row = |title: &str, name: &str| (title.to_owned(), golang::value(&status[name]));
    let mut rows = vec![
        row("Seal Type", "type"),
        row("Initialized", "initialized"),
        row("Sealed", "sealed"),
        row("Total Shares", "n"),
        row("Threshold", "t"),
    ];
    // A ceremony on an unsealed node is for the others, and has progress too.
    if status["sealed"].as_bool().unwrap_or(true) || status["progress"].as_u64() > Some(0) {
        let progress = format!("{}/{}", golang::value(&status["progress"]), golang::value(&status["t"]));
        rows.push(("Unseal Progress".to_owned(), progress));
        rows.push(row("Unseal Nonce", "nonce"));
    }
    let optional = [("Version", "version"), ("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id")];
    rows.extend(optional.iter().filter(|(_, name)| status[name].is_string()).map(|(title, name)| row(title, name)));
    let mut text = table::pairs(&rows);
    if let Some(nodes) = status["nodes"].as_array().filter(|nodes| !nodes.is_empty()) {
        text.push('\n');
        text.push_str(&nodes_table(nodes));
    }
    text
}

fn nodes_table(nodes: &[Value]) -> String {
    let cells = |node: &Value| {
        let text = |name: &str| node[name].as_str().unwrap_or("").to_owned();
        vec![text("node_id"), text("address"), golang::value(&node["sealed"]), text("error")]
    };
    table::columns(&["Node", "Address", "Sealed", "Error"], &nodes.iter().map(cells).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_some_or_none_of_the_listed_nodes_are_confirmed() {
        let confirmed = |answer| chosen(answer, &["a", "b", "c"]).ok();
        assert_eq!(confirmed("Yes").unwrap(), ["a", "b", "c"]);
        assert_eq!(confirmed("1, 3").unwrap(), ["a", "c"]);
        assert_eq!(confirmed("2").unwrap(), ["b"]);
        assert_eq!((confirmed("no").unwrap().len(), confirmed("").unwrap().len()), (0, 0));
        for wrong in ["0", "4", "y", "1;2", "1,,2", "all"] {
            assert_eq!(confirmed(wrong), None, "{wrong}");
        }
    }

    fn node(id: &str, fingerprint: Option<&str>, error: Option<&str>) -> Candidate {
        Candidate {
            node_id: id.to_owned(),
            id: String::new(),
            address: format!("https://{id}:1"),
            cluster_address: String::new(),
            voter: Some(true),
            sealed: None,
            fingerprint: fingerprint.map(str::to_owned),
            error: error.map(str::to_owned),
        }
    }

    #[test]
    fn only_fingerprints_that_a_sealed_node_shows_are_confirmed() {
        let others = vec![node("a", None, None), node("b", Some("ef2f:66"), None)];
        let round = Round { others, own: Some("aa:01".to_owned()), is_sealed: true };
        let check = |list: &[&str]| round.check(&list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>());
        assert!(check(&["ef2f:66"]).is_ok() && check(&["aa:01", " ef2f:66"]).is_ok());
        let refused = check(&["ef2f:66", "ef2f:67"]).unwrap_err();
        assert!(refused.to_string().contains("fingerprint ef2f:67"), "{refused}");
    }

    #[test]
    fn after_a_wrong_share_it_is_said_how_many_count() {
        assert!(after_wrong_share(0, 3).contains("0/3") && after_wrong_share(0, 3).ends_with("Begin again."));
        assert!(after_wrong_share(1, 3).ends_with("Progress stays 1/3. Enter a right one."));
    }

    #[test]
    fn only_nodes_that_wait_have_a_number_in_the_list() {
        let list = [node("a", None, None), node("b", Some("ef2f:66"), None), node("c", None, Some("timed out"))];
        let expected = "\
#      Node    Address        Fingerprint
-      ----    -------        -----------
n/a    a       https://a:1    is unsealed
1      b       https://b:1    ef2f:66
n/a    c       https://c:1    timed out
";
        assert_eq!(candidates_table(&list), expected);
    }

    #[test]
    fn a_ceremony_on_an_unsealed_node_shows_its_progress() {
        let status = json!({
            "type": "shamir", "initialized": true, "sealed": false, "n": 5, "t": 3, "progress": 1, "nonce": "abc"
        });
        assert!(text(&status).contains("Unseal Progress    1/3\nUnseal Nonce       abc\n"), "{}", text(&status));
    }

    #[test]
    fn a_ceremony_for_the_cluster_shows_each_node() {
        let status = json!({
            "type": "shamir", "initialized": true, "sealed": false, "n": 5, "t": 3,
            "nodes": [{"node_id": "b", "address": "https://b:1", "sealed": true, "error": "timed out"}]
        });
        let expected = "\
Key             Value
---             -----
Seal Type       shamir
Initialized     true
Sealed          false
Total Shares    5
Threshold       3

Node    Address        Sealed    Error
----    -------        ------    -----
b       https://b:1    true      timed out
";
        assert_eq!(text(&status), expected);
    }
}
