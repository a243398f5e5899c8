//! The options of a device, as clients and configurations spell them, made into what they mean. What is not understood is
//! refused: a device that records other than it was told to is worse than none.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use conclave_vault::{AuditDevice, boolean_text, parse_duration};
use http::Uri;
use http::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

use super::collector::Collector;
use super::network::{Reach, ReceiverPlace};
use super::socket::{Socket, Transport};
use super::syslog::{self, Receiver, Syslog};
use crate::config::limits::{AUDIT_SEND_TIME, MAX_AUDIT_PREFIX_BYTES, MAX_AUDIT_SEND_TIME, MAX_SYSLOG_TAG_BYTES};
use crate::config::{Outbound, address};

/// What a node allows its devices.
#[derive(Clone, Debug, Default)]
pub(crate) struct DeviceTerms {
    /// Below these no device writes: data, keys, the program itself.
    pub(crate) forbidden: Vec<PathBuf>,
    /// Only here devices write, if there are any.
    pub(crate) paths: Vec<PathBuf>,
    /// Whether a `prefix` may be set over the API.
    pub(crate) allows_prefix: bool,
    /// Which receivers devices may have that are enabled over the API.
    pub(crate) outbound: Outbound,
}

/// What a device is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) form: Form,
    pub(crate) target: AuditTarget,
    pub(super) reach: Reach,
    /// Whether it is enabled without being tried.
    pub(crate) skips_test: bool,
}

/// How records look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Form {
    /// Whether values stand there as they are.
    pub(crate) is_raw: bool,
    /// Whether accessors are hashed.
    pub(crate) hashes_accessors: bool,
    /// Whether lists are told by their length alone.
    pub(crate) elides_lists: bool,
    /// What every line begins with.
    pub(crate) prefix: String,
}

/// Where records go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AuditTarget {
    /// Standard output.
    Stdout,
    /// Nowhere.
    Discard,
    /// A file, with the rights that it gets; without, it keeps those that it has.
    File { path: PathBuf, mode: Option<u32> },
    /// A socket.
    Socket(Socket),
    /// A receiver of syslog.
    Syslog(Syslog),
    /// A collector that speaks HTTP.
    Http(Collector),
}

impl Settings {
    /// Understands a device. An error is a sentence for whoever set it, and holds no value of an option.
    pub(crate) fn of(device: &AuditDevice, terms: &DeviceTerms, is_configured: bool) -> Result<Self, String> {
        let mut options = Options(device.options.clone());
        let form = form(&mut options, terms.allows_prefix || is_configured)?;
        let skips_test = options.boolean("skip_test")?.unwrap_or(false);
        let target = match device.kind.as_str() {
            "file" => file(&mut options)?,
            "stdout" => AuditTarget::Stdout,
            "socket" => socket(&mut options)?,
            "syslog" => syslog(&mut options)?,
            "http" => collector(&mut options)?,
            _ => return Err("an audit device is of type file, socket, syslog or http".to_owned()),
        };
        options.finish()?;
        Ok(Self { form, target, reach: Reach::of(is_configured, &terms.outbound), skips_test })
    }
}

/// Options that nobody has asked for yet.
pub(super) struct Options(BTreeMap<String, String>);

impl Options {
    /// An option that is not empty.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        self.0.remove(name).filter(|text| !text.is_empty())
    }

    pub(super) fn boolean(&mut self, name: &str) -> Result<Option<bool>, String> {
        let Some(text) = self.text(name) else { return Ok(None) };
        boolean_text(&text).map(Some).ok_or_else(|| format!("{name} must be true or false"))
    }

    /// Refuses what is left.
    fn finish(self) -> Result<(), String> {
        match self.0.keys().next() {
            Some(name) => Err(format!("an audit device of this type knows no option {name:?}")),
            None => Ok(()),
        }
    }
}

fn form(options: &mut Options, allows_prefix: bool) -> Result<Form, String> {
    if options.text("format").is_some_and(|format| format != "json") {
        return Err("format must be json".to_owned());
    }
    let prefix = options.text("prefix").unwrap_or_default();
    if !prefix.is_empty() && !allows_prefix {
        return Err(
            "prefix is refused over the API unless the configuration has allow_audit_log_prefixing = true".to_owned()
        );
    }
    if prefix.len() > MAX_AUDIT_PREFIX_BYTES || !prefix.bytes().all(|byte| (0x20..0x7f).contains(&byte) && byte != b'{')
    {
        return Err(format!("prefix has at most {MAX_AUDIT_PREFIX_BYTES} printable characters of ASCII, and no {{"));
    }
    Ok(Form {
        is_raw: options.boolean("log_raw")?.unwrap_or(false),
        hashes_accessors: options.boolean("hmac_accessor")?.unwrap_or(true),
        elides_lists: options.boolean("elide_list_responses")?.unwrap_or(false),
        prefix,
    })
}

