//! Asking a person, or reading one line from a pipe.

use std::io::{self, BufRead, IsTerminal, Write};

use conclave_client::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Asks on the terminal for a line without showing it.
///
/// # Errors
/// If there is no terminal, or it ends.
pub fn hidden(question: &str) -> io::Result<Zeroizing<String>> {
    rpassword::prompt_password(question).map(Zeroizing::new)
}

/// Asks for a secret without showing it; from a pipe, reads one line.
pub(crate) fn secret(question: &str, may_ask: bool) -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        if !may_ask {
            return Err(Failure::Usage(format!("{question} is needed, and -non-interactive forbids asking for it")));
        }
        let answer = hidden(&format!("{question} (will be hidden): "))?;
        return filled(question, &answer);
    }
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line)?;
    filled(question, &line)
}

/// Asks for a line that may be seen.
pub(crate) fn line(question: &str) -> Result<String, Failure> {
    let mut stderr = io::stderr().lock();
    stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush())?;
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

/// Whether there is somebody to ask.
pub(crate) fn is_possible(may_ask: bool) -> bool {
    may_ask && io::stdin().is_terminal()
}

fn filled(question: &str, answer: &str) -> Result<Secret, Failure> {
    match answer.trim() {
        "" => Err(Failure::Usage(format!("{question} is empty"))),
        answer => Ok(Secret::new(answer)),
    }
}
