//! Bounds of the listener and of the process, each with its unit and its default. The other crates have such a module too;
//! `docs/reference/limits.md` lists all of them, and a test holds it to the code.
//!
//! These are not settings: a listener's own settings (`max_request_size`, `max_request_duration` and the timeouts)
//! stand in [`crate::config::Listener`], and take their defaults from here.

use std::time::Duration;

/// Series of times by operation and mount; what comes after them is counted together.
pub(crate) const ROUTE_METRICS: usize = 512;
/// Time between two log lines about one condition that lasts, such as a peer that gives no answer.
pub(crate) const LOG_REMINDER_INTERVAL: Duration = Duration::from_secs(60);
/// Time between two log lines about a peer that is far away for the heartbeat.
pub(crate) const LOG_FAR_PEER_INTERVAL: Duration = Duration::from_secs(60 * 60);
/// Time between two log lines about refused unseal shares, which strangers can send.
pub(crate) const LOG_REFUSED_SHARE_INTERVAL: Duration = Duration::from_secs(10);

/// Longest text of an age recipient that shares or a root token are encrypted to, in bytes.
pub(crate) const MAX_RECIPIENT_BYTES: usize = 128;

/// Most records that are written to an audit device at once.
pub(crate) const AUDIT_GROUP: usize = 128;
/// A record of a request or a reply from this size on is hashed off the executor, in bytes.
pub(crate) const AUDIT_ASIDE_BYTES: usize = 64 << 10;
/// Time between two commits of how far the chains of audit devices are, if lines were written.
pub(crate) const AUDIT_HEADS_INTERVAL: Duration = Duration::from_secs(10);
/// Time that the receiver of an audit device has for a group of records, unless the device says otherwise.
pub(crate) const AUDIT_SEND_TIME: Duration = Duration::from_secs(2);
/// Longest such time that a device may have: a request waits no longer.
pub(crate) const MAX_AUDIT_SEND_TIME: Duration = Duration::from_secs(5);
/// Longest message to syslog, its header included, in bytes: rsyslog cuts longer ones, so a longer record is sent in parts.
pub(crate) const MAX_SYSLOG_MESSAGE_BYTES: usize = 8_096;
/// Longest tag of messages to syslog, in bytes.
pub(crate) const MAX_SYSLOG_TAG_BYTES: usize = 48;
/// Longest prefix of the lines of an audit device, in bytes.
pub(crate) const MAX_AUDIT_PREFIX_BYTES: usize = 64;
/// Most values of one field of a request without a token that works which are recorded one by one; more are hashed together, as JSON.
pub(crate) const MAX_AUDIT_STRANGER_VALUES: usize = 64;
/// Part of the end of an audit file that is looked at when it is opened, in bytes: its last line must be whole in it.
pub(crate) const MAX_AUDIT_TAIL_BYTES: u64 = 128 << 20;

/// Deepest nesting of what a directory sends.
pub(crate) const MAX_LDAP_DEPTH: usize = 32;
/// Deepest nesting of a filter for a directory.
pub(crate) const MAX_LDAP_FILTER_DEPTH: usize = 32;
/// Longest answer of a directory to the wish for encryption, in bytes.
pub(crate) const MAX_START_TLS_BYTES: usize = 4 << 10;
/// Most groups that are looked up one by one for a user of Active Directory.
pub(crate) const MAX_DIRECTORY_GROUPS: usize = 1_024;

