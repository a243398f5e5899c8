//! The address of one node's API: scheme, host, port, and perhaps a path that a proxy adds.
//!
//! It is not a URL of a request. What surprises: an address without a scheme is refused rather than guessed, because
//! guessing `http` would send a token in the clear.

use std::fmt;
use std::sync::Arc;

use reqwest::Url;

/// Where a node's API is reached, such as `https://vault-1.example:8200`.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Address(Arc<Parts>);

/// An address that cannot be used; the text says what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct InvalidAddress(String);

#[derive(PartialEq, Eq, Hash)]
struct Parts {
    /// Without query, fragment and user; the path has no slash at its end.
    text: String,
    origin: Origin,
}

/// What the web calls an origin (RFC 6454): equal origins may see each other's tokens.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a URL, or nothing if it is not of the web.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = url.host_str()?.to_ascii_lowercase();
        Some(Self { scheme: url.scheme().to_owned(), host, port: url.port_or_known_default()? })
    }

    /// Whether what is sent there is encrypted.
    pub(crate) fn is_tls(&self) -> bool {
        self.scheme == "https"
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

impl Address {
    /// Reads an address such as `https://host:8200`.
    ///
    /// # Errors
    /// [`InvalidAddress`] if it has no scheme, another scheme than http and https, a user, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidAddress> {
        let text = text.trim();
        let url = Url::parse(text).map_err(|source| {
            InvalidAddress(format!("the address `{text}` is not a URL ({source}); write it as https://host:8200"))
        })?;
        let Some(origin) = Origin::of(&url) else {
            return Err(InvalidAddress(format!(
                "the address `{text}` must begin with http:// or https:// and name a host"
            )));
        };
        let has_extras = url.query().is_some() || url.fragment().is_some();
        if has_extras || !url.username().is_empty() || url.password().is_some() {
            let reason = "an address has only a scheme, a host, a port and a path; leave out user, `?` and `#`";
            return Err(InvalidAddress(reason.to_owned()));
        }
        let text = url.as_str().trim_end_matches('/').to_owned();
        if let Some(added) = ["/v1", "/ui"].into_iter().find(|end| text.ends_with(end)) {
            let reason = format!("an address ends before {added}: paths of the API are added to it");
            return Err(InvalidAddress(reason));
        }
        Ok(Self(Arc::new(Parts { text, origin })))
    }

    /// Reads addresses that are separated by commas; empty ones are skipped.
    ///
    /// # Errors
    /// As [`Address::parse`].
    pub fn parse_list(text: &str) -> Result<Vec<Self>, InvalidAddress> {
        text.split(',').map(str::trim).filter(|one| !one.is_empty()).map(Self::parse).collect()
    }

    /// The address as text, without a slash at its end.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// Whether what is sent there is encrypted.
    pub fn is_tls(&self) -> bool {
        self.0.origin.is_tls()
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.0.origin
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_without_a_scheme_is_refused() {
        assert!(Address::parse("127.0.0.1:8200").is_err());
    }

    #[test]
    fn an_address_with_a_user_is_refused() {
        assert!(Address::parse("https://me:word@host:8200").is_err());
    }

    #[test]
    fn a_default_port_is_the_same_origin() {
        let short = Address::parse("https://host").unwrap();
        let long = Address::parse("https://HOST:443/").unwrap();
        assert!(short.origin() == long.origin());
    }

    #[test]
    fn a_list_of_addresses_is_separated_by_commas() {
        let list = Address::parse_list("http://a:1, http://b:2,,").unwrap();
        assert_eq!(list.iter().map(Address::as_str).collect::<Vec<_>>(), ["http://a:1", "http://b:2"]);
    }

    #[test]
    fn an_address_that_goes_on_into_the_api_is_refused() {
        for text in ["https://a:8200/v1", "https://a:8200/v1/", "https://a:8200/proxied/ui"] {
            let refused = Address::parse(text).unwrap_err().to_string();
            assert!(refused.contains("ends before /"), "{text}: {refused}");
        }
        assert!(Address::parse("https://a:8200/proxied").is_ok());
    }
}
