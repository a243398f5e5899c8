//! The binary `conclave`: a server, or the command line that talks to one.

use std::ffi::OsString;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "server") {
        return conclave_node::server::run(arguments[1..].to_vec());
    }
    ExitCode::FAILURE
}
