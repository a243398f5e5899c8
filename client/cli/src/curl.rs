//! A request as a curl command.
//!
//! What surprises: the token is not in it; the shell asks this program for it when the command runs.

use conclave_client::{Error, Request};

/// The command; `has_token` says whether the request would carry one.
pub(crate) fn command(
    request: &Request,
    address: &str,
    has_token: bool,
    namespace: Option<&str>,
) -> Result<String, Error> {
    let mut words = vec!["curl".to_owned()];
    if request.method().verb() != "GET" {
        words.push(format!("-X {}", request.method().verb()));
    }
    words.push("-H \"X-Vault-Request: true\"".to_owned());
    if has_token {
        words.push("-H \"X-Vault-Token: $(conclave print token)\"".to_owned());
    }
    let namespace = namespace.map(|namespace| ("X-Vault-Namespace", namespace));
    let wrap = request.wanted_wrap_ttl().map(|ttl| ("X-Vault-Wrap-TTL", ttl));
    let extra = request.extra_headers().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    words.extend(
        namespace
            .into_iter()
            .chain(wrap)
            .chain(extra)
            .map(|(name, value)| format!("-H {}", quoted(&format!("{name}: {value}")))),
    );
    if let Some(body) = request.body() {
        words.push(format!("-d {}", quoted(&String::from_utf8_lossy(body))));
    }
    words.push(quoted(&format!("{address}{}", request.target()?)));
    Ok(words.join(" "))
}

/// A word for a shell: as it is, or in single quotes.
fn quoted(text: &str) -> String {
    let is_plain = text.chars().all(|character| character.is_ascii_alphanumeric() || "/._-:%".contains(character));
    if is_plain { text.to_owned() } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_token_is_asked_for_when_the_command_runs() {
        // check 264
        let request = Request::post("secret/data/app", &json!({"word": "it's"}));
        let expected = "curl -X POST -H \"X-Vault-Request: true\" -H \"X-Vault-Token: $(conclave print token)\" \
                        -d '{\"word\":\"it'\\''s\"}' http://a:1/v1/secret/data/app";
        assert_eq!(command(&request, "http://a:1", true, None).unwrap(), expected);
    }

    #[test]
    fn a_read_names_no_verb_and_no_token_it_does_not_have() {
        let expected = "curl -H \"X-Vault-Request: true\" 'http://a:1/v1/secret/?list=true'";
        assert_eq!(command(&Request::list("secret"), "http://a:1", false, None).unwrap(), expected);
    }
}
