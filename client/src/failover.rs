//! The course of one call over several attempts and nodes.
//!
//! ```text
//!   choose a node ──► one attempt ──┬─ answered, final ─────────────► the caller
//!        ▲                          ├─ node down, sealed, leaderless ► next node
//!        │                          ├─ lost: read, or remembered ───► next node
//!        │                          └─ lost: write, not remembered ─► UnknownOutcome
//!        └── rest, when every node was tried ◄──┘      deadline ────► what is known by then
//! ```
//!
//! It holds the rules of checks 264 and 265. What surprises: after a lost write only a success is believed. An error
//! reply to the repetition says nothing about the lost attempt, which may still be running on a node that was slow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use http::HeaderMap;
use parking_lot::Mutex;
use reqwest::Url;

use crate::address::{Address, Origin};
use crate::error::{Attempt, Cause, Error, StatusError};
use crate::index::IndexMemory;
use crate::nodes::Nodes;
use crate::reply::{Reply, Voice};
use crate::request::{Effect, Request, Scope};
use crate::retry::{self, Judgement, Limits};
use crate::transport::{self, Answer, Context, Sent, Transport};

/// How long a node that failed is tried last.
const COOLING: Duration = Duration::from_secs(5);

/// What all calls of a client share.
pub(crate) struct Shared {
    pub(crate) transport: std::sync::Arc<Transport>,
    pub(crate) nodes: Mutex<Nodes>,
    pub(crate) indexes: Mutex<IndexMemory>,
    /// Whether some node of this cluster echoed an `Idempotency-Key`, or the caller vouches for it.
    pub(crate) remembers: AtomicBool,
    pub(crate) limits: Limits,
    /// When the cluster was last asked for its nodes; nothing if that is switched off.
    pub(crate) discovery: Option<Mutex<Option<Instant>>>,
}

/// Carries the request out, or says what is known about it.
pub(crate) async fn run(shared: &Shared, request: &Request, mut context: Context) -> Result<Reply, Error> {
    if request.effect == Effect::Read && request.scope == Scope::Cluster {
        context.indexes = shared.indexes.lock().values();
    }
    let headers = transport::headers(request, &context)?;
    let target = request.target()?;
    let mut course = Course::new(shared, request);
    loop {
        let Some(address) = course.next_node()? else {
            course.rest().await?;
            continue;
        };
        let (asked, sent) = attempt(&course, &address, &target, &headers).await?;
        if let Some(reply) = course.take(&asked, sent)? {
            return Ok(reply);
        }
    }
}

/// One attempt on one node, following at most one redirect; also who was asked last.
async fn attempt(
    course: &Course<'_>,
    address: &Address,
    target: &str,
    headers: &HeaderMap,
) -> Result<(Address, Sent), Error> {
    let (shared, request) = (course.shared, course.request);
    let url = Url::parse(&format!("{address}{target}"))
        .map_err(|_| request.invalid("the path does not make a URL together with the address"))?;
    let (began, timeout) = (Instant::now(), course.attempt_timeout());
    let sent = shared.transport.send(address, url.clone(), request, headers.clone(), timeout).await;
    let Some(location) = redirection(&sent) else {
        return Ok((address.clone(), sent));
    };
    let refuse = |to: String, reason: &'static str| {
        let (method, path, from) = (request.method, request.path.clone(), address.clone());
        Error::RedirectRefused { method, path, from, to, reason }
    };
    let next = url.join(location).map_err(|_| refuse("nowhere".to_owned(), "its Location is not a URL"))?;
    let Some(origin) = Origin::of(&next) else {
        return Err(refuse(next.scheme().to_owned(), "it is not an address of the web"));
    };
    if address.is_tls() && !origin.is_tls() {
        return Err(refuse(origin.to_string(), "it would send the token unencrypted"));
    }
    let Some(named) = shared.nodes.lock().at(&origin) else {
        let reason = "the token is sent only to known addresses; add this one to VAULT_ADDR if it is yours";
        return Err(refuse(origin.to_string(), reason));
    };
    let left = timeout.saturating_sub(began.elapsed());
    let sent = shared.transport.send(&named, next, request, headers.clone(), left).await;
    Ok((named, sent))
}

