//! The reading half of a client's connection: bytes that arrived, and how the request's body is told from what follows.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncReadExt;

use crate::clock::Alarm;
use crate::clock::Moment;
use crate::downstream::Limits;
use crate::downstream::Tools;
use crate::downstream::serve_h1::half::ReadHalf;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;
use crate::http::h1::Chunked;
use crate::http::h1::Framing;
use crate::http::h1::Piece;

/// Bytes from the client that nobody has taken yet, and where more come from.
pub(crate) struct Reader {
    pub(crate) half: ReadHalf,
    buffer: Vec<u8>,
    at: usize,
    /// How the body under way ends; [`Body::Over`] between requests.
    body: Body,
    /// Wakes whoever waits for bytes too long.
    pub(crate) alarm: Alarm,
    tools: Tools,
    /// Body bytes of the request under way.
    received: u64,
    pace: Pace,
}

/// What is still to come of a body.
enum Body {
    Over,
    Length(u64),
    Chunked(Box<Chunked>),
    Broken(BodyError),
}

/// How fast a body must come.
#[derive(Clone, Copy)]
struct Pace {
    began: Moment,
    limits: Bounds,
}

#[derive(Clone, Copy)]
struct Bounds {
    wait: std::time::Duration,
    most: u64,
}

impl Reader {
    pub(crate) fn new(half: ReadHalf, tools: Tools) -> Self {
        let limits = Bounds { wait: std::time::Duration::ZERO, most: u64::MAX };
        Self {
            half,
            buffer: Vec::new(),
            at: 0,
            body: Body::Over,
            alarm: tools.alarms.alarm(&tools.clock),
            tools,
            received: 0,
            pace: Pace { began: Moment::default(), limits },
        }
    }

