//! The requests of a load: what a subject understands, made from a number so that no two writes have the same key.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;

/// Length of a value, in bytes.
const VALUE_BYTES: usize = 64;
/// The folder, below the mount, that measurements write to.
const FOLDER: &str = "bench";
/// The secret that is read.
const READ_NAME: &str = "r";

/// What a load does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// Reads one secret again and again.
    Read,
    /// Writes the secret that `Read` reads.
    WriteTheReadOne,
    /// Reads secrets that [`Operation::Write`] wrote, spread over this many.
    ReadAmong(u64),
    /// Writes a secret that was not there.
    Write,
    /// Lists this many names of the folder that `Write` writes to, from somewhere in it.
    ListPage(u32),
}

/// How a subject is spoken to.
#[derive(Clone)]
pub(crate) enum Dialect {
    /// Vault's API with KV version 2 at `secret/`.
    Vault {
        /// Goes with every request.
        token: HeaderValue,
    },
    /// etcd's JSON gateway.
    Etcd,
    /// Whatever is asked, one document is the answer.
    Bare,
}

impl Dialect {
    /// Whether there is such a request.
    pub(crate) fn has(&self, operation: Operation) -> bool {
        match self {
            Self::Vault { .. } => true,
            Self::Etcd => operation == Operation::Write,
            Self::Bare => operation == Operation::Read,
        }
    }

    /// The request with this number, for a server at `authority`.
    pub(crate) fn request(&self, authority: &HeaderValue, operation: Operation, number: u64) -> Request<Full<Bytes>> {
        let (method, path, body) = match self {
            Self::Bare => (Method::GET, "/".to_owned(), String::new()),
            Self::Etcd => (Method::POST, "/v3/kv/put".to_owned(), etcd_body(number)),
            Self::Vault { .. } => vault(operation, number),
        };
        let mut request = Request::new(Full::new(Bytes::from(body)));
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().expect("the paths of this file are well formed");
        let is_write = request.method() == Method::POST;
        let headers = request.headers_mut();
        headers.insert(header::HOST, authority.clone());
        if is_write {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        if let Self::Vault { token } = self {
            headers.insert("x-vault-token", token.clone());
        }
        request
    }
}

fn vault(operation: Operation, number: u64) -> (Method, String, String) {
    match operation {
        Operation::Read => (Method::GET, format!("/v1/secret/data/{FOLDER}/{READ_NAME}"), String::new()),
        Operation::WriteTheReadOne => {
            (Method::POST, format!("/v1/secret/data/{FOLDER}/{READ_NAME}"), document(VALUE_BYTES))
        }
        Operation::ReadAmong(count) => {
            (Method::GET, format!("/v1/secret/data/{FOLDER}/{}", written_name(scattered(number, count))), String::new())
        }
        Operation::Write => {
            (Method::POST, format!("/v1/secret/data/{FOLDER}/{}", written_name(number)), document(VALUE_BYTES))
        }
        Operation::ListPage(names) => {
            let after = written_name(scattered(number, 1000));
            (Method::GET, format!("/v1/secret/metadata/{FOLDER}?list=true&limit={names}&after={after}"), String::new())
        }
    }
}

/// A place among `count` that follows from a number and is near no other: multiplicative hashing (Knuth, The Art of Computer
/// Programming, volume 3, section 6.4).
fn scattered(number: u64, count: u64) -> u64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 24) % count.max(1)
}

/// The name of the secret that the write with this number makes.
fn written_name(number: u64) -> String {
    format!("w{number}")
}

/// What a secret holds.
fn document(value_bytes: usize) -> String {
    format!(r#"{{"data":{{"value":"{}","user":"app"}}}}"#, "x".repeat(value_bytes))
}

/// A key of 9 bytes and a value of 400: about what a write of a secret adds to the log here.
fn etcd_body(number: u64) -> String {
    // Twelve digits are base64 of nine bytes, and 532 letters of 399.
    format!(r#"{{"key":"{number:012}","value":"{}"}}"#, "eHh4".repeat(133))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_spread_over_all_places() {
        let mut seen: Vec<_> = (0..1000).map(|number| scattered(number, 10)).collect();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen, (0..10).collect::<Vec<_>>());
        assert_eq!(scattered(7, 0), 0);
    }

    #[test]
    fn a_subject_is_asked_only_what_it_understands() {
        assert!(!Dialect::Etcd.has(Operation::Read));
        assert!(!Dialect::Bare.has(Operation::Write));
        assert!(Dialect::Vault { token: HeaderValue::from_static("t") }.has(Operation::ListPage(100)));
    }

    #[test]
    fn a_write_carries_its_token_and_a_name_of_its_own() {
        let dialect = Dialect::Vault { token: HeaderValue::from_static("t") };
        let request = dialect.request(&HeaderValue::from_static("127.0.0.1:1"), Operation::Write, 12);
        assert_eq!(request.uri().path(), "/v1/secret/data/bench/w12");
        assert_eq!(request.headers()["x-vault-token"], "t");
        assert_eq!(request.headers()["content-type"], "application/json");
    }
}
