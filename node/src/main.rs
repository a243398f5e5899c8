//! The binary `conclave`: a server, or the command line that talks to one.

use std::alloc::System;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

use conclave_node::{recovery, server, version};
use zeroizing_alloc::ZeroAlloc;

/// Memory is wiped when it is freed: values, tokens and keys on their way leave nothing behind on the heap.
#[global_allocator]
static ALLOCATOR: ZeroAlloc<System> = ZeroAlloc(System);

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "server") {
        return server::run(arguments[1..].to_vec());
    }
    if arguments.len() > 1 && arguments[0] == "operator" && arguments[1] == "recover" {
        return recovery::run(arguments[2..].to_vec());
    }
    if arguments.len() > 1 && arguments[0] == "operator" && arguments[1] == "restore" {
        return recovery::restore::run(arguments[2..].to_vec());
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            // Whoever closed standard error has the exit code.
            let _ = writeln!(io::stderr(), "Error: the system refuses what the command needs: {error}");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(conclave_cli::run(arguments, &version::line()));
    // A thread that waits for the terminal must not keep the process.
    runtime.shutdown_background();
    code
}
