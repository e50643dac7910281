//! The counters of one policy: a limiter for each entry of its own, here or in a file.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::OnceLock;

use arc_swap::ArcSwap;
use arc_swap::Guard;
use serde::Deserialize;
use serde::Serialize;

use crate::primitive::limiter::Config;
use crate::primitive::limiter::Limiter;
use crate::script::context::Context;
use crate::script::live::Keeper;
use crate::script::live::Kept;
use crate::script::live::shared::Place;

/// The counters of one policy: a limiter for each entry of its own.
pub(super) struct Meters {
    list: ArcSwap<Vec<Arc<Limiter>>>,
    /// The file that keeps them; nothing: the usual one.
    file: Option<String>,
    kept: OnceLock<Option<(Arc<Keeper>, String)>>,
}

/// How they were declared.
#[derive(Serialize, Deserialize)]
pub(super) struct Counters {
    pub(super) limits: Vec<Config>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) file: Option<String>,
    /// Where they are, when not here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<Place>,
}

impl Meters {
    /// Its limiters; those that are kept in a file are read when they are first asked for.
    pub(super) fn list(&self, context: impl FnOnce() -> Rc<Context>, identity: &str) -> Guard<Arc<Vec<Arc<Limiter>>>> {
        if let Some(file) = &self.file {
            self.kept.get_or_init(|| {
                let context = context();
                let keeper = context.live().keeper(file, &context.snapshot().root, context.clock())?;
                let fresh = self.list.load();
                let limiters = fresh.iter().enumerate();
                let limiters = limiters
                    .map(|(place, fresh)| keeper.limiter(&format!("{identity} {place}"), (*fresh.config()).clone()));
                self.list.store(Arc::new(limiters.collect()));
                Some((keeper, identity.to_owned()))
            });
        }
        self.list.load()
    }
}

impl Kept for Meters {
    type Config = Counters;

    fn make(config: Counters) -> Self {
        let limiters = config.limits.into_iter().map(|config| Arc::new(Limiter::new(config))).collect();
        Self { list: ArcSwap::from_pointee(limiters), file: config.file, kept: OnceLock::new() }
    }

    fn change(&self, config: Counters) {
        let known = self.list.load();
        let limiters = config.limits.into_iter().enumerate().map(|(place, config)| match known.get(place) {
            Some(limiter) => {
                limiter.configure(config);
                Arc::clone(limiter)
            }
            None => match self.kept.get() {
                Some(Some((keeper, identity))) => keeper.limiter(&format!("{identity} {place}"), config),
                _ => Arc::new(Limiter::new(config)),
            },
        });
        self.list.store(Arc::new(limiters.collect()));
    }
}
