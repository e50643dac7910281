//! Publish and subscribe within the process.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::Weak;

use parking_lot::Mutex;

use crate::store::Value;

/// Where messages of one store go.
#[derive(Clone, Default)]
pub struct Hub(Arc<Mutex<Vec<Listener>>>);

struct Listener {
    id: u64,
    channel: Box<str>,
    hear: Arc<Hear>,
}

/// Gets channel and value.
type Hear = dyn Fn(&str, &Arc<Value>) + Send + Sync;

/// Listens for as long as it lives.
pub struct Subscription {
    hub: Weak<Mutex<Vec<Listener>>>,
    id: u64,
}

impl Hub {
    /// Calls `hear` for each message on `channel`, on the thread that publishes: it hands over and returns at once.
    pub fn subscribe(&self, channel: &str, hear: impl Fn(&str, &Arc<Value>) + Send + Sync + 'static) -> Subscription {
        let mut listeners = self.0.lock();
        let id = listeners.last().map_or(0, |last| last.id + 1);
        listeners.push(Listener { id, channel: channel.into(), hear: Arc::new(hear) });
        Subscription { hub: Arc::downgrade(&self.0), id }
    }

    /// The channels that anybody listens on.
    pub fn channels(&self) -> BTreeSet<Box<str>> {
        self.0.lock().iter().map(|listener| listener.channel.clone()).collect()
    }

    /// Tells everyone who listens on `channel`; how many there were.
    pub fn publish(&self, channel: &str, value: Value) -> usize {
        let heard: Vec<_> = {
            let listeners = self.0.lock();
            let same = listeners.iter().filter(|listener| *listener.channel == *channel);
            same.map(|listener| Arc::clone(&listener.hear)).collect()
        };
        let value = Arc::new(value);
        for hear in &heard {
            hear(channel, &value);
        }
        heard.len()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let Some(listeners) = self.hub.upgrade() else { return };
        let mut listeners = listeners.lock();
        let gone = listeners.iter().position(|listener| listener.id == self.id).map(|place| listeners.remove(place));
        // What the listener holds may be another subscription: it is dropped without the lock.
        drop(listeners);
        drop(gone);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_reaches_who_listens_and_nobody_after() {
        let (hub, heard) = (Hub::default(), Arc::new(Mutex::new(Vec::new())));
        let listen = |hub: &Hub, channel: &'static str| {
            let heard = Arc::clone(&heard);
            hub.subscribe(channel, move |channel, value| heard.lock().push((channel.to_owned(), Value::clone(value))))
        };
        let (first, _second, _other) = (listen(&hub, "a"), listen(&hub, "a"), listen(&hub, "b"));
        assert_eq!(hub.publish("a", Value::Int(1)), 2);
        drop(first);
        assert_eq!(hub.publish("a", Value::Int(2)), 1);
        assert_eq!(hub.publish("c", Value::Int(3)), 0);
        let expected = [1, 1, 2].map(|n| ("a".to_owned(), Value::Int(n)));
        assert_eq!(*heard.lock(), expected);
    }

    #[test]
    fn a_listener_may_publish_and_leave_while_it_hears() {
        let hub = Hub::default();
        let inner = hub.clone();
        let slot: Arc<Mutex<Option<Subscription>>> = Arc::default();
        let own = Arc::clone(&slot);
        let subscription = hub.subscribe("a", move |_, _| {
            inner.publish("b", Value::Int(1));
            own.lock().take();
        });
        *slot.lock() = Some(subscription);
        assert_eq!(hub.publish("a", Value::Int(1)), 1);
        assert_eq!(hub.publish("a", Value::Int(1)), 0);
    }
}
