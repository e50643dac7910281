//! What is known of a connection beside its frames: when something was last heard, what is stuck, how many are answered.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::downstream::Stream;
use crate::downstream::serve_h2::tally::Tally;

/// Shared by a connection, its socket and the requests on it.
pub(super) struct Watch {
    clock: Clock,
    tally: RefCell<Tally>,
    /// When the client was last heard of.
    heard: Cell<Moment>,
    /// Since when a head is on its way.
    head: Cell<Option<Moment>>,
    /// Since when the client takes no bytes.
    stuck: Cell<Option<Moment>>,
    /// Requests being answered.
    open: Cell<usize>,
    /// When the last of them ended.
    ended: Cell<Moment>,
    /// Requests taken back before they were answered, less those that were answered.
    vain: Cell<u32>,
}

/// Requests a client may take back before the connection ends.
const MOST_IN_VAIN: u32 = 200;

impl Watch {
    pub(super) fn new(clock: Clock) -> Rc<Self> {
        let now = clock.now();
        Rc::new(Self {
            clock,
            tally: RefCell::new(Tally::new(now)),
            heard: Cell::new(now),
            head: Cell::default(),
            stuck: Cell::default(),
            open: Cell::default(),
            ended: Cell::new(now),
            vain: Cell::default(),
        })
    }

    /// Whether the client asks for work without use: frames in vain, requests in vain.
    pub(super) fn is_flood(&self) -> bool {
        self.tally.borrow().is_flood() || self.vain.get() > MOST_IN_VAIN
    }

    pub(super) fn heard(&self) -> Moment {
        self.heard.get()
    }

    pub(super) fn head(&self) -> Option<Moment> {
        self.head.get()
    }

    pub(super) fn stuck(&self) -> Option<Moment> {
        self.stuck.get()
    }

    /// Since when no request is being answered.
    pub(super) fn idle(&self) -> Option<Moment> {
        (self.open.get() == 0).then(|| self.ended.get())
    }

    fn read(&self, bytes: &[u8]) {
        let now = self.clock.now();
        self.heard.set(now);
        let mut tally = self.tally.borrow_mut();
        tally.read(bytes, now);
        self.head.set(if tally.in_block() { self.head.get().or(Some(now)) } else { None });
    }

    fn wrote(&self, written: &Poll<io::Result<usize>>) {
        match written {
            Poll::Ready(Ok(n)) => {
                self.stuck.set(None);
                self.tally.borrow_mut().wrote(*n);
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.block(),
        }
    }

    fn block(&self) {
        if self.stuck.get().is_none() {
            self.stuck.set(Some(self.clock.now()));
        }
    }
}

/// From here on each is worth less than the memory it could use.
const MANY: usize = 8;

/// One request that is being answered.
pub(super) struct Place(Rc<Watch>);

impl Place {
    pub(super) fn take(watch: &Rc<Watch>) -> Self {
        watch.open.set(watch.open.get() + 1);
        Self(Rc::clone(watch))
    }

    /// Whether many others are being answered beside it.
    pub(super) fn is_one_of_many(&self) -> bool {
        self.0.open.get() > MANY
    }

    /// It got its answer.
    pub(super) fn answered(&self) {
        self.0.vain.set(self.0.vain.get().saturating_sub(1));
    }

    /// The client took it back before that.
    pub(super) fn in_vain(&self) {
        self.0.vain.set(self.0.vain.get() + 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.ended.set(self.0.clock.now());
    }
}

/// The socket as the codec uses it.
pub(super) struct Io {
    stream: Stream,
    /// Read before it was known what is spoken here.
    early: Vec<u8>,
    watch: Rc<Watch>,
}

impl Io {
    pub(super) fn new(stream: Stream, early: Vec<u8>, watch: &Rc<Watch>) -> Self {
        Self { stream, early, watch: Rc::clone(watch) }
    }
}

impl AsyncRead for Io {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.stream).poll_read(cx, buf))?;
        } else {
            let n = self.early.len().min(buf.remaining());
            buf.put_slice(&self.early[..n]);
            self.early.drain(..n);
        }
        self.watch.read(&buf.filled()[before..]);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Io {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch.wrote(&written);
        written
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch.wrote(&written);
        written
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        match &flushed {
            Poll::Pending => self.watch.block(),
            Poll::Ready(_) => self.watch.stuck.set(None),
        }
        flushed
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
