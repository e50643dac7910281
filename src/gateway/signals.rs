//! HUP reloads; TERM and INT leave gracefully, said twice at once.

use std::io;

use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;
use tokio::task::spawn_local;

use crate::gateway::control::Event;
use crate::gateway::control::Events;

/// Turns signals into events from now on.
pub(super) fn listen(events: &Events) -> io::Result<()> {
    on(SignalKind::hangup(), events, || Event::Reload(None))?;
    on(SignalKind::terminate(), events, || Event::Stop)?;
    on(SignalKind::interrupt(), events, || Event::Stop)
}

fn on(kind: SignalKind, events: &Events, event: fn() -> Event) -> io::Result<()> {
    let mut signals = signal(kind)?;
    let events = events.clone();
    spawn_local(async move { while signals.recv().await.is_some() && events.send(event()).is_ok() {} });
    Ok(())
}
