//! The process: HTTP, TLS, configuration, timers and wiring.
//!
//! The only crate that knows HTTP, files of configuration, the environment, signals and the wall clock. It knows no
//! secrets engine and no policy: those are the vault's. Read `server` for the way up and down, `http` for the outside,
//! `gateway` for the seam, `app` for what is behind it.

pub mod config;
pub mod gateway;
pub mod http;

pub mod host;
pub mod logging;
pub mod memory;
pub mod metrics;
pub mod version;

pub mod app;
pub mod audit;
pub mod opening;
pub mod outside;

pub mod clock;
pub mod fresh;
pub mod keeper;
pub mod replica;
pub mod seal;

mod actions;
mod archive;
mod before_unseal;
mod brake;
mod cluster;
mod forward;
mod gauges;
mod heavy;
mod index;
mod loggers;
mod paths;
pub mod recovery;
mod reminder;
mod scrape;
mod serve;
mod snapshot;
mod throttle;
mod turns;
mod view;
mod vitals;
mod wakeups;

pub mod dev;
pub mod server;
