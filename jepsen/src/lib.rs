//! Proof by hurting: real server processes on loopback, faults on a schedule that a seed decides, a history of what
//! clients saw, and checkers that judge it.
//!
//! It is a black box: it knows the API and the process, never the server's insides. What surprises: a checker answers
//! three ways. "Unknown" is neither good nor bad, and a run that ends so has not passed.

pub mod check;
pub mod cluster;
pub mod coverage;
pub mod export;
pub mod history;
pub mod mounts;
pub mod mutant;
pub mod nemesis;
pub mod network;
pub mod readback;
pub mod report;
pub mod run;
pub mod sample;
pub mod scenario;
pub mod soak;
pub mod spawner;
pub mod workload;
