//! The process as whoever starts it sees it: flags, pipes, signals, exit codes.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use std::io::{PipeReader, PipeWriter, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to be ready, or to stop.
const PATIENCE: Duration = Duration::from_secs(20);

/// A server that is killed when the test ends.
struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn command() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
    command.env_clear();
    command
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn dev(home: &Path, stdout: Stdio, stderr: Stdio) -> Server {
    let port = free_port();
    let address = format!("127.0.0.1:{port}");
    let arguments = ["server", "-dev", "-dev-root-token-id", "root-of-test", "-dev-listen-address", &address];
    let process = command().args(arguments).env("HOME", home).stdout(stdout).stderr(stderr).spawn().unwrap();
    Server { process, port }
}

/// The status code of a health check, once the server answers.
fn health(server: &Server) -> String {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Ok(mut stream) = TcpStream::connect(("127.0.0.1", server.port)) {
            stream.write_all(b"GET /v1/sys/health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            let mut reply = String::new();
            if stream.read_to_string(&mut reply).is_ok() && !reply.is_empty() {
                return reply.split(' ').nth(1).unwrap_or_default().to_owned();
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server did not answer");
}

fn terminate(server: &mut Server) -> Option<i32> {
    let process = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(process, rustix::process::Signal::TERM).unwrap();
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(status) = server.process.try_wait().unwrap() {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("the server did not stop");
}

fn output(arguments: &[&str]) -> Output {
    command().args(arguments).output().unwrap()
}

/// A pipe that takes nothing more, because it is full.
fn full_pipe() -> (PipeReader, PipeWriter) {
    let (reader, mut writer) = std::io::pipe().unwrap();
    // The capacity of a pipe on Linux, unless somebody changed it (pipe(7)).
    writer.write_all(&[b'x'; 65_536]).unwrap();
    (reader, writer)
}

#[test]
fn a_dev_server_says_its_secrets_and_stops_when_told() {
    let home = tempfile::tempdir().unwrap();
    let mut server = dev(home.path(), Stdio::piped(), Stdio::null());
    assert_eq!(health(&server), "200");
    assert_eq!(terminate(&mut server), Some(0));
    let mut said = String::new();
    server.process.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(said.lines().any(|line| line == "Root Token: root-of-test"), "{said}");
    assert!(said.lines().any(|line| line.starts_with("Unseal Key: ")), "{said}");
    assert!(said.lines().any(|line| line.trim() == "Node: unsealed"), "{said}");
    assert_eq!(std::fs::read_to_string(home.path().join(".vault-token")).unwrap(), "root-of-test");
}

#[test]
fn a_server_does_not_wait_for_a_pipe_that_nobody_reads() {
    let home = tempfile::tempdir().unwrap();
    let (_out_reader, out) = full_pipe();
    let (_error_reader, error) = full_pipe();
    let mut server = dev(home.path(), out.into(), error.into());
    assert_eq!(health(&server), "200");
    assert_eq!(terminate(&mut server), Some(0));
}

#[test]
fn the_process_leaves_no_core_and_keeps_files_to_itself() {
    // check 268
    let home = tempfile::tempdir().unwrap();
    let server = dev(home.path(), Stdio::null(), Stdio::null());
    health(&server);
    let folder = format!("/proc/{}", server.process.id());
    let limits = std::fs::read_to_string(format!("{folder}/limits")).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().skip(4).take(2).collect::<Vec<_>>(), ["0", "0"]);
    let status = std::fs::read_to_string(format!("{folder}/status")).unwrap();
    assert!(status.lines().any(|line| line == "NoNewPrivs:\t1"), "{status}");
    assert!(status.lines().any(|line| line == "Umask:\t0077"), "{status}");
}

#[test]
fn a_configuration_that_cannot_be_used_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.hcl");
    std::fs::write(&file, "storage \"inmem\" {}\nlistener \"tcp\" {\n  tls_disable = \"perhaps\"\n}\n").unwrap();
    let output = output(&["server", "-config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("c.hcl:3: listener \"tcp\": tls_disable must be true or false"), "{said}");
}

/// Writes a configuration with TLS from files, whose log goes to a file.
fn write_configuration(folder: &Path, port: u16) {
    let key = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("cert.pem"), key.cert.pem()).unwrap();
    std::fs::write(folder.join("key.pem"), key.signing_key.serialize_pem()).unwrap();
    let path = |name: &str| folder.join(name).display().to_string();
    let text = format!(
        "storage \"inmem\" {{}}\nlog_file = {:?}\nlistener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n \
         tls_cert_file = {:?}\n tls_key_file = {:?}\n}}\n",
        path("log"),
        path("cert.pem"),
        path("key.pem"),
    );
    std::fs::write(folder.join("c.hcl"), text).unwrap();
}

/// A server with TLS from files, and its log's file.
fn server_with_files(folder: &Path) -> (Server, std::path::PathBuf) {
    let port = free_port();
    write_configuration(folder, port);
    let file = folder.join("c.hcl");
    let arguments = ["server", "-config", file.to_str().unwrap()];
    let process = command().args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    (Server { process, port }, folder.join("log"))
}

/// Waits until a text is in the log as often as wanted, and answers the log.
fn wait_for_log(log: &Path, text: &str, times: usize) -> String {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        let said = std::fs::read_to_string(log).unwrap_or_default();
        if said.matches(text).count() >= times {
            return said;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("{text:?} is not in the log: {}", std::fs::read_to_string(log).unwrap_or_default());
}

fn hang_up(server: &Server) {
    let process = rustix::process::Pid::from_child(&server.process);
    rustix::process::kill_process(process, rustix::process::Signal::HUP).unwrap();
}

#[test]
fn a_reload_that_failed_does_not_claim_success() {
    const SUCCESS: &str = "TLS files, log level and audit devices were reloaded";
    let folder = tempfile::tempdir().unwrap();
    let (server, log) = server_with_files(folder.path());
    wait_for_log(&log, "listening", 1);
    hang_up(&server);
    wait_for_log(&log, SUCCESS, 1);
    let failures = [
        ("key.pem", "no key", "the TLS files of a listener could not be reloaded; the old ones stay"),
        ("c.hcl", "log_level = \"loud\"", "the configuration could not be reloaded"),
    ];
    for (number, (file, text, said)) in failures.into_iter().enumerate() {
        std::fs::write(folder.path().join(file), text).unwrap();
        hang_up(&server);
        let log = wait_for_log(&log, "the reload failed", number + 1);
        assert!(log.contains(said), "{log}");
        assert_eq!(log.matches(SUCCESS).count(), 1, "{log}");
    }
}

#[test]
fn verifying_looks_at_names_certificates_keys_and_paths() {
    let folder = tempfile::tempdir().unwrap();
    write_configuration(folder.path(), 8200);
    let file = folder.path().join("c.hcl");
    let good = std::fs::read_to_string(&file).unwrap();
    let verify = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let output = output(&["server", "-config", file.to_str().unwrap(), "-test-verify-only", "-dev-ha=false"]);
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    // The certificate that the test makes is for localhost and the address is 127.0.0.1.
    let (code, said) = verify(&good);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Warning: ") && said.contains("is not for 127.0.0.1"), "{said}");
    assert!(!folder.path().join("log").exists(), "nothing was started");
    let (code, said) = verify(&format!("{good}max_lease_tll = \"1h\"\nfoo {{}}\n"));
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("c.hcl:8: max_lease_tll is not known") && said.contains("c.hcl:9: foo is not known"),
        "{said}"
    );
    let cases = [
        (good.replace("cert.pem", "gone.pem"), "gone.pem cannot be read as PEM"),
        (good.replace("key.pem", "cert.pem"), "cert.pem"),
        (good.replace("/log\"", "/nowhere/log\""), "nowhere/log cannot be written"),
        (
            good.replace("inmem\" {}", &format!("file\" {{ path = \"{}/cert.pem/data\" }}", folder.path().display())),
            "cert.pem/data cannot be used",
        ),
        (format!("{good}pid_file = \"{}/gone/pid\"\n", folder.path().display()), "gone/pid cannot be written"),
        (
            good.replace("inmem\" {}", &format!("file\" {{ path = \"{}\" }}", folder.path().display())),
            "has mode 0755: run `chmod 0700`",
        ),
    ];
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (text, expected) in cases {
        let (code, said) = verify(&text);
        assert_eq!(code, Some(1), "{expected}: {said}");
        assert!(said.contains(expected), "{expected}: {said}");
    }
}

#[test]
fn a_start_that_fails_names_the_path() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("c.hcl");
    for (setting, named) in [
        ("storage \"file\" { path = \"/proc/no\" }", "/proc/no"),
        ("storage \"inmem\" {}\nlog_file = \"/proc/no/log\"", "/proc/no/log"),
        ("storage \"inmem\" {}\npid_file = \"/proc/no/pid\"", "/proc/no/pid"),
    ] {
        let port = free_port();
        let listener = format!("listener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_disable = 1\n}}\n");
        std::fs::write(&file, format!("{setting}\n{listener}")).unwrap();
        let output = output(&["server", "-config", file.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(named), "{named}: {said}");
    }
}

#[test]
fn a_start_that_fails_leaves_the_file_of_the_running_server_alone() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (pid_file, port) = (folder.path().join("pid"), taken.local_addr().unwrap().port());
    std::fs::write(&pid_file, "1750").unwrap();
    let text = format!(
        "storage \"inmem\" {{}}\npid_file = \"{}\"\nlistener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_disable = \
         1\n}}\n",
        pid_file.display()
    );
    let file = folder.path().join("c.hcl");
    std::fs::write(&file, text).unwrap();
    assert_eq!(output(&["server", "-config", file.to_str().unwrap()]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), "1750");
}

#[test]
fn an_error_at_the_start_is_said_once() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let (file, port) = (folder.path().join("c.hcl"), taken.local_addr().unwrap().port());
    let text =
        format!("storage \"inmem\" {{}}\nlistener \"tcp\" {{\n address = \"127.0.0.1:{port}\"\n tls_disable = 1\n}}\n");
    std::fs::write(&file, text).unwrap();
    let output = output(&["server", "-config", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said.matches("in use").count(), 1, "{said}");
}

#[test]
fn the_version_is_one_line_that_scripts_can_take_apart() {
    for form in ["version", "-version", "--version", "-v"] {
        let output = output(&[form]);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(said.lines().count(), 1, "{form}: {said}");
        assert_eq!(said.split(' ').nth(1), Some("v1.17.6"), "{form}: {said}");
    }
}
