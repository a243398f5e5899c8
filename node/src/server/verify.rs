//! What a configuration's words do not show: whether the files and folders that it names can be used.
//!
//! A start finds errors by itself and stops; `-test-verify-only` looks for all of them and starts nothing. What is only
//! odd is a warning in both.

use std::fs;
use std::net::ToSocketAddrs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use conclave_storage::layout;
use conclave_vault::Time;
use rustix::fs::{Access, access};

use crate::audit;
use crate::config::{Config, Problem, RetryJoin, Storage, Tls, address};
use crate::http::{certificate, tls};
use crate::server::chain;

/// What is odd about the files: an expired certificate, one for another host, a key that others may read.
pub(super) fn warnings(config: &Config, now: Time) -> Vec<Problem> {
    let url = config.api_addr.as_str();
    let authority = url.split_once("://").map_or(url, |(_, rest)| rest).trim_end_matches('/');
    let host = address::split(authority).map_or(authority, |(host, _)| host);
    let of_listener = |tls: &Tls| {
        let chain = tls::read_certificates(&tls.cert_file).unwrap_or_default();
        let odd = chain.first().map(|first| certificate::oddities(first, host, now)).unwrap_or_default();
        let mut odd: Vec<_> = odd.iter().map(|text| Problem::of_file(&tls.cert_file, text)).collect();
        let mode = fs::metadata(&tls.key_file).map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o077 != 0 {
            odd.push(Problem::of_file(
                &tls.key_file,
                "others may read the TLS key; take the right away with chmod 600",
            ));
        }
        odd
    };
    config.listeners.iter().filter_map(|listener| listener.tls.as_ref()).flat_map(of_listener).collect()
}

/// What cannot be used, one line each.
pub(super) fn errors(config: &Config) -> Vec<String> {
    let mut errors = Vec::new();
    for listener in &config.listeners {
        if let Some(tls) = &listener.tls
            && let Err(error) = tls::Certificates::load(tls)
        {
            errors.push(chain(&error));
        }
        for address in [&listener.address, &listener.cluster_address] {
            if let Err(error) = address.to_socket_addrs() {
                errors.push(format!("the address {address} does not resolve: {error}"));
            }
        }
    }
    match &config.storage {
        Storage::Memory => {}
        Storage::File { path } => errors.extend(unusable_folder(path)),
        Storage::Raft(raft) => {
            errors.extend(unusable_folder(&raft.path));
            errors.extend(raft.retry_join.iter().flat_map(unreadable_files));
        }
    }
    errors.extend(audit::check(config));
    let files = [&config.log.file, &config.pid_file];
    errors.extend(files.into_iter().flatten().filter_map(|path| unwritable_file(path)));
    errors
}

/// Why a data folder cannot be used. One that is not there yet is made at the start.
fn unusable_folder(path: &Path) -> Option<String> {
    let shown = path.display();
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_dir() => Some(format!("{shown} is no folder")),
        Ok(_) => match access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
            Err(error) => Some(format!("the folder {shown} cannot be used: {error}")),
            Ok(()) => layout::check_is_private(path).err().map(|error| chain(&error)),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let parent = existing_parent(path);
            let denied = access(&parent, Access::WRITE_OK | Access::EXEC_OK).err();
            denied.map(|error| format!("the folder {shown} cannot be made in {}: {error}", parent.display()))
        }
        Err(error) => Some(format!("the folder {shown} cannot be used: {error}")),
    }
}

/// The nearest folder above a path that exists.
fn existing_parent(path: &Path) -> PathBuf {
    let above = path.ancestors().skip(1).map(|above| if above.as_os_str().is_empty() { Path::new(".") } else { above });
    above.into_iter().find(|above| above.exists()).unwrap_or(Path::new(".")).to_owned()
}

fn unwritable_file(path: &Path) -> Option<String> {
    let shown = path.display();
    let judged = if path.exists() {
        access(path, Access::WRITE_OK)
    } else {
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        access(parent, Access::WRITE_OK | Access::EXEC_OK)
    };
    judged.err().map(|error| format!("{shown} cannot be written: {error}"))
}

fn unreadable_files(join: &RetryJoin) -> Vec<String> {
    let files = [&join.leader_ca_cert_file, &join.leader_client_cert_file, &join.leader_client_key_file];
    let failed = |path: &PathBuf| fs::File::open(path).err().map(|error| format!("{}: {error}", path.display()));
    files.into_iter().flatten().filter_map(failed).collect()
}
