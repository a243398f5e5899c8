//! One request's way into the record.

use std::sync::Arc;

use conclave_vault::{Core, Done, Error, Operation, Trail};

use crate::audit::entry::{Asked, Entry};
use crate::audit::{Audit, Devices};
use crate::gateway::{Incoming, Outgoing};
use crate::http::error;

/// Below this path audit itself is set up.
const OWN_PATHS: &str = "sys/audit/";

/// How far the record of one request is.
pub(crate) enum Recording {
    /// Another node makes it.
    Off,
    /// Not begun: it did not run yet, or there was no device. What its last run found out is kept if it may enable one.
    Ready(Option<Box<Trail>>),
    /// The first half is written down, and who gets the second.
    Asked(Arc<Asked>, Devices),
    /// Nobody took the first half, so the request is refused.
    Failed,
}

impl Recording {
    /// Of a new request.
    pub(crate) fn new() -> Self {
        Self::Ready(None)
    }

    /// Whether what a run finds out is wanted although there is no device: it may enable the first one.
    pub(crate) fn may_begin_with(incoming: &Incoming) -> bool {
        incoming.request.path.as_str().starts_with(OWN_PATHS)
    }

    /// The first half, after the first run and before anything comes of it.
    pub(crate) async fn ask(
        &mut self,
        audit: &Audit,
        core: &Arc<Core>,
        incoming: &Incoming,
        done: &mut Done,
    ) -> Result<(), Error> {
        let trail = match self {
            Self::Off | Self::Failed => return Ok(()),
            Self::Asked(asked, _) => {
                // The policies may have changed since; what the last run found is what its reply stands on.
                Arc::make_mut(asked).trail = done.trail.take().map(|trail| *trail).unwrap_or_default();
                return Ok(());
            }
            Self::Ready(trail) if !audit.is_on() => {
                *trail = done.trail.take();
                return Ok(());
            }
            Self::Ready(_) => done.trail.take().unwrap_or_default(),
        };
        let refused = done.result.as_ref().err().filter(|_| done.errand.is_none());
        let error = refused.map(|error| error.messages.join("; "));
        self.begin(audit, core, incoming, trail, error).await
    }

    async fn begin(
        &mut self,
        audit: &Audit,
        core: &Arc<Core>,
        incoming: &Incoming,
        trail: Box<Trail>,
        error: Option<String>,
    ) -> Result<(), Error> {
        let must_pass = error.is_none() && disables(incoming, &trail);
        let (asked, devices) = (Arc::new(Asked::new(incoming, *trail)), audit.devices());
        let recorded = audit.record(&devices, core, Entry::asked(&asked, error)).await;
        if recorded.is_ok() || must_pass {
            *self = Self::Asked(asked, devices);
            return Ok(());
        }
        *self = Self::Failed;
        recorded
    }

    /// The second half, before the reply leaves; what leaves then.
    pub(crate) async fn answer(
        mut self,
        audit: &Audit,
        core: &Arc<Core>,
        incoming: &Incoming,
        outgoing: Outgoing,
    ) -> Outgoing {
        if let Self::Ready(trail) = &mut self {
            if !audit.is_on() {
                return outgoing;
            }
            // It was refused before it ran, or enabled the first device.
            let trail = trail.take().unwrap_or_default();
            let _ = self.begin(audit, core, incoming, trail, None).await;
        }
        let is_recorded = match &self {
            Self::Off | Self::Ready(_) => true,
            Self::Failed => false,
            Self::Asked(asked, devices) => {
                let recorded = audit.record(devices, core, Entry::answered(asked, &outgoing)).await;
                recorded.is_ok() || disables(incoming, &asked.trail)
            }
        };
        if is_recorded || outgoing.status >= 400 {
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

/// Whether a request takes a device away, as its caller may. That must work when no device does, or nothing would again.
fn disables(incoming: &Incoming, trail: &Trail) -> bool {
    let request = &incoming.request;
    request.operation == Operation::Delete && request.path.as_str().starts_with(OWN_PATHS) && trail.is_allowed
}
