//! An upgraded connection that nobody here reads: bytes both ways, and nothing of the generation held.
//!
//! | it ends | how |
//! |---|---|
//! | both sides have | as they did: a half-close is passed on |
//! | `websocket.idle` without a byte, `websocket.max` after its start, the gateway leaves | a WebSocket gets a close frame (1001) between two frames, towards both sides; anything else is cut (when the gateway leaves: at `drain.max`) |

pub mod boundary;
mod pipe;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Alarm;
use crate::clock::Moment;
use crate::downstream::tools::Seat;
use crate::http::message::Duplex;
use crate::plan::Upgrade;
use crate::proxy::Code;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::proxy::Worker;
use crate::telemetry::metrics::Gauge;
use pipe::Pipe;

/// How long the peers may take once they were told that it ends.
const FAREWELL: Duration = Duration::from_secs(5);

/// One of a route's upgraded connections, for as long as it is open; counted over all workers and generations.
pub struct Place(Gauge);

impl Place {
    /// A place on the exchange's route, of which there are `most`.
    pub(crate) fn take(exchange: &Exchange, most: Option<u32>) -> Result<Self, Failure> {
        let route = exchange.route.get().map_or("", |route| exchange.site.shared.plan.routes[route].name.as_str());
        let help = "Upgraded connections that are open.";
        let gauge = exchange.worker.metrics.gauge("moongate_upgraded_connections", help, &[("http_route", route)]);
        let now = gauge.rise();
        let place = Self(gauge);
        if most.is_some_and(|most| now > i64::from(most)) {
            let failure = Failure::new(Code::WebsocketFull, "as many connections as allowed are open");
            return Err(failure.header("Retry-After", "1"));
        }
        Ok(place)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.add(-1);
    }
}

/// What an upgraded connection goes by.
pub(crate) struct Terms {
    /// Idle time and longest life.
    pub(crate) upgrade: Upgrade,
    /// Whether what passes are WebSocket frames.
    pub(crate) frames: bool,
    /// Its place among its route's.
    pub(crate) _place: Option<Place>,
    /// Its places among requests under way.
    pub(crate) _held: Vec<Box<dyn std::any::Any>>,
}

/// Passes bytes both ways until both sides have ended, or it is time.
pub(crate) async fn join(
    worker: Rc<Worker>,
    client: Box<dyn Duplex>,
    early: Vec<u8>,
    service: Box<dyn Duplex>,
    terms: Terms,
) {
    let now = worker.clock.now();
    let mut tunnel = Tunnel {
        alarm: worker.alarms.alarm(&worker.clock),
        outward: Pipe::new(early, terms.frames, true),
        inward: Pipe::new(Vec::new(), terms.frames, false),
        seat: Seat::default(),
        started: now,
        last: now,
        farewell: None,
        client,
        service,
        worker,
        terms,
    };
    poll_fn(|cx| tunnel.poll(cx)).await;
}

struct Tunnel {
    client: Box<dyn Duplex>,
    service: Box<dyn Duplex>,
    /// From the client to the service.
    outward: Pipe,
    /// From the service to the client.
    inward: Pipe,
    seat: Seat,
    alarm: Alarm,
    started: Moment,
    /// When the last byte passed.
    last: Moment,
    /// When the peers must be gone.
    farewell: Option<Moment>,
    worker: Rc<Worker>,
    terms: Terms,
}

impl Tunnel {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            // Other protocols have no word for it: they may go on until the drain's end.
            if self.farewell.is_none() && self.terms.frames && self.worker.drain.poll(&mut self.seat, cx).is_ready() {
                self.leave();
            }
            let spare = &self.worker.buffers;
            let outward = self.outward.poll(cx, spare, &mut self.client, &mut self.service);
            let inward = self.inward.poll(cx, spare, &mut self.service, &mut self.client);
            match (outward, inward) {
                (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
                (Poll::Ready(Err(())), _) | (_, Poll::Ready(Err(()))) => return Poll::Ready(()),
                _ => {}
            }
            let upgrade = &self.terms.upgrade;
            if self.outward.touched() | self.inward.touched() && upgrade.idle.is_some() {
                self.last = self.worker.clock.now();
            }
            let due = self.farewell.unwrap_or_else(|| {
                let after = |since: Moment, limit: Option<Duration>| limit.map_or(Moment::NEVER, |l| since.after(l));
                after(self.last, upgrade.idle).min(after(self.started, upgrade.max))
            });
            if due == Moment::NEVER {
                return Poll::Pending;
            }
            self.alarm.set(due);
            match self.alarm.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if self.farewell.is_some() || !self.terms.frames => return Poll::Ready(()),
                Poll::Ready(()) => self.leave(),
            }
        }
    }

    /// Both sides are told at the next boundary between two frames.
    fn leave(&mut self) {
        self.farewell = Some(self.worker.clock.now().after(FAREWELL));
        self.outward.leave();
        self.inward.leave();
    }
}
