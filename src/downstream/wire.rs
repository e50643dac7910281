//! A connection's socket and read buffer, shared by the connection and the body that is being read from it.

use std::cell::Cell;
use std::cell::RefCell;
use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;
use std::time::Duration;

use tokio::io::AsyncWrite;

use crate::clock::Alarm;
use crate::downstream::Stream;
use crate::downstream::Tools;
use crate::http::Buffers;
use crate::http::h1::Chunked;

/// Bytes of further requests that are read ahead while one is being served.
const AHEAD: usize = 16 << 10;
/// Fewer bytes than this do not keep a buffer while more are waited for.
const FEW: usize = 4 << 10;
/// How often a half-closed client is looked at for a reset.
const LOOK: Duration = Duration::from_secs(1);

/// Borrowed for an instant only, never across an await.
pub(super) struct Wire {
    /// `None` once it became a tunnel.
    pub(super) stream: RefCell<Option<Stream>>,
    /// What was read and not used yet, while no body holds it.
    pub(super) input: RefCell<Input>,
    /// A body is being read and holds the input.
    pub(super) held: Cell<bool>,
    /// What a body that was dropped before its end left in the way.
    pub(super) unread: RefCell<Option<Coding>>,
    /// The client waits for `100 Continue`, which was not sent.
    pub(super) expects: Cell<bool>,
    /// The head of the final answer was begun.
    pub(super) answered: Cell<bool>,
    /// Interim answers on their way: nothing else may be written before they are.
    pub(super) interim: RefCell<Vec<u8>>,
    /// Body bytes received of the current request.
    pub(super) received: Cell<u64>,
    /// The reading direction's deadline.
    pub(super) alarm: Alarm,
    pub(super) tools: Tools,
    /// Woken when a body gives the input back.
    watcher: RefCell<Option<Waker>>,
}

/// How the rest of a body is framed.
pub(super) enum Coding {
    /// So many bytes.
    Length(u64),
    Chunked(Box<Chunked>),
}

/// Bytes read and not used yet.
#[derive(Default)]
pub(super) struct Input {
    buffer: Vec<u8>,
    at: usize,
    /// The client will send nothing more.
    pub(super) eof: bool,
}

impl Input {
    pub(super) fn rest(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    pub(super) fn is_empty(&self) -> bool {
        self.at == self.buffer.len()
    }

    pub(super) fn len(&self) -> usize {
        self.buffer.len() - self.at
    }

    pub(super) fn consume(&mut self, n: usize) {
        self.at += n;
        if self.at >= self.buffer.len() {
            self.buffer.clear();
            self.at = 0;
        }
    }

    /// While the client is waited for the buffer goes back to the pool; a few bytes that are there move to a place of
    /// their size: thousands may wait with half a head.
    fn release(&mut self, tools: &Tools) {
        if self.len() < FEW && self.buffer.capacity() >= Buffers::SIZE {
            let few = self.rest().to_vec();
            tools.buffers.give(std::mem::replace(&mut self.buffer, few));
            self.at = 0;
        }
    }

    pub(super) fn into_rest(mut self) -> Vec<u8> {
        self.buffer.drain(..self.at);
        self.buffer
    }

    /// Room to read into: a pooled buffer, or more behind what is there.
    fn make_room(&mut self, tools: &Tools) {
        if self.buffer.capacity() < Buffers::SIZE {
            let mut roomy = tools.buffers.take();
            roomy.extend_from_slice(self.rest());
            self.buffer = roomy;
            self.at = 0;
        }
        if self.buffer.capacity() - self.buffer.len() < 1024 {
            self.buffer.drain(..self.at);
            self.at = 0;
            self.buffer.reserve(8 << 10);
        }
    }
}

impl Wire {
    pub(super) fn new(stream: Stream, tools: Tools) -> Self {
        Self {
            stream: RefCell::new(Some(stream)),
            input: RefCell::default(),
            held: Cell::new(false),
            unread: RefCell::new(None),
            expects: Cell::new(false),
            answered: Cell::new(false),
            interim: RefCell::default(),
            received: Cell::new(0),
            alarm: tools.alarms.alarm(&tools.clock),
            tools,
            watcher: RefCell::new(None),
        }
    }