fn file(options: &mut Options) -> Result<AuditTarget, String> {
    let (named, short) = (options.text("file_path"), options.text("path"));
    let path = named.or(short).ok_or("file_path is required: an absolute path, stdout or discard")?;
    let mode = options.text("mode").map(|text| mode(&text)).transpose()?;
    Ok(match path.as_str() {
        "stdout" | "/dev/stdout" => AuditTarget::Stdout,
        "discard" => AuditTarget::Discard,
        _ if Path::new(&path).is_absolute() => {
            // 0000 is Vault's word for leaving the rights alone.
            let mode = Some(mode.unwrap_or(0o600)).filter(|mode| *mode != 0);
            AuditTarget::File { path: path.into(), mode }
        }
        _ => return Err("file_path must be an absolute path, stdout or discard".to_owned()),
    })
}

/// How long a receiver may take.
fn write_time(options: &mut Options) -> Result<Duration, String> {
    let Some(text) = options.text("write_timeout") else { return Ok(AUDIT_SEND_TIME) };
    let time = parse_duration(&text).filter(|time| !time.is_zero() && *time <= MAX_AUDIT_SEND_TIME);
    time.ok_or_else(|| {
        format!("write_timeout must be a duration such as 2s, of at most {} s", MAX_AUDIT_SEND_TIME.as_secs())
    })
}

/// A host and a port.
fn host_port(address: String) -> Result<String, String> {
    match address::split(&address) {
        Some(_) => Ok(address),
        None => Err("address must be a host and a port, such as 10.0.0.1:9090".to_owned()),
    }
}

fn socket(options: &mut Options) -> Result<AuditTarget, String> {
    let address = options.text("address").ok_or("address is required: a host and a port, or a path")?;
    let transport = match options.text("socket_type").as_deref() {
        None | Some("tcp") => Transport::Tcp,
        Some("udp") => Transport::Udp,
        Some("unix") => Transport::Unix,
        Some(_) => return Err("socket_type must be tcp, udp or unix".to_owned()),
    };
    let address = match transport {
        Transport::Unix if Path::new(&address).is_absolute() => address,
        Transport::Unix => return Err("address must be an absolute path".to_owned()),
        Transport::Tcp | Transport::Udp => host_port(address)?,
    };
    Ok(AuditTarget::Socket(Socket { address, transport, time: write_time(options)? }))
}

fn syslog(options: &mut Options) -> Result<AuditTarget, String> {
    let facility = syslog::facility(&options.text("facility").unwrap_or_else(|| "AUTH".to_owned()));
    let facility = facility.ok_or("facility must be one of syslog's, such as AUTH or LOCAL0")?;
    let tag = options.text("tag").unwrap_or_else(|| "conclave".to_owned());
    if tag.len() > MAX_SYSLOG_TAG_BYTES
        || !tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte))
    {
        return Err(format!("tag has at most {MAX_SYSLOG_TAG_BYTES} letters, digits, dashes, dots and slashes"));
    }
    let ca_file = options.text("ca_file");
    let address = options.text("address");
    let (scheme, rest) =
        address.as_deref().map_or(("", ""), |address| address.split_once("://").unwrap_or(("?", address)));
    if ca_file.is_some() && scheme != "tls" {
        return Err("ca_file is for an address that begins with tls://".to_owned());
    }
    let receiver = match scheme {
        "" => Receiver::Local,
        "unix" if Path::new(rest).is_absolute() => Receiver::Unix(rest.to_owned()),
        "udp" => Receiver::Udp(host_port(rest.to_owned())?),
        "tcp" => Receiver::Stream(ReceiverPlace::Tcp(host_port(rest.to_owned())?)),
        "tls" => {
            let address = host_port(rest.to_owned())?;
            let host = address::split(&address).map_or("", |(host, _)| host).to_owned();
            Receiver::Stream(ReceiverPlace::Tls { address, host, ca_file })
        }
        _ => return Err("address must be udp://host:port, tcp://host:port, tls://host:port or unix:///path".to_owned()),
    };
    Ok(AuditTarget::Syslog(Syslog { facility, tag, receiver, time: write_time(options)? }))
}

