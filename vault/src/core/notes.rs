//! What a run notes on its [`Trail`], if the node wants one.

use std::sync::Arc;

use crate::context::Context;
use crate::error::Error;
use crate::identity::rights::Standing;
use crate::mount::Mount;
use crate::policy::acl::Decision;
use crate::request::Operation;
use crate::store::Store;
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

    /// Notes what identity adds to the caller's policies.
    pub(super) fn note_identity(&mut self, store: &mut Store<'_>, token: &Token) -> Result<(), Error> {
        let entity_id = &token.record.entity_id;
        if let Some(trail) = self.trail.as_mut().filter(|_| !entity_id.is_empty()) {
            trail.identity_policies = Standing::of(store, entity_id)?.beside(&[]);
        }
        Ok(())
    }

    /// Notes that the caller may do what it asks for, and by what its policies decided.
    pub(super) fn note_allowed(&mut self, operation: Operation, decision: Option<&Decision<'_>>) {
        if let Some(trail) = &mut self.trail {
            (trail.operation, trail.is_allowed) = (Some(operation), true);
            let granting = decision.into_iter().flat_map(Decision::granting_policies);
            trail.granting_policies = granting.map(str::to_owned).collect();
        }
    }
}
