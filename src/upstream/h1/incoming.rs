//! An answer's body as it arrives. The connection goes back to its pool with the last byte, and is closed otherwise.

use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use crate::clock::Moment;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Buffers;
use crate::http::Headers;
use crate::http::Source;
use crate::http::h1::Chunked;
use crate::http::h1::Framing;
use crate::http::h1::Piece;
use crate::upstream::h1::sending::Fault;
use crate::upstream::h1::sending::Sending;
use crate::upstream::host::InFlight;
use crate::upstream::pool::Conn;

/// The buffer a long body is read into: fewer, larger reads and writes.
const LARGE: usize = 64 << 10;

/// The body of an answer, as it comes.
struct Incoming {
    line: Option<Line>,
    input: Input,
    state: State,
    /// How large a buffer may become.
    most: usize,
}

/// The connection an answer comes on.
pub(crate) struct Line {
    pub(crate) conn: Box<Conn>,
    /// The host is busy with the request until its answer is read.
    #[allow(dead_code, reason = "held to be dropped")]
    pub(crate) guard: InFlight,
    /// The request's body, when the answer came before all of it was sent.
    pub(crate) sending: Option<Box<Sending>>,
    /// Whether the connection may carry another request.
    pub(crate) reusable: bool,
    /// How long the host keeps idle connections.
    pub(crate) peer: Option<Duration>,
    /// Longest wait between two reads.
    pub(crate) idle: Duration,
}

/// Bytes read and not yet taken.
pub(crate) struct Input {
    pub(crate) bytes: Vec<u8>,
    pub(crate) at: usize,
    pub(crate) buffers: Buffers,
}

impl Input {
    /// How many bytes were read and not yet taken.
    pub(crate) fn unread(&self) -> usize {
        self.bytes.len() - self.at
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.buffers.give(std::mem::take(&mut self.bytes));
    }
}

/// A body of which every byte came with the head.
struct Whole {
    input: Input,
    left: usize,
}

impl Source for Whole {
    fn poll_fill(&mut self, _cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        let unread = &self.input.bytes[self.input.at..];
        Poll::Ready(Ok(unread.get(..self.left).unwrap_or(unread)))
    }

    fn consume(&mut self, n: usize) {
        self.input.at = (self.input.at + n).min(self.input.bytes.len());
        self.left = self.left.saturating_sub(n);
    }

    fn left(&self) -> Option<u64> {
        Some(self.left as u64)
    }
}

enum State {
    Length(u64),
    Chunked(Chunked),
    Close,
    Done,
    Broken(BodyError),
}

/// The body of an answer, whose head ended where `input` goes on. One that is complete already lets the connection go at
/// once.
#[inline]
pub(crate) fn body(line: Line, input: Input, framing: Framing, now: Moment) -> Body {
    let unread = input.unread();
    let state = match framing {
        Framing::None => {
            line.end(unread > 0, now);
            return Body::Empty;
        }
        Framing::Length(length) => match usize::try_from(length) {
            Ok(left) if left <= unread => {
                line.end(unread > left, now);
                return Body::stream(Whole { input, left });
            }
            _ => State::Length(length),
        },
        Framing::Chunked => State::Chunked(Chunked::new()),
        Framing::Close => State::Close,
    };
    line.conn.alarm.set(Moment::NEVER);
    Body::stream(Incoming { line: Some(line), input, state, most: LARGE })
}

impl Line {
    /// Every byte of the answer was read. `stray`: more came, which could be taken for the next answer: never reuse.
    #[inline]
    fn end(self, stray: bool, now: Moment) {
        if self.reusable && !stray && self.sending.is_none() {
            self.conn.give_back(now, self.peer);
        }
    }
}

impl Incoming {
    /// Lets the connection go when every byte of the answer was read from it.
    fn release(&mut self) {
        let (State::Length(left), unread) = (&self.state, self.input.unread() as u64) else { return };
        let stray = unread > *left;
        if *left <= unread
            && let Some(line) = self.line.take()
        {
            let now = line.conn.alarm.clock().now();
            line.end(stray, now);
        }
    }

