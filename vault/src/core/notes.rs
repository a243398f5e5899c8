//! What a run notes on its [`Trail`], if the node wants one.

use std::sync::Arc;

use crate::context::Context;
use crate::mount::Mount;
use crate::request::Operation;
use crate::token::Token;
use crate::trail::NotedMount;

impl Context<'_> {
    /// Notes where the request went.
    pub(super) fn note_mount(&mut self, mount: Option<&Mount>) {
        if let Some(trail) = &mut self.trail {
            trail.mount = mount.map(NotedMount::from);
        }
    }

    /// Notes who asks.
    pub(super) fn note_caller(&mut self, token: &Arc<Token>) {
        if let Some(trail) = &mut self.trail {
            trail.token = Some(Arc::clone(token));
        }
    }

    /// Notes that the caller may do what it asks for.
    pub(super) fn note_allowed(&mut self, operation: Operation) {
        if let Some(trail) = &mut self.trail {
            (trail.operation, trail.is_allowed) = (Some(operation), true);
        }
    }
}
