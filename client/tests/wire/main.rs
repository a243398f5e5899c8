//! The client against small servers in this process, over real connections.

mod calls;
mod failover;
mod fake;
mod redirect;
mod renewal;
mod tls;
