//! One direction of a tunnel: a buffer while something is on its way, none while nothing is.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead as _;
use tokio::io::AsyncWrite as _;
use tokio::io::ReadBuf;

use super::boundary::Boundary;
use crate::http::Buffers;
use crate::http::message::Duplex;

/// Bytes from one peer to the other.
pub(super) struct Pipe {
    buffer: Vec<u8>,
    /// How much of `buffer` is written.
    at: usize,
    state: State,
    /// Where frames end, if these are frames; and whether the sender must mask its own.
    frames: Option<(Boundary, bool)>,
    touched: bool,
    /// Written, and perhaps still held back by an encrypted stream.
    unflushed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Bytes pass.
    Open,
    /// They pass up to the next boundary, where a close frame follows.
    Leaving,
    /// What is written is the last; then the receiver is told that nothing more comes.
    Last,
    /// The sender's rest is thrown away, until it ends too.
    Waste,
    Over,
}

impl Pipe {
    /// `early` was read already. `masks`: the sender is the client.
    pub(super) fn new(early: Vec<u8>, frames: bool, masks: bool) -> Self {
        let mut boundary = Boundary::default();
        if frames {
            boundary.pass(&early);
        }
        let frames = frames.then_some((boundary, masks));
        Self { buffer: early, at: 0, state: State::Open, frames, touched: false, unflushed: false }
    }

    /// No more than the frame under way passes, then a close frame.
    pub(super) fn leave(&mut self) {
        if self.state == State::Open {
            self.state = State::Leaving;
        }
    }

    /// Whether a byte has passed since it was last asked.
    pub(super) fn touched(&mut self) -> bool {
        std::mem::take(&mut self.touched)
    }

    /// Ready when the sender has ended and the receiver knows it.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        spare: &Buffers,
        from: &mut Box<dyn Duplex>,
        to: &mut Box<dyn Duplex>,
    ) -> Poll<Result<(), ()>> {
        loop {
            while self.at < self.buffer.len() {
                match ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer[self.at..])) {
                    Ok(n) if n > 0 => self.at += n,
                    _ => return Poll::Ready(Err(())),
                }
                (self.touched, self.unflushed) = (true, true);
            }
            if self.unflushed {
                match Pin::new(&mut *to).poll_flush(cx) {
                    Poll::Ready(Ok(())) => self.unflushed = false,
                    Poll::Ready(Err(_)) => return Poll::Ready(Err(())),
                    // It goes on when the receiver takes more; meanwhile there may be more to read.
                    Poll::Pending => {}
                }
            }
            let most = match self.state {
                State::Over => return Poll::Ready(Ok(())),
                State::Last => {
                    if ready!(Pin::new(&mut *to).poll_shutdown(cx)).is_err() {
                        return Poll::Ready(Err(()));
                    }
                    self.state = if self.frames.is_some() { State::Waste } else { State::Over };
                    continue;
                }
                State::Leaving => match &self.frames {
                    Some((boundary, masks)) if boundary.left() == 0 => {
                        if !boundary.closed() {
                            self.buffer.clear();
                            self.at = 0;
                            self.buffer.extend_from_slice(if *masks { &MASKED } else { &PLAIN });
                        }
                        self.state = State::Last;
                        continue;
                    }
                    Some((boundary, _)) => boundary.left(),
                    None => usize::MAX,
                },
                State::Open | State::Waste => usize::MAX,
            };
            if ready!(self.poll_read(cx, spare, from, most)) == 0 {
                self.state = if self.state == State::Waste { State::Over } else { State::Last };
                if self.state == State::Last && self.frames.is_some() {
                    // The sender has ended already: there is no rest to wait for.
                    self.frames = None;
                }
            }
        }
    }

    /// Reads into the buffer, which is empty; what breaks off has ended too.
    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        spare: &Buffers,
        from: &mut Box<dyn Duplex>,
        most: usize,
    ) -> Poll<usize> {
        let mut buffer = spare.take();
        buffer.clear();
        buffer.resize(most.min(Buffers::SIZE), 0);
        let mut buf = ReadBuf::new(&mut buffer);
        let polled = Pin::new(&mut *from).poll_read(cx, &mut buf);
        let read = buf.filled().len();
        buffer.truncate(read);
        self.touched |= read > 0;
        if let (Some((boundary, _)), true) = (&mut self.frames, self.state != State::Waste) {
            boundary.pass(&buffer);
        }
        if read == 0 || self.state == State::Waste {
            spare.give(buffer);
            spare.give(std::mem::take(&mut self.buffer));
            self.at = 0;
        } else {
            spare.give(std::mem::replace(&mut self.buffer, buffer));
            self.at = 0;
        }
        polled.map(|_| read)
    }
}

/// A close frame with code 1001, as a server sends it.
const PLAIN: [u8; 4] = [0x88, 2, 0x03, 0xe9];
/// The same from a client, under the mask 0: it hides nothing, and is one.
const MASKED: [u8; 8] = [0x88, 0x82, 0, 0, 0, 0, 0x03, 0xe9];
