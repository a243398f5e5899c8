//! A request as a curl command, which sends what this program would, over a connection that is set up alike.
//!
//! What surprises: the token is not in it; the shell asks this program for it when the command runs. Nor are the
//! password of a proxy and authorities that a variable holds as text: the shell takes them from there.

use conclave_client::{Environment, Error, Method, Request, Variable};

use crate::shell;

/// Where the environment names a proxy; the first that is set counts, as in the SDK.
const PROXY_VARIABLES: [&str; 4] =
    ["CONCLAVE_PROXY_ADDR", "VAULT_PROXY_ADDR", "CONCLAVE_HTTP_PROXY", "VAULT_HTTP_PROXY"];

/// The settings that curl must be told of.
#[derive(Default)]
pub(crate) struct Connection {
    /// Whether a variable of this name holds the authorities to trust, as text. It wins over file and folder.
    pub(crate) authorities_variable: Option<&'static str>,
    pub(crate) authorities_file: Option<String>,
    pub(crate) authorities_folder: Option<String>,
    pub(crate) client_certificate: Option<String>,
    pub(crate) client_key: Option<String>,
    pub(crate) skips_verification: bool,
    /// The name that the server's certificate must carry.
    pub(crate) server_name: Option<String>,
    /// The proxy, and the variable that holds it.
    pub(crate) proxy: Option<(&'static str, String)>,
    pub(crate) namespace: Option<String>,
}

impl Connection {
    /// As the environment, or flags in its place, sets them.
    pub(crate) fn of(environment: &Environment<'_>, skips_verification: bool) -> Self {
        let get = |variable| environment.get(variable);
        let is_set = |name: &&'static str| environment.named(name).is_some();
        Self {
            authorities_variable: ["CONCLAVE_CACERT_BYTES", "VAULT_CACERT_BYTES"].into_iter().find(is_set),
            authorities_file: get(Variable::CaCert),
            authorities_folder: get(Variable::CaPath),
            client_certificate: get(Variable::ClientCert),
            client_key: get(Variable::ClientKey),
            skips_verification,
            server_name: get(Variable::TlsServerName),
            proxy: PROXY_VARIABLES.iter().find_map(|name| Some((*name, environment.named(name)?))),
            namespace: get(Variable::Namespace),
        }
    }

    /// What curl is told of TLS.
    fn tls(&self) -> Vec<String> {
        let option = |name: &str, value: &str| format!("{name} {}", shell::word(value));
        let authorities = match (self.authorities_variable, &self.authorities_file, &self.authorities_folder) {
            (Some(variable), ..) => Some(format!("--cacert <(printf %s \"${variable}\")")),
            (None, Some(file), _) => Some(option("--cacert", file)),
            // For curl's own `--capath` a folder must have been prepared; this program reads every file of it.
            (None, None, Some(folder)) => Some(format!("--cacert <(cat {}/*)", shell::word(folder))),
            (None, None, None) => None,
        };
        let certificate = self.client_certificate.as_ref().map(|file| option("--cert", file));
        let key = self.client_key.as_ref().map(|file| option("--key", file));
        let insecure = self.skips_verification.then(|| "--insecure".to_owned());
        [authorities, certificate, key, insecure].into_iter().flatten().collect()
    }
}

/// The command; `has_token` says whether the request would carry one.
pub(crate) fn command(
    request: &Request,
    address: &str,
    has_token: bool,
    connection: &Connection,
) -> Result<String, Error> {
    let mut words = vec!["curl".to_owned()];
    if request.method().verb() != "GET" {
        words.push(format!("-X {}", request.method().verb()));
    }
    let mut address = address.to_owned();
    if address.starts_with("https://") {
        words.extend(connection.tls());
        if let Some(name) = &connection.server_name {
            let (under_name, word) = named(&address, name);
            address = under_name;
            words.push(word);
        }
    }
    if let Some((variable, proxy)) = &connection.proxy {
        let has_password = proxy.contains('@');
        words.push(if has_password {
            format!("--proxy \"${variable}\"")
        } else {
            format!("--proxy {}", shell::word(proxy))
        });
    }
    words.push("-H \"X-Vault-Request: true\"".to_owned());
    if has_token {
        words.push("-H \"X-Vault-Token: $(conclave print token)\"".to_owned());
    }
    words.extend(headers(request, connection).iter().map(|header| format!("-H {}", shell::word(header))));
    if let Some(body) = request.body() {
        words.push(format!("-d {}", shell::word(&String::from_utf8_lossy(body))));
    }
    words.push(shell::word(&format!("{address}{}", request.target()?)));
    Ok(words.join(" "))
}

fn headers(request: &Request, connection: &Connection) -> Vec<String> {
    let namespace = connection.namespace.as_deref().map(|namespace| ("X-Vault-Namespace", namespace));
    let wrap = request.wanted_wrap_ttl().map(|ttl| ("X-Vault-Wrap-TTL", ttl));
    let extra = request.extra_headers().iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // For other methods the server takes the type that curl writes as well.
    let is_patch = request.body().is_some() && request.method() == Method::Patch;
    let has_type = request.extra_headers().iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"));
    let kind = (is_patch && !has_type).then_some(("Content-Type", "application/merge-patch+json"));
    let all = namespace.into_iter().chain(wrap).chain(kind).chain(extra);
    all.map(|(name, value)| format!("{name}: {value}")).collect()
}

/// The address under another name, and what makes curl dial the old one: it checks certificates by the URL alone.
fn named(address: &str, name: &str) -> (String, String) {
    let rest = address.strip_prefix("https://").unwrap_or(address);
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let is_port = |port: &str| !port.is_empty() && port.chars().all(|digit| digit.is_ascii_digit());
    let (host, port) = authority.rsplit_once(':').filter(|(_, port)| is_port(port)).unwrap_or((authority, "443"));
    let word = format!("--connect-to {}", shell::word(&format!("{name}:{port}:{host}:{port}")));
    (format!("https://{name}:{port}{path}"), word)
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
        assert_eq!(command(&request, "http://a:1", true, &Connection::default()).unwrap(), expected);
    }

