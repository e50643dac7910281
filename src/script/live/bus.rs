//! Events on their way from any worker to the functions of `on` in the control thread's machine.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Weak;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use parking_lot::RwLock;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

use crate::store::Value;

/// An event with its arguments; plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// `quota.exceeded`, `start`, or a name of the script's own.
    pub name: String,
    /// What the functions get; `None` is `nil`.
    pub args: Vec<Option<Value>>,
}

/// Who hears what.
#[derive(Default)]
pub struct Bus {
    /// One for each control machine that is open, oldest first: only the newest hears.
    ears: RwLock<Vec<Arc<Ears>>>,
    dropped: AtomicU64,
}

/// The listeners of one control machine.
#[derive(Default)]
pub struct Ears(HashMap<String, Vec<mpsc::Sender<Arc<Event>>>>);

impl Ears {
    /// Nobody listens.
    pub fn new() -> Self {
        Self::default()
    }

    /// A listener of `name`; what it has not taken yet is kept, a thousand or so at most.
    pub fn listen(&mut self, name: &str) -> mpsc::Receiver<Arc<Event>> {
        let (sender, receiver) = mpsc::channel(QUEUE);
        self.0.entry(name.to_owned()).or_default().push(sender);
        receiver
    }
}

impl Bus {
    /// From now on `ears` hear; what is returned says so until [`Bus::leave`].
    pub fn join(&self, ears: Ears) -> Arc<Ears> {
        let ears = Arc::new(ears);
        self.ears.write().push(Arc::clone(&ears));
        ears
    }

    /// `ears` hear no more.
    pub fn leave(&self, ears: &Arc<Ears>) {
        self.ears.write().retain(|other| !Arc::ptr_eq(other, ears));
    }

    /// Whether anyone listens: events are not put together for nobody.
    pub fn hears(&self, name: &str) -> bool {
        self.ears.read().last().is_some_and(|ears| ears.0.contains_key(name))
    }

    /// Tells whoever listens and does not wait; how many were told. A listener that lags far behind misses events.
    pub fn emit(&self, event: Event) -> usize {
        self.send(&Arc::new(event))
    }

    /// As [`Bus::emit`]; what is returned is dead once every listener has done what it does about it.
    pub fn tell(&self, event: Event) -> Weak<Event> {
        let event = Arc::new(event);
        self.send(&event);
        Arc::downgrade(&event)
    }

    fn send(&self, event: &Arc<Event>) -> usize {
        let ears = self.ears.read();
        let Some(listeners) = ears.last().and_then(|ears| ears.0.get(&event.name)) else { return 0 };
        let mut told = 0;
        for listener in listeners {
            match listener.try_send(Arc::clone(event)) {
                Ok(()) => told += 1,
                Err(TrySendError::Full(_)) => drop(self.dropped.fetch_add(1, Ordering::Relaxed)),
                Err(TrySendError::Closed(_)) => {}
            }
        }
        told
    }

    /// Events that a listener missed.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

/// Events kept for one listener.
pub(super) const QUEUE: usize = 1024;