/// Where a server sends a request. Only 307 is followed, which is what servers of this API answer: the others are a
/// proxy's, and clients disagree about what becomes of method and body under them.
fn redirection(sent: &Sent) -> Option<&str> {
    let Sent::Answered(answer) = sent else {
        return None;
    };
    answer.location.as_deref().filter(|_| answer.reply.status() == 307)
}

struct Course<'a> {
    shared: &'a Shared,
    request: &'a Request,
    deadline: Instant,
    /// Rounds over all nodes that are behind us.
    round: u32,
    /// The nodes tried in this round.
    visited: Vec<Address>,
    /// The newest [`Attempt::KEPT`] attempts without an answer.
    attempts: Vec<Attempt>,
    /// An attempt may have arrived and brought no answer. Never goes back to false.
    lost: bool,
    /// How often a server said that it failed.
    server_errors: u32,
    /// The newest answer that was not final.
    last: Option<Answer>,
    /// The pause a server asked for; it ends the round.
    asked: Option<Option<Duration>>,
    /// The shortest pause that a node asked for that cannot serve; another may, so it only delays the next round.
    advised: Option<Duration>,
    began: Instant,
    /// The mark of the index memory when the call began.
    mark: u64,
}

impl<'a> Course<'a> {
    fn new(shared: &'a Shared, request: &'a Request) -> Self {
        Self {
            shared,
            request,
            deadline: Instant::now() + shared.limits.deadline,
            round: 0,
            visited: Vec::new(),
            attempts: Vec::new(),
            lost: false,
            server_errors: 0,
            last: None,
            asked: None,
            advised: None,
            began: Instant::now(),
            mark: shared.indexes.lock().mark(),
        }
    }

    fn may_repeat(&self) -> bool {
        let remembered = self.request.is_remembered() && self.shared.remembers.load(Ordering::Acquire);
        retry::may_repeat(self.request.effect, remembered)
    }

    /// A lone node, and a write that could not be repeated, get all the time there is: cutting them short gains
    /// nothing.
    fn attempt_timeout(&self) -> Duration {
        let remaining = self.deadline.saturating_duration_since(Instant::now());
        let alone = self.request.scope == Scope::Node || self.shared.nodes.lock().count() == 1;
        if alone || !self.may_repeat() {
            return remaining;
        }
        retry::attempt_timeout(self.shared.limits.attempt_timeout, self.round, remaining)
    }

    /// The next node of this round, or nothing when the round is over.
    fn next_node(&mut self) -> Result<Option<Address>, Error> {
        let now = Instant::now();
        if now >= self.deadline {
            return Err(self.give_up());
        }
        if self.asked.is_some() {
            return Ok(None);
        }
        let nodes = self.shared.nodes.lock();
        let chosen = match self.request.scope {
            Scope::Cluster => nodes.choose(&self.visited, now),
            Scope::Node => Some(nodes.first().clone()).filter(|first| !self.visited.contains(first)),
        };
        Ok(chosen.inspect(|address| self.visited.push(address.clone())))
    }

    /// Waits before the next round, or gives up.
    async fn rest(&mut self) -> Result<(), Error> {
        let asked = self.asked.take().unwrap_or_else(|| self.advised.map(retry::advised_pause));
        self.advised = None;
        let pause = retry::pause(self.round, rand::random(), asked);
        let limits = &self.shared.limits;
        let spent = limits.max_retries.is_some_and(|most| self.round >= most)
            || limits.patience.is_some_and(|patience| self.began.elapsed() + pause > patience);
        if spent || self.request.scope == Scope::Node || Instant::now() + pause >= self.deadline {
            return Err(self.give_up());
        }
        tokio::time::sleep(pause).await;
        self.round += 1;
        self.visited.clear();
        Ok(())
    }

