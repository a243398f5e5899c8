//! Identity: who is behind a token.
//!
//! The mount is there from the start, because clients list it and its data keeps its keys when the rest arrives. It has
//! no paths yet: every request below it is an unsupported path.

use crate::engine::Engine;
use crate::mount::Class;

/// The engine.
pub(crate) static ENGINE: Engine =
    Engine { kind: "identity", class: Class::Secret, help: "Identity store", is_single: true, ..Engine::DEFAULT };
