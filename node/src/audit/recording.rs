//! One request's way into the record.

use std::sync::Arc;

use conclave_vault::{Done, Error, Trail};

use crate::audit::Audit;
use crate::audit::entry::{Asked, Entry};
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;

/// How far the record of one request is.
pub(crate) enum Recording {
    /// Nobody wants it, or another node makes it.
    Off,
    /// Not begun.
    Ready,
    /// The first half is written down.
    Asked(Arc<Asked>),
    /// Nobody took the first half, so the request is refused.
    Failed,
}

impl Recording {
    /// Of a new request.
    pub(crate) fn new(audit: &Audit) -> Self {
        if audit.is_on() { Self::Ready } else { Self::Off }
    }

    /// The first half, after the first run and before anything comes of it.
    pub(crate) async fn ask(&mut self, audit: &Audit, incoming: &Incoming, done: &mut Done) -> Result<(), Error> {
        let trail = match self {
            Self::Off | Self::Failed => return Ok(()),
            Self::Ready | Self::Asked(_) => done.trail.take().map(|trail| *trail).unwrap_or_default(),
        };
        if let Self::Asked(asked) = self {
            // The policies may have changed since; what the last run found is what its reply stands on.
            Arc::make_mut(asked).trail = trail;
            return Ok(());
        }
        let refused = done.result.as_ref().err().filter(|_| done.errand.is_none());
        let error = refused.map(|error| error.messages.join("; "));
        self.begin(audit, incoming, trail, error).await
    }

    async fn begin(
        &mut self,
        audit: &Audit,
        incoming: &Incoming,
        trail: Trail,
        error: Option<String>,
    ) -> Result<(), Error> {
        let asked = Arc::new(Asked::new(&incoming.request, trail));
        let recorded = audit.record(Entry::asked(&asked, error)).await;
        *self = if recorded.is_ok() { Self::Asked(asked) } else { Self::Failed };
        recorded
    }

    /// The second half, before the reply leaves; what leaves then.
    pub(crate) async fn answer(mut self, audit: &Audit, incoming: &Incoming, outgoing: Outgoing) -> Outgoing {
        if let Self::Ready = self {
            // It was refused before it ran.
            let _ = self.begin(audit, incoming, Trail::default(), None).await;
        }
        let Self::Asked(asked) = self else { return outgoing };
        if audit.record(Entry::answered(&asked, &outgoing)).await.is_ok() || outgoing.status >= 400 {
            return outgoing;
        }
        error::failure(
            500,
            &[
                "the request was carried out, but no audit device of this node recorded how; read before you write again",
            ],
        )
    }
}