    /// Takes in how an attempt ended: a reply for the caller, nothing to go on, or an error to stop with.
    fn take(&mut self, address: &Address, sent: Sent) -> Result<Option<Reply>, Error> {
        match sent {
            Sent::Never(cause) => {
                self.failed(address, cause, false);
                Ok(None)
            }
            Sent::Lost(cause) => self.lose(address, cause),
            Sent::TooLarge => Err(Error::ReplyTooLarge {
                method: self.request.method,
                path: self.request.path.clone(),
                limit_bytes: self.shared.transport.max_reply_bytes(),
                effect: self.request.effect,
            }),
            Sent::Answered(answer) => self.weigh(address, answer),
        }
    }

    fn weigh(&mut self, address: &Address, answer: Answer) -> Result<Option<Reply>, Error> {
        if answer.remembers {
            self.shared.remembers.store(true, Ordering::Release);
        }
        let (status, voice) = (answer.reply.status(), answer.reply.voice());
        if self.request.scope == Scope::Node && voice != Voice::UndecidedServer {
            return self.finish(address, answer);
        }
        match retry::judge(status, voice) {
            Judgement::Final => return self.finish(address, answer),
            Judgement::Elsewhere => {
                self.shared.nodes.lock().cool(address, Instant::now(), COOLING);
                self.advised = [self.advised, answer.retry_after].into_iter().flatten().min();
            }
            Judgement::Patience => self.asked = Some(answer.retry_after),
            Judgement::Undecided if voice == Voice::Proxy => return self.lose(address, Cause::Proxy(status)),
            Judgement::Undecided => return self.lose(address, Cause::Undecided),
            Judgement::ServerError => {
                if !self.may_repeat() || self.server_errors == retry::MAX_SERVER_ERRORS {
                    return self.finish(address, answer);
                }
                self.server_errors += 1;
            }
        }
        self.last = Some(answer);
        Ok(None)
    }

    fn lose(&mut self, address: &Address, cause: Cause) -> Result<Option<Reply>, Error> {
        self.lost = true;
        self.failed(address, cause, true);
        if self.may_repeat() { Ok(None) } else { Err(self.give_up()) }
    }

    fn failed(&mut self, address: &Address, cause: Cause, may_have_arrived: bool) {
        self.shared.nodes.lock().cool(address, Instant::now(), COOLING);
        if self.attempts.len() == Attempt::KEPT {
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt { address: address.clone(), cause, may_have_arrived });
    }

    fn finish(&mut self, address: &Address, answer: Answer) -> Result<Option<Reply>, Error> {
        self.shared.nodes.lock().answered(address);
        let status = answer.reply.status();
        if let Some(index) = answer.index.filter(|_| self.request.effect == Effect::Write) {
            self.shared.indexes.lock().remember(self.mark, index);
        }
        let success = (200..300).contains(&status);
        if success || (self.request.any_status && !self.lost) {
            return Ok(Some(answer.reply));
        }
        Err(self.refused(answer.reply))
    }

    /// The error for an answer that is not a success.
    fn refused(&mut self, reply: Reply) -> Error {
        let status = reply.status();
        let error = Box::new(StatusError {
            method: self.request.method,
            path: self.request.path.clone(),
            effect: self.request.effect,
            status,
            errors: reply.errors().into_iter().map(str::to_owned).collect(),
            reply,
        });
        // A server that failed may have failed after it proposed; a refusal of the repetition does not undo that.
        let doubtful = self.lost || (self.server_errors > 0 && status < 500);
        if self.request.effect == Effect::Write && doubtful {
            return self.unknown(Some(error));
        }
        Error::Status(error)
    }

    fn unknown(&mut self, answer: Option<Box<StatusError>>) -> Error {
        let (method, path) = (self.request.method, self.request.path.clone());
        Error::UnknownOutcome { method, path, attempts: std::mem::take(&mut self.attempts), answer }
    }

    /// What is known when no further attempt will be made.
    fn give_up(&mut self) -> Error {
        if let Some(answer) = self.last.take() {
            return self.refused(answer.reply);
        }
        let (method, path) = (self.request.method, self.request.path.clone());
        match (self.lost, self.request.effect) {
            (true, Effect::Write) => self.unknown(None),
            (true, Effect::Read) => Error::Unanswered { method, path, attempts: std::mem::take(&mut self.attempts) },
            (false, _) => Error::Unreachable { method, path, attempts: std::mem::take(&mut self.attempts) },
        }
    }
}