/// Bounds on what strangers, clients and files may make the server hold. Past each there is a clear answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections to all listeners together. Past it, a new one takes the place of the one that is idle longest,
    /// of the client that has most. There is no limit for one client: behind a load balancer all are one.
    pub connections: usize,
    /// TLS handshakes under way at once on one listener. Past it, a new one takes the place of the oldest, of the
    /// client that has most.
    pub handshakes: usize,
    /// Time for one TLS handshake.
    pub handshake_time: Duration,
    /// Time from the connection to the end of its first request's headers.
    pub header_time: Duration,
    /// Time that a connection may lie idle between requests.
    pub idle_time: Duration,
    /// Time for one request's body to arrive.
    pub body_time: Duration,
    /// Time that a body may bring nothing, at its beginning too (408).
    pub body_pause_time: Duration,
    /// Bytes a second that a body must bring on average after its first pause (408).
    pub body_bytes_per_sec: usize,
    /// Time that a client may refuse to take bytes of a reply.
    pub write_stall_time: Duration,
    /// Time between pings on an HTTP/2 connection, and time to answer one.
    pub ping_time: Duration,
    /// Time that requests get to end when the server stops.
    pub drain_time: Duration,
    /// Bytes of replies on one HTTP/2 connection that its client has not taken, before its next requests wait.
    pub untaken_bytes: usize,
    /// As above, on all connections of a listener together, before those of which nothing is taken for a second are closed.
    pub all_untaken_bytes: usize,
    /// Requests at once on one HTTP/2 connection.
    pub streams_per_connection: u32,
    /// All header lines of a request together, in bytes (431).
    pub header_bytes: usize,
    /// Header lines of a request (431).
    pub header_lines: usize,
    /// The token header, in bytes (431).
    pub token_bytes: usize,
    /// An idempotency key, in bytes (400).
    pub idempotency_key_bytes: usize,
    /// Query parameters of a request (400).
    pub query_parameters: usize,
    /// Requests being served at once (503).
    pub requests: usize,
    /// Further requests for health, seal status and leader, which must get through when all else is full.
    pub status_requests: usize,
    /// Further requests that initialise or unseal, or start to; they too must get through.
    pub unseal_requests: usize,
    /// A request's body, in bytes, unless the listener says otherwise (413).
    pub body_bytes: usize,
    /// The body of a request without a token, in bytes (413). With one, this much is taken before the token is known.
    pub body_bytes_without_token: usize,
    /// What the body of a request without a token may take once it is decoded, in bytes (413). With one, a body that takes
    /// more is decoded after the token is known.
    pub decoded_bytes_without_token: usize,
    /// The body that brings an unseal share, in bytes (413).
    pub unseal_body_bytes: usize,
    /// Bodies and what they are decoded to, held in memory at once from the first byte to the reply, in bytes (503). Each counts
    /// for at least [`Limits::body_bytes_without_token`] while it arrives. Past it, what arrives for the client that holds most
    /// ends.
    pub all_bodies_bytes: usize,
    /// A body from this size on is parsed, and its request run, off the executor, in bytes.
    pub aside_bytes: usize,
    /// Bytes of a refused body that are read and thrown away, so that the client can read the refusal.
    pub discard_bytes: usize,
    /// Time for throwing them away.
    pub discard_time: Duration,
    /// Time for one request, unless the listener says otherwise.
    pub request_time: Duration,
    /// Time after the last contact with a quorum until what waits for one is given up (503).
    pub consensus_time: Duration,
    /// Time that a request waits in any case for a quorum that is known to be gone (503).
    pub cut_off_time: Duration,
    /// Time between two questions whether a quorum confirms the leader, if no read asks.
    pub contact_interval: Duration,
    /// Time after which a leader that no quorum confirmed again is shown no more, and health is 503.
    pub contact_age: Duration,
    /// Time beyond a request's deadline after which its client gets an answer in any case.
    pub deadline_grace: Duration,
    /// Errands that compute for long, such as digests of passwords, at once; each takes a thread and up to 19 MiB.
    pub heavy_errands: usize,
    /// Further ones that wait for a place (429).
    pub heavy_errands_waiting: usize,
    /// Messages to one target outside, such as a database, at once. Past it they wait.
    pub outside_at_target: usize,
    /// Further ones that wait for their turn at one target; past it they are refused. One client has half of both at most.
    pub outside_waiting: usize,
    /// Targets outside that have messages at once; past it a new one is refused.
    pub outside_targets: usize,
    /// Time that a target outside has to answer one, unless what is asked says otherwise, as for directories.
    pub outside_time: Duration,
    /// Time to find a web server outside and to connect to it, each.
    pub outside_connect_time: Duration,
    /// An answer of a web server or a directory outside, in bytes; a longer one is given up.
    pub outside_answer_bytes: usize,
    /// Answers of web servers outside, such as sets of keys, that are kept at once. Past it, the oldest goes.
    pub outside_kept_answers: usize,
    /// Leases that are taken back at once.
    pub endings: usize,
    /// Entries that wait for one audit device; past it, a request waits for a place.
    pub audit_entries: usize,
    /// Time that an audit device has to write one down; past it, it counts as lacking the entry (500 if all lack it).
    pub audit_time: Duration,
    /// Free bytes on the disk of the data folder below which a leader takes deletions only.
    pub disk_free_bytes: u64,
    /// Log lines that wait to be written; past it they are dropped and counted.
    pub log_lines: usize,
    /// One log line, in bytes; the rest is cut off.
    pub log_line_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            handshakes: 1_024,
            handshake_time: Duration::from_secs(10),
            header_time: Duration::from_secs(10),
            idle_time: Duration::from_secs(300),
            body_time: Duration::from_secs(30),
            body_pause_time: Duration::from_secs(5),
            body_bytes_per_sec: 4 << 10,
            write_stall_time: Duration::from_secs(60),
            ping_time: Duration::from_secs(30),
            drain_time: Duration::from_secs(10),
            untaken_bytes: 1 << 20,
            all_untaken_bytes: 256 << 20,
            streams_per_connection: 128,
            header_bytes: 64 << 10,
            header_lines: 100,
            token_bytes: 8 << 10,
            idempotency_key_bytes: conclave_vault::MAX_IDEMPOTENCY_KEY_BYTES,
            query_parameters: 256,
            requests: 8_192,
            status_requests: 256,
            unseal_requests: 64,
            body_bytes: 32 << 20,
            body_bytes_without_token: 64 << 10,
            decoded_bytes_without_token: 256 << 10,
            unseal_body_bytes: 4 << 10,
            all_bodies_bytes: 512 << 20,
            aside_bytes: 64 << 10,
            discard_bytes: 64 << 20,
            discard_time: Duration::from_secs(5),
            request_time: Duration::from_secs(90),
            consensus_time: Duration::from_secs(10),
            cut_off_time: Duration::from_secs(2),
            contact_interval: Duration::from_secs(1),
            contact_age: Duration::from_secs(5),
            deadline_grace: Duration::from_secs(5),
            heavy_errands: std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)),
            heavy_errands_waiting: 256,
            outside_at_target: 8,
            outside_waiting: 64,
            outside_targets: 1_024,
            outside_time: Duration::from_secs(30),
            outside_connect_time: Duration::from_secs(5),
            outside_answer_bytes: 1 << 20,
            outside_kept_answers: 64,
            endings: 256,
            audit_entries: 256,
            audit_time: Duration::from_secs(5),
            disk_free_bytes: 256 << 20,
            log_lines: 16_384,
            log_line_bytes: 16 << 10,
        }
    }
}