    /// Reads more into the buffer; `false` at the end of the connection.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, BodyError>> {
        let Some(line) = &mut self.line else { return Poll::Ready(Err(BodyError::Cut)) };
        let filled = self.input.bytes.capacity() == self.input.bytes.len();
        if self.input.at == self.input.bytes.len() {
            self.input.bytes.clear();
            self.input.at = 0;
        }
        if filled {
            self.input.bytes.reserve_exact(self.most.saturating_sub(self.input.bytes.len()).max(Buffers::SIZE));
        }
        match line.conn.socket.poll_fill(cx, &mut self.input.bytes) {
            Poll::Ready(read) => {
                line.conn.alarm.set(Moment::NEVER);
                Poll::Ready(match read {
                    Ok(0) => Ok(false),
                    Ok(_) => Ok(true),
                    Err(_) => Err(BodyError::Cut),
                })
            }
            Poll::Pending => {
                line.conn.alarm.arm(line.idle);
                ready!(line.conn.alarm.poll(cx));
                Poll::Ready(Err(BodyError::Stalled))
            }
        }
    }

    /// Goes on sending the request's body, if some of it is left.
    fn send_on(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        let Some(line) = &mut self.line else { return Ok(()) };
        let Some(sending) = &mut line.sending else { return Ok(()) };
        let sent = sending.poll(&mut line.conn, cx);
        if std::mem::take(&mut sending.progress) {
            line.conn.alarm.set(Moment::NEVER);
        }
        match sent {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                line.sending = None;
                Ok(())
            }
            // the host wants no more of it; what it has to say is still read
            Poll::Ready(Err(Fault::Io)) => {
                (line.sending, line.reusable) = (None, false);
                Ok(())
            }
            Poll::Ready(Err(Fault::Body(_))) => Err(BodyError::Request),
        }
    }

    fn fail(&mut self, error: BodyError) -> BodyError {
        self.line = None;
        self.state = State::Broken(error);
        error
    }

    /// Advances to where bytes of the body stand in the buffer: how many. 0 is the end.
    fn poll_some(&mut self, cx: &mut Context<'_>) -> Poll<Result<usize, BodyError>> {
        self.send_on(cx)?;
        loop {
            let unread = self.input.unread();
            match &mut self.state {
                State::Done => return Poll::Ready(Ok(0)),
                State::Broken(error) => return Poll::Ready(Err(*error)),
                State::Length(0) => {
                    self.state = State::Done;
                    continue;
                }
                State::Length(left) if unread > 0 => {
                    return Poll::Ready(Ok(usize::try_from(*left).unwrap_or(usize::MAX).min(unread)));
                }
                State::Close if unread > 0 => return Poll::Ready(Ok(unread)),
                State::Length(_) | State::Close => {}
                State::Chunked(decoder) => {
                    let next = decoder.next(&self.input.bytes[self.input.at..]);
                    let (framing, piece) = next.map_err(|_| BodyError::Malformed)?;
                    self.input.at += framing;
                    match piece {
                        Piece::Data(length) => return Poll::Ready(Ok(length)),
                        Piece::More => {}
                        Piece::End => return Poll::Ready(Ok(0)),
                    }
                }
            }
            if !ready!(self.poll_read(cx))? {
                if !matches!(self.state, State::Close) {
                    return Poll::Ready(Err(BodyError::Cut));
                }
                self.line = None;
                self.state = State::Done;
            }
            self.release();
        }
    }

    fn chunks_ended(&self) -> bool {
        matches!(&self.state, State::Chunked(decoder) if decoder.is_done())
    }
}

impl Source for Incoming {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        let length = match ready!(self.poll_some(cx)) {
            Ok(length) => length,
            Err(error) => return Poll::Ready(Err(self.fail(error))),
        };
        if length == 0 && self.chunks_ended() {
            self.end_chunked();
        }
        Poll::Ready(Ok(&self.input.bytes[self.input.at..self.input.at + length]))
    }

    fn consume(&mut self, n: usize) {
        self.input.at = (self.input.at + n).min(self.input.bytes.len());
        match &mut self.state {
            State::Length(left) => *left = left.saturating_sub(n as u64),
            State::Chunked(decoder) => decoder.took(n),
            _ => {}
        }
    }

    fn left(&self) -> Option<u64> {
        match &self.state {
            State::Length(left) => Some(*left),
            State::Done => Some(0),
            State::Chunked(_) | State::Close | State::Broken(_) => None,
        }
    }

    fn trailers(&mut self) -> Option<Headers> {
        match &mut self.state {
            State::Chunked(decoder) => decoder.trailers(),
            _ => None,
        }
    }

    fn be_modest(&mut self) {
        self.most = Buffers::SIZE;
    }
}

impl Incoming {
    /// The last chunk was read: the connection is free, the trailers stay.
    fn end_chunked(&mut self) {
        let Some(line) = self.line.take() else { return };
        let now = line.conn.alarm.clock().now();
        line.end(self.input.unread() > 0, now);
    }
}
