//! The chain of one device's lines, as it is written. The format is [`conclave_cli::audit_chain`]'s.

use std::sync::Arc;

use conclave_cli::audit_chain::{Before, Link, append, beginning};
use conclave_vault::{Random as _, Time};
use parking_lot::Mutex;

use crate::view::{self, SystemRandomness};

/// The newest line that is written, and when; absent before the first one.
pub(super) type Newest = Arc<Mutex<Option<(Link, Time)>>>;

/// A chain. It is one process's: after a restart a device begins another.
pub(super) struct Chain {
    node: String,
    device: String,
    prefix: String,
    last: Link,
    newest: Newest,
}

impl Chain {
    /// A new one, of a device on a node.
    pub(super) fn new(node: &str, device: &str, prefix: &str, newest: Newest) -> Self {
        let mut id = [0; 16];
        SystemRandomness::default().fill(&mut id);
        let (node, device, prefix) = (node.to_owned(), device.to_owned(), prefix.to_owned());
        Self { node, device, prefix, last: Link::before_first(id), newest }
    }

    /// Objects as lines of the chain, behind a beginning if there is something to be said of what stands before it; and the
    /// link of the last one, for [`Chain::keep`].
    pub(super) fn linked(&self, before: Option<&Before>, objects: &[Vec<u8>]) -> (Vec<Vec<u8>>, Link) {
        let mut last = self.last;
        let begins = before.map(|before| {
            let object = beginning(&view::now().to_string(), &self.node, &self.device, &self.last, before);
            [self.prefix.as_bytes(), &object].concat()
        });
        let objects = begins.iter().map(Vec::as_slice).chain(objects.iter().map(Vec::as_slice));
        let lines = objects.map(|object| {
            let (line, link) = append(&last, object);
            last = link;
            line
        });
        (lines.collect(), last)
    }

    /// The lines up to a link are written.
    pub(super) fn keep(&mut self, last: Link) {
        self.last = last;
        *self.newest.lock() = Some((last, view::now()));
    }
}