/// How far a node's clock may be from the median of the voters' clocks, and a batch's time ahead of the leader's clock.
pub const CLOCK_OFFSET_MAX: Duration = Duration::from_secs(5);
/// How far a batch's time may lie behind the leader's clock: a proposal may wait for two minutes, then its clock may be off.
pub const BATCH_AGE_MAX: Duration = Duration::from_secs(125);
/// How long writes must have waited for the disk to count as a stall, at least; usually the longest election timeout.
pub const DISK_STALL_MIN: Duration = Duration::from_secs(1);
/// How long a disk that stalled counts as slow after it went on.
pub const DISK_CALM: Duration = Duration::from_secs(5);
/// For how long a voter must have got no answer from a node to count as not reaching it: some probes, which are made once a
/// second.
pub const UNANSWERED_MIN: Duration = Duration::from_secs(3);
/// For how long most voters must say that they do not reach a node before it counts as unreached. A connection that broke is
/// dialled again within this.
pub const UNREACHED_MIN: Duration = Duration::from_secs(3);
/// Bytes of changes that no checkpoint confirms, which lie in memory, at which a leader makes one.
pub const CHECKPOINT_BYTES: usize = 64 << 20;
/// Entries behind the newest checkpoint up to which a table is checked on a copy at unseal; what they change lies in memory then.
pub const TRIAL_ENTRIES_MAX: u64 = 65_536;
/// Longest line with a share on the standard input of `operator recover`, in bytes.
pub const SHARE_LINE_BYTES: usize = 4 << 10;
/// By how many bytes a change may make the records larger that it replaces while the disk is nearly full.
pub const FULL_DISK_GROWTH_BYTES: usize = 1 << 10;
/// How many bytes a change that deletes something may write while the disk is nearly full.
pub const FULL_DISK_BATCH_BYTES: usize = 64 << 10;
/// How long unseal shares wait on a node for a further one; then they are forgotten and the ceremony begins again.
pub const SHARES_TIME: Duration = Duration::from_secs(15 * 60);
/// How long one call may take by which a node looks for the cluster that it joins by shares, or proves that it may.
pub const JOIN_CALL_TIME: Duration = Duration::from_secs(10);
/// Longest answer to such a call, in bytes.
pub const JOIN_REPLY_BYTES: usize = 64 << 10;
/// How long the key that the shares made is kept, after the node has joined, for the seal's record to arrive.
pub const JOIN_UNSEAL_TIME: Duration = Duration::from_secs(60);
/// How often the batch that sets cluster time is made anew after a conflict.
pub(crate) const MAX_RESET_RERUNS: u32 = 10;
/// Longest configuration file, in bytes.
pub(crate) const MAX_CONFIGURATION_BYTES: usize = 1 << 20;
/// Most files of one configuration.
pub(crate) const MAX_CONFIGURATION_FILES: usize = 128;
/// Most `X-Vault-Index` headers of a request.
pub(crate) const MAX_INDEXES: usize = 16;
/// Longest `X-Vault-Index` header, and of others as short, in bytes.
pub(crate) const MAX_SMALL_HEADER_BYTES: usize = 1024;
/// How old a forwarded request may be, in milliseconds, clocks that differ included.
pub(crate) const MAX_FORWARD_AGE_MILLIS: u64 = 60_000;
/// Nonces of forwarded requests that are remembered, at 24 bytes each; more forwarded requests than 8,000 a second forget the oldest early.
pub(crate) const MAX_NONCES: usize = 1 << 20;
/// Runs of one request at most; each was overtaken by somebody who succeeded.
pub(crate) const MAX_REQUEST_RUNS: u32 = 1000;
/// How often a change of the node's own is run again after a conflict.
pub(crate) const MAX_CHANGE_RERUNS: u32 = 100;
/// Longest address that a node announces, in bytes.
pub(crate) const MAX_ADDRESS_BYTES: usize = 512;
/// Runs for one lease that is taken back, at most: each was ended by an errand or overtaken.
pub(crate) const MAX_ENDING_RUNS: usize = 32;
/// Clients whose requests are counted against limits of rates at once, for each limit; past it who is forgotten soonest goes first.
pub(crate) const MAX_RATE_CLIENTS: usize = 65_536;
/// Largest snapshot that `sys/storage/raft/snapshot` hands out, in bytes (413); it lies in memory until its client has it.
pub(crate) const MAX_SNAPSHOT_BYTES: usize = 512 << 20;
