//! One peer of a conversation: what it said last, which function works on it, and how far it is with leaving.

use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use super::Close;
use super::Fate;
use super::Line;
use super::Message;
use super::Side;
use super::frames::Event;
use super::frames::Frames;
use crate::clock::Moment;
use crate::proxy::Failure;

/// A function at work.
pub(super) type Work<T> = Pin<Box<dyn Future<Output = Result<T, Failure>>>>;

/// A peer.
pub(super) struct End {
    pub(super) side: Side,
    frames: Frames,
    pub(super) leaving: Leaving,
    /// Read, and not yet dealt with: one is read ahead, so that pings are answered while a function works.
    pub(super) held: Option<Event>,
    /// The message a function works on, and when that must be over.
    pub(super) handling: Option<(Message, Work<Fate>, Moment)>,
    /// Since when the peer takes nothing.
    pub(super) stuck: Option<Moment>,
    active: bool,
}

/// How far a peer is with leaving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Leaving {
    No,
    /// It was told, and must answer.
    Told,
    /// Both have said so; what is written must still get there.
    Agreed,
    /// The stream ends.
    Ending,
    /// Nothing more comes or goes.
    Gone,
}

impl End {
    pub(super) fn new(side: Side, frames: Frames) -> Self {
        Self { side, frames, leaving: Leaving::No, held: None, handling: None, stuck: None, active: false }
    }

    /// Reads one event ahead; whether there is a new one. A peer that takes nothing is not listened to.
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>) -> bool {
        let listens = matches!(self.leaving, Leaving::No | Leaving::Told) && self.held.is_none();
        if !listens || self.stuck.is_some() {
            return false;
        }
        let Poll::Ready(event) = self.frames.poll_event(cx) else { return false };
        self.held = Some(event);
        true
    }

    /// Sends what there is to say, then the close frame once `ending` is known; whether anything has moved.
    pub(super) fn poll_send(&mut self, cx: &mut Context<'_>, line: &Line, ending: Option<&Close>, now: Moment) -> bool {
        let mut moved = false;
        loop {
            match self.leaving {
                Leaving::Gone => return moved,
                Leaving::Ending => {
                    if self.frames.poll_end(cx).is_ready() {
                        self.leaving = Leaving::Gone;
                        moved = true;
                    }
                    return moved;
                }
                Leaving::No | Leaving::Told | Leaving::Agreed => {}
            }
            match self.frames.poll_flush(cx) {
                Poll::Pending => {
                    if self.frames.touched() {
                        (self.stuck, self.active) = (None, true);
                    }
                    self.stuck.get_or_insert(now);
                    return moved;
                }
                Poll::Ready(Err(())) => {
                    self.leaving = Leaving::Gone;
                    return true;
                }
                Poll::Ready(Ok(())) => moved |= self.stuck.take().is_some(),
            }
            match self.leaving {
                Leaving::Agreed => self.leaving = Leaving::Ending,
                Leaving::Told => return moved,
                _ => match (line.next(self.side), ending) {
                    (Some(message), _) => self.frames.write(cx, message),
                    (None, Some(close)) => {
                        self.frames.close(cx, close);
                        self.leaving = Leaving::Told;
                    }
                    (None, None) => return moved,
                },
            }
            moved = true;
        }
    }

    /// The peer has closed and was answered, or has broken the protocol and is told so.
    pub(super) fn agree(&mut self, cx: &mut Context<'_>, broke: Option<&Close>) {
        if let (Some(close), Leaving::No) = (broke, self.leaving) {
            self.frames.close(cx, close);
        }
        self.leaving = Leaving::Agreed;
    }

    /// When patience with a peer that takes nothing ends.
    pub(super) fn patience(&self, limit: Duration) -> Moment {
        self.stuck.filter(|_| self.leaving != Leaving::Gone).map_or(Moment::NEVER, |since| since.after(limit))
    }

    /// Whether a byte has passed since it was last asked.
    pub(super) fn touched(&mut self) -> bool {
        std::mem::take(&mut self.active) | self.frames.touched()
    }
}
