//! OpenLDAP's server on free ports of this machine, with a few people and groups. It ends with the test.

use std::fmt::Write;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rcgen::{CertifiedKey, generate_simple_self_signed};
use tempfile::TempDir;

/// Where Debian puts it, which is not on every path.
const SERVER: &str = "/usr/sbin/slapd";
const LOADER: &str = "/usr/sbin/slapadd";
/// A busy machine may need long to start it.
const START_TIME: Duration = Duration::from_secs(60);

pub(super) struct Slapd {
    pub(super) url: String,
    pub(super) tls_url: String,
    pub(super) ca_pem: String,
    server: Child,
    _folder: TempDir,
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

impl Slapd {
    /// Starts it; `None` if the machine has none.
    pub(super) fn start() -> Option<Self> {
        if !Path::new(SERVER).exists() {
            eprintln!("left out: install slapd");
            return None;
        }
        // Somebody else may take a port between its choice and its use.
        Some((0..5).find_map(|_| Self::try_start()).expect("slapd starts"))
    }

    fn try_start() -> Option<Self> {
        let folder = TempDir::new().unwrap();
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("cert.pem"), cert.pem()).unwrap();
        std::fs::write(path("key.pem"), signing_key.serialize_pem()).unwrap();
        std::fs::write(path("slapd.conf"), configuration(folder.path())).unwrap();
        std::fs::write(path("data.ldif"), data()).unwrap();
        std::fs::create_dir(path("db")).unwrap();
        let loaded =
            Command::new(LOADER).arg("-f").arg(path("slapd.conf")).arg("-l").arg(path("data.ldif")).output().unwrap();
        assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
        let port = || TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let (url, tls_url) = (format!("ldap://127.0.0.1:{}", port()), format!("ldaps://127.0.0.1:{}", port()));
        let server = Command::new(SERVER)
            .arg("-f")
            .arg(path("slapd.conf"))
            .args(["-h", &format!("{url} {tls_url}"), "-d", "0"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut started = Self { url, tls_url, ca_pem: cert.pem(), server, _folder: folder };
        started.is_up().then_some(started)
    }

    fn is_up(&mut self) -> bool {
        let end = Instant::now() + START_TIME;
        let address = |url: &str| url.split_once("//").unwrap().1.to_owned();
        let (plain, tls) = (address(&self.url), address(&self.tls_url));
        while Instant::now() < end {
            if self.server.try_wait().unwrap().is_some() {
                return false;
            }
            if TcpStream::connect(&plain).is_ok() && TcpStream::connect(&tls).is_ok() {
                return true;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        false
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    let mut text = String::new();
    for schema in ["core", "cosine", "inetorgperson", "nis", "dyngroup"] {
        writeln!(text, "include /etc/ldap/schema/{schema}.schema").unwrap();
    }
    write!(
        text,
        "modulepath /usr/lib/ldap
moduleload back_mdb
moduleload ppolicy
moduleload dynlist
pidfile {folder}/pid
TLSCertificateFile {folder}/cert.pem
TLSCertificateKeyFile {folder}/key.pem
database mdb
maxsize 16777216
suffix dc=x
rootdn cn=admin,dc=x
directory {folder}/db
limits dn.exact=\"cn=few,dc=x\" size=2
access to attrs=userPassword by anonymous auth by * none
access to dn.subtree=\"ou=open,dc=x\" by anonymous read by * none
access to * by users read by anonymous auth
overlay ppolicy
ppolicy_default cn=default,dc=x
overlay dynlist
dynlist-attrset groupOfURLs memberURL member+memberOf@groupOfNames*
"
    )
    .unwrap();
    text
}

fn data() -> String {
    let mut text = String::new();
    let mut entry = |dn: &str, classes: &[&str], rest: &str| {
        let classes: String = classes.iter().map(|class| format!("objectClass: {class}\n")).collect();
        let attributes: String = rest.split("; ").map(|line| format!("{line}\n")).collect();
        write!(text, "dn: {dn}\n{classes}{attributes}\n").unwrap();
    };
    entry("dc=x", &["dcObject", "organization"], "dc: x; o: x");
    entry("cn=default,dc=x", &["device", "pwdPolicy"], "cn: default; pwdAttribute: userPassword; pwdMustChange: TRUE");
    for name in ["svc", "few"] {
        let classes = ["organizationalRole", "simpleSecurityObject"];
        entry(&format!("cn={name},dc=x"), &classes, &format!("cn: {name}; userPassword: of-{name}"));
    }
    for name in ["people", "groups", "open"] {
        entry(&format!("ou={name},dc=x"), &["organizationalUnit"], &format!("ou: {name}"));
    }
    for (name, more) in [("ann", "title: A"), ("bob", "title: B"), ("new", "pwdReset: TRUE")] {
        let rest = format!("uid: {name}; cn: {name}; sn: {name}; userPassword: of-{name}; {more}");
        entry(&format!("uid={name},ou=people,dc=x"), &["inetOrgPerson"], &rest);
    }
    let ann = "uid=ann,ou=people,dc=x";
    for (name, place, member) in [
        ("dev", "groups", ann),
        ("all", "groups", "cn=dev,ou=groups,dc=x"),
        ("others", "groups", "uid=bob,ou=people,dc=x"),
        ("four", "groups", "cn=none"),
        ("five", "groups", "cn=none"),
        ("six", "groups", "cn=none"),
        ("public", "open", ann),
    ] {
        entry(&format!("cn={name},ou={place},dc=x"), &["groupOfNames"], &format!("cn: {name}; member: {member}"));
    }
    entry("cn=posix,ou=groups,dc=x", &["posixGroup"], "cn: posix; gidNumber: 1; memberUid: ann");
    entry("cn=unique,ou=groups,dc=x", &["groupOfUniqueNames"], &format!("cn: unique; uniqueMember: {ann}"));
    entry("ou=far,ou=groups,dc=x", &["referral", "extensibleObject"], "ou: far; ref: ldap://127.0.0.1:1/ou=far,dc=x");
    text
}
