//! The command line as whoever types it sees it, against a real server.
//!
//! Each scenario is a text beside this file. A line that begins with `$ ` is run by a shell; below it stand the lines
//! expected on standard output, those on standard error behind `! `, and the exit code behind `? ` where it is not 0.
//! `[..]` stands for anything within a line, a lone `...` for any number of lines, and lines behind `# ` are for people.

#![allow(clippy::unwrap_used, reason = "a test ends with a panic")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);

/// A dev server that is killed when the test ends.
struct Server {
    process: Child,
    address: String,
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Server {
    fn start(home: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let listen = format!("127.0.0.1:{port}");
        let arguments = ["server", "-dev", "-dev-root-token-id", "root", "-dev-listen-address", &listen];
        let mut command = Command::new(env!("CARGO_BIN_EXE_conclave"));
        command.env_clear().env("HOME", home).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let server = Self { process: command.spawn().unwrap(), address: format!("http://{listen}") };
        let start = Instant::now();
        while !shell(home, &server.address, "conclave status").status.success() {
            assert!(start.elapsed() < PATIENCE, "the server is not ready");
            std::thread::sleep(Duration::from_millis(50));
        }
        server
    }
}

fn shell(home: &Path, address: &str, line: &str) -> std::process::Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_conclave")).parent().unwrap();
    Command::new("sh")
        .args(["-c", line])
        .current_dir(home)
        .env_clear()
        .env("PATH", format!("{}:/usr/bin:/bin", programs.display()))
        .env("HOME", home)
        .env("VAULT_ADDR", address)
        .env("VAULT_TOKEN", "root")
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// A command and what it must say.
#[derive(Default)]
struct Step {
    line: String,
    stdout: Vec<String>,
    stderr: Vec<String>,
    code: i32,
}

fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in text.lines() {
        if line.starts_with("# ") {
            continue;
        }
        if let Some(line) = line.strip_prefix("$ ") {
            steps.push(Step { line: line.to_owned(), ..Step::default() });
            continue;
        }
        let Some(step) = steps.last_mut() else { continue };
        match (line.strip_prefix('!'), line.strip_prefix("? ")) {
            (Some(line), _) => step.stderr.push(line.strip_prefix(' ').unwrap_or(line).to_owned()),
            (_, Some(code)) => step.code = code.parse().unwrap(),
            _ => step.stdout.push(line.to_owned()),
        }
    }
    steps
}

fn fits(expected: &[String], lines: &[&str]) -> bool {
    match expected.split_first() {
        None => lines.iter().all(|line| line.is_empty()),
        Some((first, rest)) if first == "..." => (0..=lines.len()).any(|from| fits(rest, &lines[from..])),
        Some((first, rest)) if first.is_empty() && rest.iter().all(String::is_empty) => fits(&[], lines),
        Some((first, rest)) => {
            lines.split_first().is_some_and(|(line, lines)| line_fits(first, line) && fits(rest, lines))
        }
    }
}

fn line_fits(expected: &str, line: &str) -> bool {
    let mut parts = expected.trim_end().split("[..]");
    let Some(mut rest) = parts.next().and_then(|first| line.trim_end().strip_prefix(first)) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        let found = if parts.peek().is_none() { rest.ends_with(part).then_some(rest.len()) } else { rest.find(part) };
        let Some(at) = found else { return false };
        rest = rest.get(at + part.len()..).unwrap_or("");
    }
    true
}

fn run(text: &str) {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(home.path());
    for step in steps(text) {
        let output = shell(home.path(), &server.address, &step.line);
        let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        let says = fits(&step.stdout, &stdout.lines().collect::<Vec<_>>());
        let complains = fits(&step.stderr, &stderr.lines().collect::<Vec<_>>());
        let code = output.status.code();
        assert!(
            says && complains && code == Some(step.code),
            "$ {}\n{stdout}\nstandard error:\n{stderr}\nexit code {code:?}, expected {}, and\n{}\nstandard error:\n{}",
            step.line,
            step.code,
            step.stdout.join("\n"),
            step.stderr.join("\n"),
        );
    }
}

#[test]
fn documents_and_tables_look_as_those_of_vault() {
    run(include_str!("output.txt"));
}

#[test]
fn mounts_are_made_shown_and_moved() {
    run(include_str!("mounts.txt"));
}

#[test]
fn audit_devices_record_and_their_files_are_verified() {
    run(include_str!("audit.txt"));
}

#[test]
fn policies_are_read_and_laid_out() {
    run(include_str!("policy.txt"));
}

#[cfg(target_os = "linux")]
#[test]
fn programs_get_secrets_and_show_none() {
    run(include_str!("run.txt"));
}

#[test]
fn errors_say_what_to_do() {
    run(include_str!("errors.txt"));
}

#[test]
fn a_scenario_can_fail() {
    assert!(line_fits("a [..] c", "a b c") && !line_fits("a [..] c", "a b d") && !line_fits("a", "ab"));
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert!(fits(&lines("a\n...\nc"), &["a", "b", "c"]) && !fits(&lines("a"), &["a", "b"]));
    assert!(!fits(&lines("a\nb"), &["a"]));
}