    /// What has arrived and was not taken.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.buffer[self.at..]
    }

    /// Takes `n` bytes; an empty buffer goes back to the pool, since the connection may idle now.
    pub(crate) fn take(&mut self, n: usize) {
        self.at += n;
        if self.at >= self.buffer.len() {
            self.at = 0;
            self.tools.buffers.give(std::mem::take(&mut self.buffer));
        }
    }

    /// Reads once; how many bytes came, 0 at the client's end of the stream.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.buffer.capacity() == 0 {
            self.buffer = self.tools.buffers.take();
        } else if self.at > 0 && self.buffer.len() == self.buffer.capacity() {
            self.buffer.drain(..self.at);
            self.at = 0;
        }
        let read = pin!(self.half.read_buf(&mut self.buffer)).poll(cx);
        if self.buffer.is_empty() {
            self.tools.buffers.give(std::mem::take(&mut self.buffer));
        }
        read
    }

    /// The body of a new request.
    pub(crate) fn begin(&mut self, framing: Framing, limits: &Limits) {
        self.received = 0;
        self.pace.limits = Bounds { wait: limits.body_timeout, most: limits.body };
        self.pace.began = if framing == Framing::None { Moment::default() } else { self.tools.clock.now() };
        self.body = match framing {
            Framing::None | Framing::Close => Body::Over,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(Box::default()),
        };
    }

    /// Whether the body under way was read to its end.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self.body, Body::Over) || matches!(&self.body, Body::Chunked(chunked) if chunked.is_done())
    }

    /// Body bytes of this request so far.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    fn fail<T>(&mut self, error: BodyError) -> Poll<Result<T, BodyError>> {
        self.body = Body::Broken(error);
        Poll::Ready(Err(error))
    }

    /// How many body bytes are at hand, waiting for some; 0 at the end.
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyError>> {
        loop {
            let at_hand = self.buffer.len() - self.at;
            match &mut self.body {
                Body::Over => return Poll::Ready(Ok(0)),
                Body::Broken(error) => return Poll::Ready(Err(*error)),
                Body::Length(left) if at_hand > 0 => {
                    return Poll::Ready(Ok(at_hand.min(usize::try_from(*left).unwrap_or(usize::MAX))));
                }
                Body::Chunked(chunked) if at_hand > 0 || chunked.is_done() => {
                    match chunked.next(&self.buffer[self.at..]) {
                        Err(_) => return self.fail(BodyError::Malformed),
                        Ok((framing, piece)) => {
                            self.take(framing);
                            match piece {
                                Piece::Data(ready) => return Poll::Ready(Ok(ready)),
                                Piece::End => return Poll::Ready(Ok(0)),
                                Piece::More => {}
                            }
                        }
                    }
                }
                _ => {}
            }
            if let Err(error) = ready!(self.poll_more(cx)) {
                return self.fail(error);
            }
        }
    }

    fn poll_more(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BodyError>> {
        match self.poll_read(cx) {
            Poll::Ready(Ok(n)) if n > 0 => {
                self.alarm.set(Moment::NEVER);
                Poll::Ready(if self.too_slow() { Err(BodyError::Stalled) } else { Ok(()) })
            }
            Poll::Ready(_) => Poll::Ready(Err(BodyError::Cut)),
            Poll::Pending => {
                self.alarm.arm(self.pace.limits.wait);
                self.alarm.poll(cx).map(|()| Err(BodyError::Stalled))
            }
        }
    }

    /// A byte now and then would hold a connection for ever: on the long run there is a least rate.
    fn too_slow(&self) -> bool {
        let elapsed = self.tools.clock.now().since(self.pace.began);
        elapsed > self.pace.limits.wait && self.received < elapsed.as_secs().saturating_mul(LEAST_RATE)
    }

    /// Whether no more than a little is left, so that reading it is cheaper than a new connection.
    pub(crate) fn is_small(&self) -> bool {
        match &self.body {
            Body::Over => true,
            Body::Length(left) => *left <= super::SPARE as u64,
            Body::Chunked(_) => true,
            Body::Broken(_) => false,
        }
    }

    /// Throws `n` bytes of the body away.
    pub(crate) fn discard(&mut self, n: usize) -> Result<(), BodyError> {
        self.took(n)
    }

    fn took(&mut self, n: usize) -> Result<(), BodyError> {
        self.received += n as u64;
        match &mut self.body {
            Body::Length(left) => {
                *left -= (n as u64).min(*left);
                if *left == 0 {
                    self.body = Body::Over;
                }
            }
            Body::Chunked(chunked) => chunked.took(n),
            Body::Over | Body::Broken(_) => {}
        }
        self.take(n);
        if self.received > self.pace.limits.most {
            self.body = Body::Broken(BodyError::TooLarge);
            return Err(BodyError::TooLarge);
        }
        Ok(())
    }

    fn left(&self) -> Option<u64> {
        match &self.body {
            Body::Over => Some(0),
            Body::Length(left) => Some(*left),
            Body::Chunked(_) | Body::Broken(_) => None,
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        match &mut self.body {
            Body::Chunked(chunked) => chunked.trailers(),
            _ => None,
        }
    }
}

/// Bytes a second, once the body has taken longer than the longest wait.
const LEAST_RATE: u64 = 128;

/// Where a reader lent to a request's body comes back to, and what both ends must know of each other.
#[derive(Default)]
pub(crate) struct Home {
    pub(crate) reader: Cell<Option<Box<Reader>>>,
    /// The answer has begun: `100 Continue` must not be written into it.
    pub(crate) answering: Cell<bool>,
    /// How much of `100 Continue` is still to be written.
    pub(crate) interim: Cell<usize>,
}

/// A request's body as it arrives. Dropped, it gives the reader back, read to the end or not.
pub(crate) struct Incoming {
    reader: Option<Box<Reader>>,
    home: Rc<Home>,
}

impl Incoming {
    pub(crate) fn new(reader: Box<Reader>, home: Rc<Home>) -> Self {
        Self { reader: Some(reader), home }
    }

    /// Tells a client that waits for it that its body is wanted (RFC 9110 §10.1.1).
    fn poll_continue(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.home.interim.get() > 0 && !self.home.answering.get() {
            let Some(reader) = &self.reader else { break };
            let left = &CONTINUE[CONTINUE.len() - self.home.interim.get()..];
            match ready!(reader.half.poll_try_write(cx, left)) {
                Ok(n) => self.home.interim.set(self.home.interim.get() - n),
                // The next read says what is wrong.
                Err(_) => self.home.interim.set(0),
            }
        }
        Poll::Ready(())
    }
}

/// The interim answer.
pub(crate) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

impl Source for Incoming {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.home.interim.get() > 0 && self.poll_continue(cx).is_pending() {
            return Poll::Pending;
        }
        let Some(reader) = &mut self.reader else { return Poll::Ready(Err(BodyError::Cut)) };
        let n = ready!(reader.poll_body(cx))?;
        Poll::Ready(Ok(&reader.bytes()[..n]))
    }

    fn consume(&mut self, n: usize) {
        if let Some(reader) = &mut self.reader {
            // The next fill reports what is wrong.
            let _ = reader.took(n);
        }
    }

    fn left(&self) -> Option<u64> {
        self.reader.as_ref().and_then(|reader| reader.left())
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.reader.as_mut().and_then(|reader| reader.trailers())
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.home.reader.set(self.reader.take());
    }
}
