//! A review of a token by the API server of its cluster (`authentication.k8s.io/v1`, TokenReview).
//!
//! What surprises: the reviewer's token and the one under review are in the question, and neither is in any answer or error.

use serde_json::{Value, json};

use crate::context::Context;
use crate::engines::kubernetes::config::KubernetesConfigRecord;
use crate::error::Error;
use crate::web::WebRequest;

/// How an API server names service accounts among all users.
const PREFIX: &str = "system:serviceaccount:";

/// A service account, as the API server knows it.
pub(super) struct ServiceAccount {
    pub(super) namespace: String,
    pub(super) name: String,
    pub(super) uid: String,
}

/// Whose token it is.
///
/// # Errors
/// [`crate::error::ErrorKind::Denied`] if the cluster does not say that it counts, and for this audience;
/// [`crate::error::ErrorKind::Unavailable`] if it says nothing.
pub(super) fn ask(
    context: &mut Context<'_>,
    config: &KubernetesConfigRecord,
    token: &str,
    audience: &str,
) -> Result<ServiceAccount, Error> {
    let mut spec = json!({ "token": token });
    if !audience.is_empty() {
        spec["audiences"] = json!([audience]);
    }
    let body = json!({ "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec });
    let bearer = if config.reviewer.is_empty() { token } else { &config.reviewer };
    let request = WebRequest {
        method: "POST".to_owned(),
        url: format!("{}/apis/authentication.k8s.io/v1/tokenreviews", config.host),
        headers: [
            ("accept".to_owned(), "application/json".to_owned()),
            ("authorization".to_owned(), format!("Bearer {bearer}")),
            ("content-type".to_owned(), "application/json".to_owned()),
        ]
        .into(),
        body: body.to_string().into_bytes(),
        ca_pem: config.ca_pem.clone(),
        max_age_secs: 0,
        is_from_pod: config.reviewer.is_empty() && !config.ignores_pod,
        trusts_pod: config.ca_pem.is_empty() && !config.ignores_pod,
    };
    let reply = context.ask_web(&request)?;
    match reply.status {
        200 | 201 => {}
        // The bearer may not ask, which may be because it is the token under review and that is over.
        401 | 403 => return Err(Error::bad_token()),
        status => return Err(Error::unavailable(format!("the token review was answered with status {status}"))),
    }
    let answer =
        reply.object().ok_or_else(|| Error::unavailable("the token review was answered with no JSON object"))?;
    answer.get("status").and_then(|status| reviewed(status, audience)).ok_or_else(Error::bad_token)
}

/// The account that a review names, if it says that the token counts.
fn reviewed(status: &Value, audience: &str) -> Option<ServiceAccount> {
    let has_error = status.get("error").and_then(Value::as_str).is_some_and(|error| !error.is_empty());
    let is_for = |audiences: &Value| audiences.as_array().is_some_and(|list| list.iter().any(|one| one == audience));
    // A server that does not know audiences answers without them, and then the token is its own only.
    let is_meant = audience.is_empty() || status.get("audiences").is_some_and(is_for);
    if status.get("authenticated") != Some(&Value::Bool(true)) || has_error || !is_meant {
        return None;
    }
    let user = status.get("user")?;
    let (namespace, name) = user.get("username")?.as_str()?.strip_prefix(PREFIX)?.split_once(':')?;
    let uid = user.get("uid")?.as_str()?;
    let is_whole = ![namespace, name, uid].iter().any(|part| part.is_empty()) && !name.contains(':');
    is_whole.then(|| ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned(), uid: uid.to_owned() })
}
