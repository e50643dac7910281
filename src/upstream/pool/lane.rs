//! The connections of one worker to one host.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use crate::clock::Moment;
use crate::http::h1::Memo;
use crate::upstream::Address;
use crate::upstream::Pool;
use crate::upstream::Protocol;
use crate::upstream::balance::fraction;
use crate::upstream::h2::Trunks;
use crate::upstream::host::Host;
use crate::upstream::pool::Pools;
use crate::upstream::pool::conn::Conn;
use crate::upstream::socket::Look;

/// How long a connection must have been idle before a request that may not be repeated trusts it (STANDARDS C-06):
/// a host that closes after its answer has been heard to do so by then.
const SETTLED: Duration = Duration::from_millis(1);

/// Each time it turns out otherwise the wait is doubled, up to this many times, until a connection is used again: a host
/// whose machine is busy may be held up between its answer and the close.
const DOUBTS: u32 = 8;

/// An idle connection that was closed this soon after an answer was closed because of it.
const SOON: Duration = Duration::from_secs(1);

/// Most requests that wait for a connection to one host, on one worker.
const QUEUE: usize = 1024;

/// Connections to a host: idle, busy and being made.
pub(crate) struct Lane {
    pub(crate) host: Arc<Host>,
    /// The host's label, for answers.
    pub(crate) label: Rc<str>,
    /// How requests go to the host.
    pub(crate) way: Way,
    /// Its connections over HTTP/2, where there may be any.
    pub(crate) trunks: Trunks,
    /// What smooth round robin remembers.
    pub(crate) turn: Cell<i64>,
    limits: Cell<Pool>,
    max: Cell<u32>,
    open: Cell<u32>,
    closed: Cell<bool>,
    /// Oldest first.
    idle: RefCell<VecDeque<Box<Conn>>>,
    queue: RefCell<VecDeque<Rc<Ticket>>>,
    /// The lines of its last answer's head.
    pub(crate) memo: RefCell<Memo>,
    /// How often in a row the host closed a connection soon after an answer.
    doubt: Cell<u32>,
    /// Places kept for waiters that were called and have not come yet.
    promised: Cell<u32>,
}

/// How requests go to a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// One at a time on each connection.
    Http1,
    /// Many at a time on few connections, or whatever the host chooses.
    Http2,
    /// Nowhere: the built-in service.
    Echo,
}

impl Way {
    fn to(host: &Host) -> Self {
        match (&host.address, host.protocol) {
            (Address::Echo, _) => Self::Echo,
            (_, Protocol::H2 | Protocol::Grpc) | (Address::Tcp { tls: true, .. }, Protocol::Auto) => Self::Http2,
            _ => Self::Http1,
        }
    }
}

/// What a request needs of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Want {
    /// May be repeated: the warmest idle connection will do.
    Any,
    /// May not be repeated: an idle connection only when it is known to be open.
    Settled,
    /// An idle connection has just failed it: a new one.
    Fresh,
}

/// A connection, or leave to make one.
pub(crate) enum Got {
    Idle(Box<Conn>),
    Place(Slot),
}

impl Lane {
    pub(super) fn new(host: &Arc<Host>) -> Rc<Self> {
        Rc::new(Self {
            host: Arc::clone(host),
            label: Rc::from(&**host.label()),
            way: Way::to(host),
            trunks: Trunks::default(),
            turn: Cell::new(0),
            limits: Cell::new(Pool::default()),
            max: Cell::new(1),
            open: Cell::new(0),
            closed: Cell::new(false),
            idle: RefCell::default(),
            queue: RefCell::default(),
            memo: RefCell::default(),
            doubt: Cell::new(0),
            promised: Cell::new(0),
        })
    }

    pub(super) fn limit(&self, limits: Pool, max: u32) {
        self.limits.set(limits);
        self.max.set(max);
        self.call();
    }

    pub(crate) fn limits(&self) -> Pool {
        self.limits.get()
    }

    pub(crate) fn open(&self) -> u32 {
        self.open.get()
    }

    pub(super) fn idle(&self) -> usize {
        self.idle.borrow().len() + self.trunks.idle()
    }

    /// A connection or a place for one, unless all are taken or others were there first.
    pub(crate) fn take(self: &Rc<Self>, want: Want, now: Moment) -> Option<Got> {
        if !self.queue.borrow().is_empty() || self.free() <= self.promised.get() {
            return None;
        }
        self.grab(want, now)
    }

    /// Waits in line for what [`Lane::take`] did not give; `None` when the line is too long.
    pub(crate) fn queue(self: &Rc<Self>) -> Option<Turn> {
        let mut queue = self.queue.borrow_mut();
        if queue.len() >= QUEUE {
            return None;
        }
        let ticket = Rc::new(Ticket::default());
        queue.push_back(Rc::clone(&ticket));
        drop(queue);
        let turn = Turn { lane: Rc::clone(self), ticket };
        self.call();
        Some(turn)
    }

    fn grab(self: &Rc<Self>, want: Want, now: Moment) -> Option<Got> {
        if let Some(conn) = match want {
            Want::Any => self.newest(now),
            Want::Settled => self.settled(now),
            Want::Fresh => None,
        } {
            return Some(Got::Idle(conn));
        }
        if self.open.get() >= self.max.get() {
            // all places are taken, some by idle connections this request may not use: the oldest makes room
            let oldest = self.idle.borrow_mut().pop_front()?;
            drop(oldest);
            if self.open.get() >= self.max.get() {
                return None;
            }
        }
        Some(Got::Place(Slot::new(self)))
    }

