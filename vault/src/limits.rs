//! Bounds of the core, each with its unit. Those of one engine stand in the engine's file; what is derived from these stands
//! where it is needed. `docs/reference/limits.md` lists all of them, and a test holds it to the code.

// Keys.

/// Most key terms of a keyring, so that the record stays below the limit of a value; at one rotation a day it lasts for 27 years.
pub(crate) const MAX_TERMS: usize = 10_000;
/// Longest label of what is hashed under an index key, in bytes.
pub(crate) const MAX_INDEX_LABEL_BYTES: usize = 255;
/// Most shares of an unseal key: one for each x from 1 to 255.
pub(crate) const MAX_SHARES: usize = 255;
/// Longest text of a share that is looked at, in bytes: hexadecimal digits, with room for white space.
pub(crate) const MAX_SHARE_TEXT_BYTES: usize = 128;
/// Most challenges of a join by shares that were answered rightly and are remembered, so that none is answered twice.
pub(crate) const MAX_ANSWERED_CHALLENGES: usize = 1024;

// Requests.

/// Longest path of a request, in bytes.
pub(crate) const MAX_PATH_BYTES: usize = 4096;
/// Most segments of a request's path.
pub(crate) const MAX_PATH_SEGMENTS: usize = 48;
/// Deepest nesting of arrays and objects in a JSON document.
pub(crate) const MAX_JSON_DEPTH: usize = 64;
/// Most values in one JSON document.
pub(crate) const MAX_JSON_VALUES: usize = 250_000;
/// Deepest nesting of objects and lists in HCL.
pub(crate) const MAX_HCL_DEPTH: usize = 32;
/// Longest duration that is understood: 292 years, which is as far as clients count nanoseconds in 64 bits.
pub(crate) const MAX_DURATION_SECS: f64 = 292.0 * 365.25 * 86_400.0;
/// Longest idempotency key, in bytes.
pub const MAX_IDEMPOTENCY_KEY_BYTES: usize = 256;
/// Most errands of one request.
pub(crate) const MAX_ERRANDS: usize = 16;

// The store.

/// Longest segment of a stored path, in bytes, before encryption.
pub(crate) const MAX_SEGMENT_BYTES: usize = 1024;
/// Most bytes of all decoded objects in the cache together, as their makers estimate them.
pub(crate) const MAX_CACHE_BYTES: u64 = 128 * 1024 * 1024;
/// Most bytes of paths and their encrypted keys in the cache together.
pub(crate) const MAX_CACHED_KEYS_BYTES: u64 = 16 * 1024 * 1024;
/// Longest path that is kept in the cache with its key, in bytes.
pub(crate) const MAX_CACHED_PATH_BYTES: usize = 1024;

// Tokens and policies.

/// Longest token that is looked at, in bytes.
pub(crate) const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Most ancestors of a token.
pub(crate) const MAX_TOKEN_DEPTH: u32 = 64;
/// Longest id of a token that its maker may choose, in bytes.
pub(crate) const MAX_CHOSEN_ID_BYTES: usize = 256;
/// Most policies that are stored.
pub(crate) const MAX_POLICIES: u64 = 10_000;
/// Longest text of a policy, in bytes.
pub(crate) const MAX_POLICY_BYTES: usize = 1 << 20;
/// Longest name of a policy, in bytes.
pub(crate) const MAX_POLICY_NAME_BYTES: usize = 512;
/// Longest path of a list filter in a policy, in bytes.
pub(crate) const MAX_FILTER_BYTES: usize = 4096;
/// Most wrong logins that a mount can allow before it locks a user out. Each is a write.
pub const MAX_LOCKOUT_THRESHOLD: i64 = 1000;
/// Longest time of a lockout, and of a count of wrong logins, in seconds.
pub(crate) const MAX_LOCKOUT_SECS: u64 = 365 * 24 * 3600;

/// Most counts of wrong logins by names that do not exist, for each mount. A name beyond takes the place of another.
pub(crate) const MAX_STRANGER_COUNTS: u16 = 4096;

// Identity.

