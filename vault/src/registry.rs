//! The engines that a core can mount. The core is given them, so that nothing in it names an engine.
//!
//! What surprises: the store carries the registry without knowing its type. A handler holds a store, an engine holds
//! handlers, and the registry holds engines; were the store to know the registry, the four would be one knot.

use std::any::Any;

use serde_json::{Map, Value};

use crate::engine::Engine;
use crate::mount::Class;
use crate::store::{Engines, Store};

/// A list of engines.
pub struct Registry(Vec<&'static Engine>);

impl Engines for Registry {}

impl Registry {
    /// One of these engines alone.
    pub(crate) fn new(engines: &[&'static Engine]) -> Self {
        Self(engines.to_vec())
    }

    /// The same with one more engine.
    #[must_use]
    pub fn with(mut self, engine: &'static Engine) -> Self {
        self.0.push(engine);
        self
    }

    /// The one of a store's core.
    pub(crate) fn of<'a>(store: &Store<'a>) -> &'a Self {
        let engines: &dyn Any = store.engines();
        engines.downcast_ref().expect("nothing else implements this trait")
    }

    /// The engine of a kind, for a mount with these options.
    pub(crate) fn find(&self, class: Class, kind: &str, options: &Map<String, Value>) -> Option<&'static Engine> {
        let is_meant = |engine: &&&'static Engine| {
            let is_named = engine.kind == kind && (engine.takes_options)(options);
            engine.class == class && (is_named || engine.aliases.contains(&kind))
        };
        self.0.iter().find(is_meant).copied()
    }

    /// Whether a kind is one that users cannot mount.
    pub(crate) fn is_single(&self, kind: &str) -> bool {
        self.0.iter().any(|engine| engine.is_single && (engine.kind == kind || engine.aliases.contains(&kind)))
    }

    /// The kinds that lock users out after wrong logins.
    pub fn locking_out(&self) -> Vec<&'static str> {
        self.0.iter().filter(|engine| engine.locks_out).map(|engine| engine.kind).collect()
    }

    /// The kinds that users can mount, sorted.
    pub(crate) fn mountable(&self, class: Class) -> Vec<&'static str> {
        let listed = self.0.iter().filter(|engine| engine.class == class && !engine.is_single);
        let mut kinds: Vec<_> = listed.map(|engine| engine.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}
