//! The HTTP/2 connections of one worker to one host: a stream on one of them, or on one more.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::client::Builder;
use h2::client::SendRequest;

use crate::clock::Moment;
use crate::upstream::Protocol;
use crate::upstream::SendError;
use crate::upstream::attempt::Errand;
use crate::upstream::connect::Failed;
use crate::upstream::connect::connect;
use crate::upstream::h2::CONNECTION_WINDOW;
use crate::upstream::h2::HEAD;
use crate::upstream::h2::STREAM_WINDOW;
use crate::upstream::h2::UNTOLD;
use crate::upstream::h2::trunk::Trunk;
use crate::upstream::h2::trunk::Watched;
use crate::upstream::h2::trunk::drive;
use crate::upstream::h2::turn::Line;
use crate::upstream::h2::turn::Turn;
use crate::upstream::h2::turn::Word;
use crate::upstream::pool::Conn;
use crate::upstream::pool::Got;
use crate::upstream::pool::Lane;
use crate::upstream::pool::Pools;
use crate::upstream::pool::Slot;
use crate::upstream::pool::Want;
use crate::upstream::retry::Setback;
use crate::upstream::socket::Socket;
use crate::upstream::tls::Offer;

/// The connections, and who waits for a stream on one.
#[derive(Default)]
pub(crate) struct Trunks {
    open: RefCell<Vec<Rc<Trunk>>>,
    /// Connections being made.
    coming: Cell<usize>,
    line: Line,
    /// The host was asked and chose HTTP/1.1.
    old: Cell<bool>,
}

/// What a request may be sent on.
pub(super) enum Way {
    Stream(Lease),
    /// The host would rather speak HTTP/1.1.
    Http1,
}

impl Trunks {
    /// Connections without a request.
    pub(crate) fn idle(&self) -> usize {
        self.open.borrow().iter().filter(|trunk| trunk.taken.get() == 0).count()
    }

    /// Lets those go whose time is over or whose host left.
    pub(crate) fn sweep(&self, now: Moment, retired: bool, idle: Duration) {
        let mut gone = Vec::new();
        self.open.borrow_mut().retain(|trunk| {
            let over = retired || trunk.room(now) == 0 || now.since(trunk.since.get()) >= idle;
            let goes = trunk.taken.get() == 0 && over;
            if goes {
                gone.push(Rc::clone(trunk));
            }
            !goes
        });
        let places = gone.len();
        drop(gone);
        self.line.call(places);
    }

    /// The worker ends.
    pub(crate) fn close(&self) {
        let open = std::mem::take(&mut *self.open.borrow_mut());
        drop(open);
    }

    pub(super) fn is_waited_for(&self) -> bool {
        self.line.len() > 0
    }

    /// Lets the first `most` that wait try their luck.
    pub(super) fn call(&self, most: usize) {
        self.line.call(most);
    }

    /// `trunk` takes no more requests; those that wait may open another.
    pub(super) fn strike(&self, trunk: &Rc<Trunk>) {
        self.open.borrow_mut().retain(|open| !Rc::ptr_eq(open, trunk));
        self.line.call(1);
    }

    /// Whether requests go over HTTP/1.1, since the host chose so. It is asked again once no connection is left.
    pub(super) fn is_old(&self, lane: &Lane) -> bool {
        if lane.open() == 0 {
            self.old.set(false);
        }
        self.old.get()
    }

    /// A stream on the connection that carries least.
    fn lease(&self, now: Moment) -> Option<Lease> {
        let open = self.open.borrow();
        let rooms = open.iter().map(|trunk| (trunk.room(now), trunk)).filter(|(room, _)| *room > 0);
        let (_, trunk) = rooms.min_by_key(|(_, trunk)| trunk.taken.get())?;
        trunk.taken.set(trunk.taken.get() + 1);
        Some(Lease(Rc::clone(trunk)))
    }
}

/// A stream for the errand's request, waited for as long as making a connection may take.
pub(super) async fn way(errand: &Errand<'_>) -> Result<Way, (SendError, Option<Setback>)> {
    let &Errand { pools, lane, .. } = errand;
    let trunks = &lane.trunks;
    if trunks.line.len() == 0
        && let Some(lease) = trunks.lease(errand.now)
    {
        return Ok(Way::Stream(lease));
    }
    let busy = || (SendError::Overload { host: errand.host() }, None);
    let mut turn = trunks.line.queue().ok_or_else(busy)?;
    open_more(errand);
    let (patience, left) = (errand.shared.config().timeout.connect, errand.outbound.deadline.since(pools.clock.now()));
    let mut sleep = pools.clock.sleep(patience.min(left));
    poll_fn(|cx| {
        while let Poll::Ready(word) = turn.poll(cx) {
            match word {
                Word::Http1 => return Poll::Ready(Ok(Way::Http1)),
                Word::Failed(failed) => return Poll::Ready(Err(errand.unconnected(failed))),
                Word::Try => match trunks.lease(pools.clock.now()) {
                    Some(lease) => return Poll::Ready(Ok(Way::Stream(lease))),
                    None => retry(errand, &mut turn),
                },
            }
        }
        Pin::new(&mut sleep).poll(cx).map(|()| {
            let late = || (SendError::Timeout { host: errand.host(), phase: "free connection" }, None);
            Err(if left < patience { late() } else { busy() })
        })
    })
    .await
}

