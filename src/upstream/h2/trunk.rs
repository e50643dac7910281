//! One HTTP/2 connection: what it carries, how long it is used, and the task that keeps it going.

use std::cell::Cell;
use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::rc::Weak;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use h2::Ping;
use h2::PingPong;
use h2::client::Connection;
use h2::client::SendRequest;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::clock::Sleep;
use crate::upstream::h2::STREAMS;
use crate::upstream::pool::Lane;
use crate::upstream::pool::Slot;
use crate::upstream::socket::Socket;

/// How long streams may be silent before their host is asked for a sign of life, and how long it may take to give one.
/// The wait doubles as long as nothing else is heard: servers of gRPC hang up on who asks more often (twice is
/// forgiven, then it is once in [`RARELY`]).
const SILENCE: Duration = Duration::from_secs(20);

/// Just above the five minutes at which no server of gRPC minds.
const RARELY: Duration = Duration::from_secs(310);

/// Pings in a row, with nothing else heard, before they become rare.
const FORGIVEN: u32 = 3;

/// An open connection with its place in the pool; dropping the last handle ends it in an orderly way.
pub(super) struct Trunk {
    sender: SendRequest<Bytes>,
    /// Streams under way.
    pub(super) taken: Cell<usize>,
    /// It answered before.
    pub(super) proven: Cell<bool>,
    /// It takes no further requests.
    pub(super) closing: Cell<bool>,
    /// When something was read last.
    heard: Rc<Cell<Moment>>,
    /// No new requests from then on.
    die: Moment,
    /// Since when nothing is under way.
    pub(super) since: Cell<Moment>,
    pub(super) clock: Clock,
    slot: Slot,
}

impl Trunk {
    /// `die`: when its time is over.
    pub(super) fn new(
        sender: SendRequest<Bytes>,
        heard: Rc<Cell<Moment>>,
        die: Moment,
        clock: &Clock,
        slot: Slot,
    ) -> Rc<Self> {
        Rc::new(Self {
            sender,
            taken: Cell::new(0),
            proven: Cell::new(false),
            closing: Cell::new(false),
            heard,
            die,
            since: Cell::new(clock.now()),
            clock: clock.clone(),
            slot,
        })
    }

    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.sender.clone()
    }

    pub(super) fn lane(&self) -> &Rc<Lane> {
        self.slot.lane()
    }

    /// How many more requests it takes.
    pub(super) fn room(&self, now: Moment) -> usize {
        if now >= self.die || self.is_over() {
            self.closing.set(true);
        }
        if self.closing.get() {
            return 0;
        }
        self.limit().saturating_sub(self.taken.get())
    }

    /// How many requests it takes at a time.
    fn limit(&self) -> usize {
        self.sender.current_max_send_streams().min(STREAMS)
    }

    /// Whether the host said goodbye (GOAWAY) or the connection broke.
    fn is_over(&self) -> bool {
        let mut context = Context::from_waker(std::task::Waker::noop());
        matches!(self.sender().poll_ready(&mut context), Poll::Ready(Err(_)))
    }

    /// Time ran out for one of its requests: where nothing at all was heard for `quiet`, it takes no further ones.
    pub(super) fn suspect(&self, quiet: Duration) {
        if self.clock.now().since(self.heard.get()) >= quiet {
            self.closing.set(true);
        }
    }
}

/// Keeps `connection` going until it ends, its host gives no sign of life, or nobody holds its trunk and no stream is
/// left.
pub(super) async fn drive(
    mut connection: Connection<Watched, Bytes>,
    trunk: Weak<Trunk>,
    heard: Rc<Cell<Moment>>,
    clock: Clock,
) {
    let mut pulse = connection.ping_pong().map(|pings| Pulse::new(pings, heard, &clock));
    let mut limit = 0;
    poll_fn(|cx| {
        if Pin::new(&mut connection).poll(cx).is_ready() {
            return Poll::Ready(());
        }
        if let Some(trunk) = trunk.upgrade()
            && trunk.lane().trunks.is_waited_for()
        {
            let told = trunk.limit();
            if std::mem::replace(&mut limit, told) < told || trunk.is_over() {
                trunk.lane().trunks.call(told);
            }
        }
        let busy = trunk.upgrade().is_some_and(|trunk| trunk.taken.get() > 0);
        pulse.as_mut().map_or(Poll::Pending, |pulse| pulse.poll(cx, busy, &clock))
    })
    .await;
    // whoever waits on it hears of the end before it is struck off
    drop(connection);
    if let Some(trunk) = trunk.upgrade() {
        trunk.closing.set(true);
        trunk.lane().trunks.strike(&trunk);
    }
}

/// Asks for signs of life.
struct Pulse {
    pings: PingPong,
    sleep: Sleep,
    heard: Rc<Cell<Moment>>,
    /// When something was heard last before the wait began.
    mark: Moment,
    /// Pings in a row.
    count: u32,
    asked: bool,
}

impl Pulse {
    fn new(pings: PingPong, heard: Rc<Cell<Moment>>, clock: &Clock) -> Self {
        Self { pings, sleep: clock.sleep(SILENCE), mark: heard.get(), heard, count: 0, asked: false }
    }

    /// Ready when there is none.
    fn poll(&mut self, cx: &mut Context<'_>, busy: bool, clock: &Clock) -> Poll<()> {
        match self.pings.poll_pong(cx) {
            Poll::Ready(Err(_)) => return Poll::Ready(()),
            Poll::Ready(Ok(_)) if self.asked => {
                self.rest(if self.count < FORGIVEN { SILENCE * (1 << self.count) } else { RARELY }, clock);
            }
            _ => {}
        }
        while Pin::new(&mut self.sleep).poll(cx).is_ready() {
            if self.asked && self.mark == self.heard.get() {
                return Poll::Ready(());
            }
            if self.mark != self.heard.get() || !busy {
                self.count = 0;
                self.rest(SILENCE, clock);
                continue;
            }
            // one that cannot be sent now is tried again after the next silence
            let sent = self.pings.send_ping(Ping::opaque()).is_ok();
            self.rest(SILENCE, clock);
            (self.asked, self.count) = (sent, self.count + 1);
            let _ = self.pings.poll_pong(cx);
        }
        Poll::Pending
    }

    fn rest(&mut self, wait: Duration, clock: &Clock) {
        (self.asked, self.mark, self.sleep) = (false, self.heard.get(), clock.sleep(wait));
    }
}

/// A socket that notes when something was read.
pub(super) struct Watched {
    pub(super) socket: Socket,
    pub(super) heard: Rc<Cell<Moment>>,
    pub(super) clock: Clock,
}

impl AsyncRead for Watched {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        let read = Pin::new(&mut self.socket).poll_read(cx, buf);
        if buf.filled().len() > before {
            self.heard.set(self.clock.now());
        }
        read
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.socket.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}