fn collector(options: &mut Options) -> Result<AuditTarget, String> {
    let uri: Uri = options
        .text("uri")
        .and_then(|uri| uri.parse().ok())
        .ok_or("uri is required: http:// or https://, and a host")?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none_or(str::is_empty) {
        return Err("uri must begin with http:// or https:// and name a host".to_owned());
    }
    if uri.authority().is_some_and(|authority| authority.as_str().contains('@')) {
        return Err("uri must not hold a password; send it in headers".to_owned());
    }
    let ca_file = options.text("ca_file");
    if ca_file.is_some() && uri.scheme_str() != Some("https") {
        return Err("ca_file is for a uri that begins with https://".to_owned());
    }
    let headers = options.text("headers").map_or(Ok(Vec::new()), |text| headers(&text))?;
    Ok(AuditTarget::Http(Collector { uri, headers, ca_file, time: write_time(options)? }))
}

/// Headers as an object of JSON: a text, or a list of texts, for each name.
fn headers(text: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
    let wrong = || "headers must be an object of JSON with a text, or a list of texts, for each name".to_owned();
    let object: Map<String, Value> = serde_json::from_str(text).map_err(|_| wrong())?;
    let mut headers = Vec::new();
    for (name, value) in object {
        let name = HeaderName::try_from(name).map_err(|_| wrong())?;
        let values = match value {
            Value::Array(values) => values,
            value => vec![value],
        };
        for value in values {
            let mut value = HeaderValue::from_str(value.as_str().ok_or_else(wrong)?).map_err(|_| wrong())?;
            value.set_sensitive(true);
            headers.push((name.clone(), value));
        }
    }
    Ok(headers)
}

/// Rights of a file, in octal digits.
fn mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text.trim_start_matches("0o"), 8).ok();
    let fits = |mode: &u32| mode & !0o664 == 0 && (*mode == 0 || mode & 0o200 != 0);
    mode.filter(fits).ok_or_else(|| {
        "mode must be octal, such as 0640: writable for the owner, executable for nobody, not writable for others"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: &str, options: &[(&str, &str)]) -> Result<Settings, String> {
        let options = options.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let device = AuditDevice { kind: kind.to_owned(), options, ..AuditDevice::default() };
        Settings::of(&device, &DeviceTerms::default(), false)
    }

    #[test]
    fn both_spellings_of_a_path_are_taken() {
        let file = |name| parse("file", &[(name, "/a/b")]).unwrap().target;
        assert_eq!(file("path"), file("file_path"));
        assert_eq!(file("path"), AuditTarget::File { path: "/a/b".into(), mode: Some(0o600) });
        assert_eq!(parse("file", &[("file_path", "stdout")]).unwrap().target, AuditTarget::Stdout);
        assert_eq!(parse("file", &[("path", "discard")]).unwrap().target, AuditTarget::Discard);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let wrong: [&[(&str, &str)]; 8] = [
            &[],
            &[("path", "a/b")],
            &[("path", "/a"), ("mode", "0700")],
            &[("path", "/a"), ("mode", "0602")],
            &[("path", "/a"), ("mode", "rw")],
            &[("path", "/a"), ("format", "jsonx")],
            &[("path", "/a"), ("log_raw", "perhaps")],
            &[("path", "/a"), ("filter", "x")],
        ];
        for options in wrong {
            assert!(parse("file", options).is_err(), "{options:?}");
        }
        assert!(parse("fax", &[]).is_err());
    }

    #[test]
    fn a_prefix_is_for_the_configuration_unless_it_says_otherwise() {
        // check 86
        let options: BTreeMap<_, _> = [("path", "/a"), ("prefix", "@cee: ")]
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let device = AuditDevice { kind: "file".to_owned(), options, ..AuditDevice::default() };
        let allowing = DeviceTerms { allows_prefix: true, ..DeviceTerms::default() };
        assert!(Settings::of(&device, &DeviceTerms::default(), false).is_err());
        assert_eq!(Settings::of(&device, &DeviceTerms::default(), true).unwrap().form.prefix, "@cee: ");
        assert!(Settings::of(&device, &allowing, false).is_ok());
    }
}