/// Longest name of an entity or a group, in bytes.
pub(crate) const MAX_IDENTITY_NAME_BYTES: usize = 512;
/// Most groups that one entity is in without another between.
pub(crate) const MAX_GROUPS_OF_ENTITY: usize = 512;
/// Most groups that one group is in, or has as members, directly.
pub(crate) const MAX_RELATED_GROUPS: usize = 256;
/// Most groups that one entity is in, those above others included. More, and its requests are refused: a part of them
/// would be a part of its denies.
pub(crate) const MAX_GROUPS_ABOVE: usize = 1_024;
/// Most groups that a method may name in one login.
pub(crate) const MAX_LOGIN_GROUPS: usize = 1_024;

// Login MFA.

/// Most methods of login MFA.
pub(crate) const MAX_MFA_METHODS: usize = 64;
/// Most enforcements of login MFA. Each login reads all of them.
pub(crate) const MAX_MFA_ENFORCEMENTS: usize = 64;
/// Most wrong codes that a method can allow before it lets nobody try for a while. Each is a write.
pub(crate) const MAX_MFA_ATTEMPTS: u32 = 100;

// Signed tokens of others.

/// Longest signed token that is looked at, in bytes.
pub(crate) const MAX_SIGNED_TOKEN_BYTES: usize = 32 << 10;
/// Most keys of a set that checks signed tokens.
pub(crate) const MAX_KEY_SET_KEYS: usize = 128;

// The web outside.

/// Longest URL that is asked outside, in bytes.
pub(crate) const MAX_URL_BYTES: usize = 2_048;

// Leases.

/// Most bytes that an engine keeps with a lease.
pub(crate) const MAX_LEASE_DATA_BYTES: usize = 64 << 10;
/// Most bytes of the name of a target outside.
pub(crate) const MAX_TARGET_BYTES: usize = 256;
/// How often it is tried to take back a lease; then it is irrevocable until an operator sees to it.
pub(crate) const MAX_REVOKE_ATTEMPTS: u32 = 6;
/// Longest reason that is kept with an irrevocable lease, in bytes.
pub(crate) const MAX_REASON_BYTES: usize = 512;
/// Most targets outside that are looked at in one round of taking back.
pub(crate) const MAX_ENDING_TARGETS: usize = 256;
/// Most leases of one target outside that are taken back at once.
pub(crate) const MAX_ENDINGS_AT_TARGET: usize = 4;
/// Most marks of revoked paths at a time. Each costs a comparison at every use of a token of its mount.
pub(crate) const MAX_MARKS: usize = 1000;

// Audit.

/// Most chains of one audit device on one node whose newest line is kept; each start of the node begins one.
pub(crate) const MAX_AUDIT_CHAINS: usize = 64;
/// Most chains of all audit devices on one node whose newest line is kept; the oldest are forgotten.
pub(crate) const MAX_AUDIT_HEADS: usize = 1024;

// Background work.

/// Most pieces of background work in one run: tokens ended, records deleted. Each takes at most six operations of the batch.
pub(crate) const MAX_TASK_ITEMS: usize = 512;
/// Most hours of the calendar, and most minutes of one, that are listed.
pub(crate) const MAX_BUCKETS: usize = 100_000;
/// Most entries of the calendar that one run takes, which leaves room for the other work.
pub(crate) const MAX_DUE_ENTRIES: usize = 256;
/// Most chores that one run looks at.
pub(crate) const MAX_CHORES: usize = 64;
/// Most pieces of work for one chore in one run, so that a large one leaves room for others.
pub(crate) const MAX_CHORE_ITEMS: usize = 256;

// Members.

/// Most nodes of a cluster.
pub const MAX_MEMBERS: usize = 64;
/// Longest name of a node, in bytes.
pub(crate) const MAX_NODE_NAME_BYTES: usize = 128;
/// Longest time that a join token may be redeemed, in seconds.
pub(crate) const MAX_JOIN_TOKEN_SECS: u64 = 32 * 24 * 3600;
/// Most nodes that one join token may let in.
pub(crate) const MAX_JOIN_TOKEN_USES: u64 = MAX_MEMBERS as u64;

// Password policies.

/// Most rules of a password policy.
pub(crate) const MAX_PASSWORD_RULES: usize = 64;
