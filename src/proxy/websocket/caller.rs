//! One end of a socket without a gateway behind it: how a client, or a service, speaks where neither is real.

use std::future::poll_fn;
use std::task::Context;
use std::task::Poll;

use super::Close;
use super::Line;
use super::Message;
use super::Shut;
use super::Side;
use super::end::End;
use super::end::Leaving;
use super::frames::Event;
use super::frames::Frames;
use crate::clock::Moment;
use crate::http::message::Duplex;

/// Who speaks with `peer`. What is said here is queued, and goes out while [`Caller::attend`] runs.
pub struct Caller {
    line: Line,
    peer: Side,
}

impl Caller {
    /// The largest message that is taken.
    pub const LARGEST: usize = 64 << 20;

    /// One who will speak with `peer`.
    pub fn new(peer: Side) -> Self {
        Self { line: Line::default(), peer }
    }

    /// Says `message`, unless the socket is closed.
    pub fn say(&self, message: Message) -> Result<(), Shut> {
        self.line.say(self.peer, message)
    }

    /// Closes, after what was said before; one who is closed already stays closed as it was.
    pub fn close(&self, close: Close) {
        let _ = self.line.close(close);
    }

    /// How the socket was closed, or is about to be; 1006 when the peer left without a word.
    pub fn closed(&self) -> Option<Close> {
        self.line.ending()
    }

    /// Speaks and listens until both are gone.
    pub async fn attend(&self, stream: Box<dyn Duplex>, early: Vec<u8>, mut hear: impl FnMut(Message)) {
        let mut end = End::new(self.peer, Frames::new(stream, early, self.peer, Self::LARGEST));
        poll_fn(|cx| self.poll(&mut end, cx, &mut hear)).await;
        self.close(Close::new(1006, ""));
        self.line.hang_up();
    }

    fn poll(&self, end: &mut End, cx: &mut Context<'_>, hear: &mut impl FnMut(Message)) -> Poll<()> {
        loop {
            // Nobody loses patience here: the test's clock says how long a peer may take.
            let mut moved = end.poll_send(cx, &self.line, self.line.ending().as_ref(), Moment::NEVER);
            moved |= end.poll_read(cx);
            match end.held.take() {
                Some(Event::Message(message)) => hear(message),
                Some(Event::Close(close)) => {
                    end.agree(cx, None);
                    self.close(close);
                }
                Some(Event::Broken(close)) => {
                    end.agree(cx, Some(&close));
                    self.close(close);
                }
                Some(Event::Gone) => end.leaving = Leaving::Gone,
                None => {}
            }
            if end.leaving == Leaving::Gone {
                return Poll::Ready(());
            }
            if !moved {
                self.line.watch(cx);
                return Poll::Pending;
            }
        }
    }
}