    /// These bytes were read before anything else.
    pub(super) fn begin(&self, early: &[u8]) {
        let mut input = self.input.borrow_mut();
        input.make_room(&self.tools);
        input.buffer.extend_from_slice(early);
    }

    /// Reads what is there into `input`; zero is the client's end. Holds no buffer while it waits with little read.
    pub(super) fn poll_read(&self, cx: &mut Context<'_>, input: &mut Input) -> Poll<io::Result<usize>> {
        let mut stream = self.stream.borrow_mut();
        let Some(stream) = stream.as_mut() else { return Poll::Ready(Ok(0)) };
        if input.eof {
            return Poll::Ready(Ok(0));
        }
        if stream.poll_read_ready(cx)?.is_pending() {
            input.release(&self.tools);
            return Poll::Pending;
        }
        input.make_room(&self.tools);
        match stream.poll_fill(cx, &mut input.buffer) {
            Poll::Ready(Ok(n)) => {
                input.eof = n == 0;
                if input.eof {
                    input.release(&self.tools);
                }
                Poll::Ready(Ok(n))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                input.release(&self.tools);
                Poll::Pending
            }
        }
    }

    /// Whether an interim answer is due or under way.
    pub(super) fn is_owed(&self) -> bool {
        self.expects.get() || !self.interim.borrow().is_empty()
    }

    /// Ready when the interim answers are with the system.
    pub(super) fn poll_interim(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut interim = self.interim.borrow_mut();
        while !interim.is_empty() {
            match ready!(self.poll_write(cx, &interim))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => drop(interim.drain(..n)),
            }
        }
        self.poll_flush(cx)
    }

    pub(super) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.stream.borrow_mut().as_mut() {
            Some(stream) => Pin::new(stream).poll_write(cx, bytes),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    pub(super) fn poll_write_vectored(&self, cx: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        match self.stream.borrow_mut().as_mut() {
            Some(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            None => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }

    /// Ready when everything written is with the system; over TLS some may wait in between.
    pub(super) fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.borrow_mut().as_mut() {
            Some(Stream::Tls(stream)) if stream.get_ref().1.wants_write() => Pin::new(stream).poll_flush(cx),
            _ => Poll::Ready(Ok(())),
        }
    }

    pub(super) fn poll_shutdown(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.borrow_mut().as_mut() {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }

    /// Over TLS, an end that was not announced could be an attacker's; a client that takes nothing is not waited for.
    pub(super) fn say_goodbye(&self) {
        if let Some(Stream::Tls(stream)) = self.stream.borrow_mut().as_mut() {
            let _ = Pin::new(stream).poll_shutdown(&mut Context::from_waker(Waker::noop()));
        }
    }

    /// Ready when the client has reset the connection. Reads ahead a bounded amount to notice; its end alone is no abort.
    pub(super) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.held.get() {
            // the body notices; afterwards it is our turn again
            *self.watcher.borrow_mut() = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let mut input = self.input.borrow_mut();
        while !input.eof && input.len() < AHEAD {
            match self.poll_read(cx, &mut input) {
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
        self.poll_reset(cx)
    }

    /// Where reading cannot tell of a reset any more, the socket is asked now and then.
    fn poll_reset(&self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let stream = self.stream.borrow();
            if stream.as_ref().is_some_and(|stream| !matches!(stream.take_error(), Ok(None))) {
                return Poll::Ready(());
            }
            self.alarm.set_after(LOOK);
            if self.alarm.poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// A body gives the input back, with what it left unread.
    pub(super) fn give_back(&self, mut input: Input, unread: Option<Coding>) {
        input.release(&self.tools);
        *self.input.borrow_mut() = input;
        *self.unread.borrow_mut() = unread;
        self.held.set(false);
        if let Some(watcher) = self.watcher.borrow_mut().take() {
            watcher.wake();
        }
    }

    /// Cuts the connection in a way that cannot pass for an ordinary end.
    pub(super) fn reset_on_close(&self) {
        if let Some(stream) = &*self.stream.borrow() {
            stream.reset_on_close();
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.input.get_mut().buffer);
        self.tools.buffers.give(buffer);
    }
}