fn retry(errand: &Errand<'_>, turn: &mut Turn) {
    turn.again();
    open_more(errand);
}

/// Opens one more connection where those under way are not enough for who waits, and a place is free.
fn open_more(errand: &Errand<'_>) {
    let &Errand { pools, shared, lane, .. } = errand;
    if lane.trunks.coming.get() * UNTOLD >= lane.trunks.line.len() {
        return;
    }
    let Some(Got::Place(slot)) = lane.take(Want::Fresh, errand.now) else { return };
    let coming = Coming::new(lane);
    let (tls, limit, pools) = (shared.tls().cloned(), shared.config().timeout.connect, Rc::clone(pools));
    // a task of its own: the request that asked for it may leave, those behind it wait on
    tokio::task::spawn_local(async move {
        let lane = Rc::clone(slot.lane());
        let offer = if lane.host.protocol == Protocol::Auto { Offer::Both } else { Offer::Http2 };
        let socket = match connect(&lane.host, None, tls.as_ref(), offer, limit, &pools.clock).await {
            Ok(socket) => socket,
            Err(failed) => return coming.failed(&failed),
        };
        match (lane.host.address.is_secure() && !socket.agreed_h2(), offer) {
            (true, Offer::Both) => coming.old(socket, slot, &pools),
            (true, _) => coming.failed(&Failed::Tls("it did not agree to HTTP/2 (ALPN)".into())),
            (false, _) => begin(socket, slot, pools, coming).await,
        }
    });
}

/// Begins HTTP/2 on a fresh connection and keeps it going.
async fn begin(socket: Socket, slot: Slot, pools: Rc<Pools>, coming: Coming) {
    let clock = pools.clock.clone();
    let heard = Rc::new(Cell::new(clock.now()));
    let watched = Watched { socket, heard: Rc::clone(&heard), clock: clock.clone() };
    let handshake = Builder::new()
        .enable_push(false)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_max_send_streams(UNTOLD)
        .max_header_list_size(HEAD)
        .max_send_buffer_size(STREAM_WINDOW as usize)
        .handshake::<_, Bytes>(watched)
        .await;
    let (sender, connection) = match handshake {
        Ok(pair) => pair,
        Err(error) => return coming.failed(&Failed::Refused(error.to_string())),
    };
    let die = slot.end(&pools, clock.now());
    drop(pools);
    let trunk = Trunk::new(sender, Rc::clone(&heard), die, &clock, slot);
    let weak = Rc::downgrade(&trunk);
    coming.opened(trunk);
    drive(connection, weak, heard, clock).await;
}

/// A connection being made; how it ends is told to those that wait for it.
struct Coming(Option<Rc<Lane>>);

impl Coming {
    fn new(lane: &Rc<Lane>) -> Self {
        lane.trunks.coming.set(lane.trunks.coming.get() + 1);
        Self(Some(Rc::clone(lane)))
    }

    fn settle(&mut self) -> Option<Rc<Lane>> {
        let lane = self.0.take()?;
        lane.trunks.coming.set(lane.trunks.coming.get() - 1);
        Some(lane)
    }

    fn failed(mut self, failed: &Failed) {
        if let Some(lane) = self.settle() {
            lane.trunks.line.tell_all(|| Word::Failed(failed.clone()));
        }
    }

    fn old(mut self, socket: Socket, slot: Slot, pools: &Pools) {
        let Some(lane) = self.settle() else { return };
        lane.trunks.old.set(true);
        Conn::new(socket, slot, pools).lay_by(pools.clock.now());
        lane.trunks.line.tell_all(|| Word::Http1);
    }

    fn opened(mut self, trunk: Rc<Trunk>) {
        let Some(lane) = self.settle() else { return };
        let room = trunk.room(trunk.clock.now());
        lane.trunks.open.borrow_mut().push(trunk);
        lane.trunks.line.call(room);
    }
}

impl Drop for Coming {
    fn drop(&mut self) {
        self.settle();
    }
}

/// A stream on a connection, given back when dropped.
pub(super) struct Lease(Rc<Trunk>);

impl Lease {
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.0.sender()
    }

    /// It answered.
    pub(super) fn prove(&self) {
        self.0.proven.set(true);
    }

    pub(super) fn is_proven(&self) -> bool {
        self.0.proven.get()
    }

    /// Time ran out; see [`Trunk::suspect`].
    pub(super) fn suspect(&self, quiet: Duration) {
        self.0.suspect(quiet);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let trunk = &self.0;
        trunk.taken.set(trunk.taken.get() - 1);
        let now = trunk.clock.now();
        trunk.since.set(now);
        let trunks = &trunk.lane().trunks;
        if trunk.room(now) == 0 && trunk.taken.get() == 0 {
            trunks.strike(trunk);
        } else {
            trunks.line.call(1);
        }
    }
}
