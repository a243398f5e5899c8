//! Asking a person, or reading one line from a pipe.

use std::io::{self, BufRead, IsTerminal};

use conclave_client::Secret;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// Asks for a secret without showing it; from a pipe, reads one line.
pub(crate) fn secret(question: &str, may_ask: bool) -> Result<Secret, Failure> {
    if io::stdin().is_terminal() {
        if !may_ask {
            return Err(Failure::Usage(format!("{question} is needed, and -non-interactive forbids asking for it")));
        }
        let answer = Zeroizing::new(rpassword::prompt_password(format!("{question} (will be hidden): "))?);
        return filled(question, &answer);
    }
    let mut line = Zeroizing::new(String::new());
    io::stdin().lock().read_line(&mut line)?;
    filled(question, &line)
}

fn filled(question: &str, answer: &str) -> Result<Secret, Failure> {
    match answer.trim() {
        "" => Err(Failure::Usage(format!("{question} is empty"))),
        answer => Ok(Secret::new(answer)),
    }
}
