//! `completion`: a script that teaches a shell to complete this program's words.

use clap::{Args, Command};
use clap_complete::Shell;

use crate::failure::Outcome;
use crate::output;

/// Print a completion script: conclave completion bash > /etc/bash_completion.d/conclave
#[derive(Args)]
pub(crate) struct Completion {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

impl Completion {
    pub(crate) fn run(&self, mut grammar: Command) -> Outcome {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut grammar, "conclave", &mut script);
        output::bytes(&script)
    }
}
