//! One attempt at one host over HTTP/1.1: a connection from the pool or a new one, then the exchange on it.

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;

use crate::clock::Moment;
use crate::upstream::Outbound;
use crate::upstream::Retry;
use crate::upstream::SendError;
use crate::upstream::Shared;
use crate::upstream::connect::Failed;
use crate::upstream::connect::connect;
use crate::upstream::h1::Attempt;
use crate::upstream::h1::Broke;
use crate::upstream::h1::Head;
use crate::upstream::h1::Reply;
use crate::upstream::h1::Seat;
use crate::upstream::pool::Conn;
use crate::upstream::pool::Got;
use crate::upstream::pool::Lane;
use crate::upstream::pool::Pools;
use crate::upstream::pool::Want;
use crate::upstream::retry::Setback;
use crate::upstream::socket::Socket;
use crate::upstream::tls::Offer;
use crate::upstream::upload::Upload;

/// What is to be sent, where to, and within which terms.
pub(crate) struct Errand<'a> {
    pub(crate) pools: &'a Rc<Pools>,
    pub(crate) shared: &'a Shared,
    pub(crate) lane: &'a Rc<Lane>,
    pub(crate) outbound: &'a Outbound,
    pub(crate) want: Want,
    pub(crate) now: Moment,
    pub(crate) policy: &'a Retry,
}

/// An attempt without an answer.
pub(crate) struct Lost {
    pub(crate) error: SendError,
    /// What it means for another attempt; `None`: there will be none.
    pub(crate) setback: Option<Setback>,
    pub(crate) upload: Upload,
}

impl Errand<'_> {
    pub(crate) fn host(&self) -> String {
        self.lane.label.to_string()
    }

    /// What a connection that did not come about means to the caller.
    pub(crate) fn unconnected(&self, failed: Failed) -> (SendError, Option<Setback>) {
        let host = self.host();
        let error = match failed {
            Failed::Refused(cause) => SendError::Connect { host, cause },
            Failed::Tls(cause) => SendError::Tls { host, cause },
            Failed::Late => SendError::Timeout { host, phase: "connection" },
        };
        (error, Some(Setback::Connect))
    }
}

/// Sends the errand's request on one connection, and returns when the answer's head is known.
pub(crate) async fn attempt(errand: &Errand<'_>, upload: Upload) -> Result<(Reply, Moment), Box<Lost>> {
    let &Errand { pools, lane, outbound, .. } = errand;
    let guard = lane.host.enter();
    let conn = match connection(errand).await {
        Ok(conn) => conn,
        Err((error, setback)) => return Err(Box::new(Lost { error, setback, upload })),
    };
    let mut seat = Seat { conn, guard };
    let reused = seat.conn.reused;
    let head = Head::of(outbound, &lane.host.authority);
    let (clock, timeouts) = (&pools.clock, &errand.shared.config().timeout);
    let mut attempt = Attempt::new(&head, upload, lane, &pools.buffers, errand.now);
    match poll_fn(|cx| attempt.poll(&mut seat.conn, cx, timeouts, outbound.deadline, clock)).await {
        Ok(found) => {
            let now = clock.turn();
            let again = errand.policy.on_status.contains(&found.0.status);
            Ok((attempt.finish(seat, found, timeouts.idle, now, again), now))
        }
        Err(broke) => {
            let host = errand.host();
            let unsent = matches!(broke, Broke::Unsent);
            let (error, setback) = match broke {
                Broke::Unsent => (SendError::Reset { host, reused }, Some(Setback::Unsent)),
                Broke::Reset { silent } => {
                    let reused = reused && silent;
                    if reused {
                        lane.distrust();
                    }
                    let setback = if reused { Setback::Reset } else { Setback::Died };
                    (SendError::Reset { host, reused }, silent.then_some(setback))
                }
                Broke::Protocol(cause) => (SendError::Protocol { host, cause }, None),
                Broke::Late => (SendError::Timeout { host, phase: "answer" }, Some(Setback::Late)),
                Broke::Body(error) => (SendError::Body(error), None),
            };
            Err(Box::new(Lost { error, setback, upload: attempt.into_upload(unsent) }))
        }
    }
}

/// An idle connection, a new one, or one that was waited for.
async fn connection(errand: &Errand<'_>) -> Result<Box<Conn>, (SendError, Option<Setback>)> {
    let &Errand { pools, shared, lane, outbound, .. } = errand;
    let got = match lane.take(errand.want, errand.now) {
        Some(got) => got,
        // rare paths are boxed: the future of an ordinary request stays small
        None => Box::pin(wait(errand)).await.map_err(|error| (error, None))?,
    };
    let slot = match got {
        Got::Idle(conn) => return Ok(conn),
        Got::Place(slot) => slot,
    };
    let clock = &pools.clock;
    let limit = shared.config().timeout.connect.min(outbound.deadline.since(clock.now()));
    let made = match pools.connector() {
        Some(stand_in) => {
            stand_in.connect(&shared.config().name, &lane.label).map(Socket::Memory).map_err(Failed::Refused)
        }
        None => Box::pin(connect(&lane.host, outbound.ends.as_deref(), shared.tls(), Offer::Http1, limit, clock)).await,
    };
    let socket = made.map_err(|failed| errand.unconnected(failed))?;
    Ok(Conn::new(socket, slot, pools))
}

/// Waits in line for a connection, as long as making one may take.
async fn wait(errand: &Errand<'_>) -> Result<Got, SendError> {
    let &Errand { pools, shared, lane, outbound, .. } = errand;
    let busy = || SendError::Overload { host: lane.label.to_string() };
    let mut turn = lane.queue().ok_or_else(busy)?;
    let clock = &pools.clock;
    let (patience, left) = (shared.config().timeout.connect, outbound.deadline.since(errand.now));
    let mut sleep = clock.sleep(patience.min(left));
    poll_fn(|cx| {
        if let Poll::Ready(got) = turn.poll(cx, errand.want, || clock.now()) {
            return Poll::Ready(Ok(got));
        }
        Pin::new(&mut sleep).poll(cx).map(|()| {
            let late = || SendError::Timeout { host: lane.label.to_string(), phase: "free connection" };
            Err(if left < patience { late() } else { busy() })
        })
    })
    .await
}