    /// The idle connection used last, as long as nothing was heard of it.
    fn newest(&self, now: Moment) -> Option<Box<Conn>> {
        loop {
            let conn = self.idle.borrow_mut().pop_back()?;
            if now < conn.until && conn.socket.glance() == Look::Quiet {
                return Some(conn);
            }
            self.note(&conn, now);
        }
    }

    /// The connection idle longest, if it had time to be closed and was not.
    fn settled(&self, now: Moment) -> Option<Box<Conn>> {
        loop {
            let mut idle = self.idle.borrow_mut();
            if now.since(idle.front()?.since) < SETTLED * (1 << self.doubt.get()) {
                return None;
            }
            let conn = idle.pop_front()?;
            drop(idle);
            if now < conn.until && conn.socket.look() == Look::Quiet {
                return Some(conn);
            }
            self.note(&conn, now);
        }
    }

    /// The host closed an idle connection, or let it go stale.
    fn note(&self, conn: &Conn, now: Moment) {
        if now < conn.until && now.since(conn.since) < SOON {
            self.doubt.set((self.doubt.get() + 1).min(DOUBTS));
        }
    }

    /// A connection that looked open died under a request.
    pub(crate) fn distrust(&self) {
        self.doubt.set(DOUBTS);
    }

    /// A connection was used again, and the host answered.
    pub(super) fn trust(&self) {
        self.doubt.set(0);
    }

    pub(super) fn takes_back(&self) -> bool {
        !self.closed.get() && !self.host.is_retired() && self.open.get() <= self.max.get()
    }

    pub(super) fn rest(&self, conn: Box<Conn>) {
        self.idle.borrow_mut().push_back(conn);
        self.call();
    }

    pub(super) fn sweep(&self, now: Moment) {
        let retired = self.host.is_retired();
        self.trunks.sweep(now, retired, self.limits().idle);
        let mut spoilt = Vec::new();
        let mut idle = self.idle.borrow_mut();
        let mut at = 0;
        while at < idle.len() {
            let conn = &idle[at];
            if retired || now >= conn.until || conn.socket.glance() == Look::Spoilt {
                self.note(conn, now);
                spoilt.extend(idle.remove(at));
            } else {
                at += 1;
            }
        }
        drop(idle);
        drop(spoilt);
    }

    /// The worker ends: nothing is kept any more.
    pub(super) fn close(&self) {
        self.closed.set(true);
        self.trunks.close();
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        drop(idle);
    }

    /// Connections and places nobody has.
    fn free(&self) -> u32 {
        let idle = u32::try_from(self.idle.borrow().len()).unwrap_or(u32::MAX);
        self.max.get().saturating_sub(self.open.get()) + idle
    }

    /// Calls as many waiters as there are free connections and places.
    fn call(&self) {
        while self.free() > self.promised.get() {
            let Some(ticket) = self.queue.borrow_mut().pop_front() else { return };
            self.promised.set(self.promised.get() + 1);
            ticket.called.set(true);
            if let Some(waker) = ticket.waker.take() {
                waker.wake();
            }
        }
    }
}

/// A place among the connections of a lane, free again when dropped.
pub(crate) struct Slot(Rc<Lane>);

impl Slot {
    fn new(lane: &Rc<Lane>) -> Self {
        lane.open.set(lane.open.get() + 1);
        Self(Rc::clone(lane))
    }

    pub(crate) fn lane(&self) -> &Rc<Lane> {
        &self.0
    }

    /// Until when a connection made now is used: up to a tenth before its time, so that connections opened together do
    /// not end together.
    pub(crate) fn end(&self, pools: &Pools, now: Moment) -> Moment {
        let age = self.0.limits().max_age;
        let less = (age / 10).mul_f64(fraction(pools.chance()));
        now.after(age - less)
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.call();
    }
}

#[derive(Default)]
struct Ticket {
    called: Cell<bool>,
    waker: Cell<Option<Waker>>,
}

/// A place in the line.
pub(crate) struct Turn {
    lane: Rc<Lane>,
    ticket: Rc<Ticket>,
}

impl Turn {
    /// What was waited for.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, want: Want, now: impl FnOnce() -> Moment) -> Poll<Got> {
        if !self.ticket.called.get() {
            self.ticket.waker.set(Some(cx.waker().clone()));
            return Poll::Pending;
        }
        self.settle();
        if let Some(got) = self.lane.grab(want, now()) {
            return Poll::Ready(got);
        }
        // the place went away in between (a reload made the pool smaller): first in line again
        self.ticket.waker.set(Some(cx.waker().clone()));
        self.lane.queue.borrow_mut().push_front(Rc::clone(&self.ticket));
        Poll::Pending
    }

    /// The promise is kept or given up.
    fn settle(&self) {
        self.ticket.called.set(false);
        self.lane.promised.set(self.lane.promised.get() - 1);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.ticket.called.get() {
            self.settle();
        } else {
            self.lane.queue.borrow_mut().retain(|ticket| !Rc::ptr_eq(ticket, &self.ticket));
        }
        self.lane.call();
    }
}
