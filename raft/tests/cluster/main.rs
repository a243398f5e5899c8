//! Clusters in one process: real TLS over loopback, storage in memory, and no timing that a slow machine could miss.

mod nodes;

mod leadership;
mod members;
mod replication;
mod strangers;
