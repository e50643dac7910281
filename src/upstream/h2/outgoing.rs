//! A request's body on its way out: as much as the host takes, and no more read of it than that.

use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;
use h2::SendStream;

use crate::http::BodyError;
use crate::upstream::h2::fields;
use crate::upstream::upload::Upload;

/// The largest piece handed over at a time: one frame of the usual size.
const PIECE: usize = 16 << 10;

/// The sending half of an exchange.
pub(super) struct Outgoing {
    stream: SendStream<Bytes>,
    upload: Upload,
    done: bool,
    /// Something happened since it was last asked.
    pub(super) progress: bool,
    /// It waits for the request's body, not for the service.
    pub(super) starved: bool,
}

/// Why sending ended early.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fault {
    /// The host takes no more; what it has to say is still read.
    Refused,
    Body(BodyError),
}

impl Outgoing {
    /// `done`: there is no body, the head was all.
    pub(super) fn new(stream: SendStream<Bytes>, upload: Upload, done: bool) -> Self {
        Self { stream, upload, done, progress: true, starved: false }
    }

    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    /// The body, for another attempt.
    pub(super) fn into_upload(self) -> Upload {
        self.upload
    }

    /// Sends as much as the host takes and the body gives.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        while !self.done {
            let length = match self.upload.poll(cx) {
                Poll::Ready(piece) => piece.map_err(Fault::Body)?.len().min(PIECE),
                Poll::Pending => {
                    self.progress |= !std::mem::replace(&mut self.starved, true);
                    return Poll::Pending;
                }
            };
            self.progress |= std::mem::take(&mut self.starved);
            if length == 0 {
                self.end()?;
                continue;
            }
            let room = ready!(self.room(length, cx))?;
            self.give(length.min(room), cx)?;
        }
        Poll::Ready(Ok(()))
    }

    /// How many bytes the host takes now.
    fn room(&mut self, wanted: usize, cx: &mut Context<'_>) -> Poll<Result<usize, Fault>> {
        while self.stream.capacity() == 0 {
            self.stream.reserve_capacity(wanted);
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Poll::Ready(Err(Fault::Refused)),
            }
        }
        Poll::Ready(Ok(self.stream.capacity()))
    }

    /// The next `length` bytes, which are at hand.
    fn give(&mut self, length: usize, cx: &mut Context<'_>) -> Result<(), Fault> {
        let last = self.upload.ends_with(length);
        let Poll::Ready(piece) = self.upload.poll(cx) else { return Ok(()) };
        let piece = Bytes::copy_from_slice(&piece.map_err(Fault::Body)?[..length]);
        self.stream.send_data(piece, last).map_err(|_| Fault::Refused)?;
        self.upload.took(length);
        (self.done, self.progress) = (last, true);
        Ok(())
    }

    fn end(&mut self) -> Result<(), Fault> {
        let sent = match self.upload.trailers() {
            Some(trailers) => self.stream.send_trailers(fields::trailers(&trailers)),
            None => self.stream.send_data(Bytes::new(), true),
        };
        (self.done, self.progress) = (true, true);
        sent.map_err(|_| Fault::Refused)
    }
}
