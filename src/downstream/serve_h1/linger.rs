//! The end of a connection, and the way past a body nobody read: bounded in bytes and time.

use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::downstream::Limits;
use crate::downstream::serve_h1::Connection;
use crate::downstream::serve_h1::State;
use crate::downstream::wire::Coding;
use crate::downstream::wire::Input;
use crate::http::h1::Piece;

/// An unread body up to this size is passed over; a larger one ends the connection.
pub(super) const PASSED_OVER: u64 = 64 << 10;
/// After our last answer we go on reading for so long and so much, or the close would be a reset that takes the
/// answer with it (RFC 9112 §9.6).
const LINGER: Duration = Duration::from_secs(5);
const LINGER_BYTES: usize = 32 << 20;

impl Connection {
    /// Whether what is left of the request's body is so little that the connection is worth keeping.
    pub(super) fn can_pass_over(&self) -> bool {
        if self.wire.expects.get() {
            return false;
        }
        match &*self.wire.unread.borrow() {
            Some(Coding::Length(left)) => *left <= PASSED_OVER,
            Some(Coding::Chunked(_)) | None => true,
        }
    }

    /// Reads past the rest of the last request's body.
    pub(super) async fn pass_over(&mut self, limits: &Limits) {
        if self.wire.held.get() {
            self.state = State::Linger;
            return;
        }
        let Some(mut coding) = self.wire.unread.borrow_mut().take() else { return };
        let deadline = self.wire.tools.clock.now().after(limits.body_timeout.min(LINGER));
        self.wire.alarm.set(deadline);
        let mut room = PASSED_OVER;
        if !poll_fn(|cx| self.poll_pass(cx, &mut coding, &mut room)).await {
            self.state = State::Linger;
        }
    }

    /// True when the end of the body was reached.
    fn poll_pass(&self, cx: &mut Context<'_>, coding: &mut Coding, room: &mut u64) -> Poll<bool> {
        let mut input = self.wire.input.borrow_mut();
        loop {
            match skip(&mut input, coding) {
                Some((true, _)) => return Poll::Ready(true),
                Some((false, n)) if n <= *room => *room -= n,
                _ => return Poll::Ready(false),
            }
            match self.wire.poll_read(cx, &mut input) {
                Poll::Ready(Ok(n)) if n > 0 => {}
                Poll::Ready(_) => return Poll::Ready(false),
                Poll::Pending => return self.wire.alarm.poll(cx).map(|()| false),
            }
        }
    }

    /// Ends the connection.
    pub(super) async fn close(&mut self) {
        if self.state == State::Linger {
            let deadline = self.wire.tools.clock.now().after(LINGER);
            self.wire.alarm.set(deadline);
            let mut left = LINGER_BYTES;
            poll_fn(|cx| self.poll_linger(cx, &mut left)).await;
        }
        self.state = State::Cut;
        self.wire.say_goodbye();
        self.wire.stream.borrow_mut().take();
    }

    fn poll_linger(&self, cx: &mut Context<'_>, left: &mut usize) -> Poll<()> {
        if !matches!(self.wire.poll_shutdown(cx), Poll::Ready(Ok(()))) {
            return Poll::Ready(());
        }
        let mut input = Input::default();
        loop {
            match self.wire.poll_read(cx, &mut input) {
                Poll::Ready(Ok(n)) if n > 0 && n < *left => {
                    *left -= n;
                    input.consume(n);
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return self.wire.alarm.poll(cx),
            }
        }
    }
}

/// Drops what is at hand of a body: whether its end was reached, and how many bytes; `None` when it is malformed.
fn skip(input: &mut Input, coding: &mut Coding) -> Option<(bool, u64)> {
    match coding {
        Coding::Length(left) => {
            let n = usize::try_from(*left).unwrap_or(usize::MAX).min(input.len());
            input.consume(n);
            *left -= n as u64;
            Some((*left == 0, n as u64))
        }
        Coding::Chunked(chunked) => {
            let mut skipped = 0;
            loop {
                let (framing, piece) = chunked.next(input.rest()).ok()?;
                input.consume(framing);
                skipped += framing as u64;
                match piece {
                    Piece::Data(n) => {
                        input.consume(n);
                        chunked.took(n);
                        skipped += n as u64;
                    }
                    Piece::More => return Some((false, skipped)),
                    Piece::End => return Some((true, skipped)),
                }
            }
        }
    }
}
