//! A generation as the data path sees it: routes, settings, upstreams and hooks of one worker.

use std::rc::Rc;
use std::sync::Arc;

use crate::proxy::Hooks;

/// One generation on one worker; a request holds it for its whole life.
pub struct Site {
    /// The parts that all workers share.
    pub shared: Arc<Shared>,
    /// This worker's hooks.
    pub hooks: Rc<dyn Hooks>,
}

/// The parts of a generation that all workers share.
pub struct Shared {
    /// Which generation, counted from 1.
    pub generation: u64,
}