    #[test]
    fn a_read_names_no_verb_and_no_token_it_does_not_have() {
        let expected = "curl -H \"X-Vault-Request: true\" 'http://a:1/v1/secret/?list=true'";
        let shown = command(&Request::list("secret"), "http://a:1", false, &Connection::default()).unwrap();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_the_connection_is_set_up_with_is_said() {
        let connection = Connection {
            authorities_file: Some("my ca.pem".into()),
            authorities_folder: Some("/unused".into()),
            client_certificate: Some("c.pem".into()),
            client_key: Some("k.pem".into()),
            server_name: Some("vault".into()),
            proxy: Some(("VAULT_PROXY_ADDR", "http://p:3128".into())),
            namespace: Some("team a".into()),
            ..Connection::default()
        };
        let request = Request::get("sys/mounts").wrap_ttl("60s").header("X-Own", "$1");
        let expected = "curl --cacert 'my ca.pem' --cert c.pem --key k.pem --connect-to vault:443:a:443 \
                        --proxy http://p:3128 -H \"X-Vault-Request: true\" -H 'X-Vault-Namespace: team a' \
                        -H 'X-Vault-Wrap-TTL: 60s' -H 'X-Own: $1' https://vault:443/v1/sys/mounts";
        assert_eq!(command(&request, "https://a", false, &connection).unwrap(), expected);
        // Without TLS there is nothing to say of it.
        assert!(!command(&request, "http://a", false, &connection).unwrap().contains("cacert"));
    }

    #[test]
    fn the_password_of_a_proxy_stays_in_its_variable_and_a_folder_of_authorities_is_read_whole() {
        let variables = [("VAULT_PROXY_ADDR", "http://me:canary@p:1"), ("VAULT_CAPATH", "/my cas")];
        let environment = Environment::from_fn(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        let shown = command(&Request::get("a"), "https://a:1", false, &Connection::of(&environment, false)).unwrap();
        assert!(shown.starts_with("curl --cacert <(cat '/my cas'/*) --proxy \"$VAULT_PROXY_ADDR\" -H"), "{shown}");
    }

    #[test]
    fn authorities_in_a_variable_and_no_check_at_all_are_said() {
        let variables = [("VAULT_CACERT_BYTES", "text"), ("VAULT_CACERT", "unused")];
        let environment = Environment::from_fn(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
        });
        let shown = command(&Request::get("a"), "https://a:1", false, &Connection::of(&environment, true)).unwrap();
        assert!(shown.starts_with("curl --cacert <(printf %s \"$VAULT_CACERT_BYTES\") --insecure -H"), "{shown}");
    }

    #[test]
    fn a_change_of_some_fields_says_its_type() {
        let request = Request::new(Method::Patch, "secret/data/a").json(&json!({}));
        let shown = command(&request, "http://a:1", false, &Connection::default()).unwrap();
        assert!(shown.contains("-H 'Content-Type: application/merge-patch+json' -d '{}'"), "{shown}");
    }

    #[test]
    fn another_name_leaves_port_and_path_of_the_address() {
        let (address, word) = named("https://[::1]:8200/vault", "v.example");
        assert_eq!(address, "https://v.example:8200/vault");
        assert_eq!(word, "--connect-to 'v.example:8200:[::1]:8200'");
    }
}
