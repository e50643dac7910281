//! The sending half of an exchange: a head, then a body, in as few writes as can be.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncWrite;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::h1::Framing;
use crate::http::h1::write;
use crate::upstream::pool::Conn;
use crate::upstream::upload::Upload;

/// Body bytes that go out together with the head, at most; and the largest chunk we write.
const GATHER: usize = 16 << 10;

/// A body from this size on is worth a write of two parts instead of a copy.
const LARGE: u64 = 2 << 10;

/// A request on its way out.
pub(crate) struct Sending {
    out: Vec<u8>,
    at: usize,
    /// Length of the head in `out`, for as long as nothing was sent.
    head: usize,
    stage: Stage,
    upload: Upload,
    /// Something happened since it was last asked.
    pub(super) progress: bool,
    /// It waits for the request's body, not for the service.
    pub(super) starved: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing went out yet; body bytes at hand join the head.
    Gather,
    /// The body goes out as it comes.
    Body,
    /// All was written, perhaps not yet encrypted and handed over.
    Flush,
    Done,
}

/// Why sending ended early.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    Io,
    Body(BodyError),
}

impl Sending {
    /// `out` holds the head.
    pub(super) fn new(out: Vec<u8>, upload: Upload) -> Self {
        Self { head: out.len(), out, at: 0, stage: Stage::Gather, upload, progress: true, starved: false }
    }

    /// The rest of it, which goes on elsewhere; nothing is left here.
    pub(super) fn take(&mut self) -> Box<Self> {
        let done = Self { stage: Stage::Done, ..Self::new(Vec::new(), Upload::new(Body::Empty, false)) };
        Box::new(std::mem::replace(self, done))
    }

    /// The body once more, where all of it could be sent again.
    pub(super) fn replay(&mut self) -> Option<Box<Upload>> {
        self.upload.is_replayable().then(|| Box::new(self.recall(false)))
    }

    pub(super) fn is_done(&self) -> bool {
        self.stage == Stage::Done
    }

    pub(super) fn is_untouched(&self) -> bool {
        self.at == 0 && self.head > 0
    }

    /// The buffer, once it is needed no more.
    pub(super) fn spare(&mut self) -> Option<Vec<u8>> {
        (self.stage == Stage::Done && self.out.capacity() > 0).then(|| {
            let mut buffer = std::mem::take(&mut self.out);
            buffer.clear();
            buffer
        })
    }

    /// The upload, back at its start where that is possible.
    pub(super) fn recall(&mut self, unsent: bool) -> Upload {
        let none = Upload::new(Body::Empty, false);
        let mut upload = std::mem::replace(&mut self.upload, none);
        if unsent {
            upload.untake(&self.out[self.head..]);
        }
        upload.rewind();
        upload
    }

    /// Sends as much as the connection takes and the body gives.
    pub(crate) fn poll(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        if self.stage == Stage::Gather && !ready!(self.poll_both(conn, cx))? {
            self.gather(cx).map_err(Fault::Body)?;
        }
        loop {
            while self.at < self.out.len() {
                let written = ready!(write_some(conn, cx, &self.out[self.at..]))?;
                if self.head > 0 && self.at == 0 {
                    self.upload.left();
                }
                self.at += written;
                self.progress = true;
            }
            match self.stage {
                Stage::Done => return Poll::Ready(Ok(())),
                Stage::Flush => {
                    ready!(Pin::new(&mut conn.socket).poll_flush(cx)).map_err(|_| Fault::Io)?;
                    self.stage = Stage::Done;
                }
                Stage::Gather | Stage::Body => {
                    (self.head, self.at) = (0, 0);
                    self.out.clear();
                    ready!(self.poll_body(conn, cx))?;
                }
            }
        }
    }

    /// Writes the head and a larger piece of the body in one call without copying the piece; `false` when there is
    /// none at hand, or the framing or TLS want a copy.
    fn poll_both(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Poll<Result<bool, Fault>> {
        if !matches!(self.upload.framing, Framing::Length(LARGE..)) || !conn.socket.is_plain() {
            return Poll::Ready(Ok(false));
        }
        let Poll::Ready(piece) = self.upload.poll(cx) else { return Poll::Ready(Ok(false)) };
        let piece = piece.map_err(Fault::Body)?;
        let both = [IoSlice::new(&self.out), IoSlice::new(piece)];
        let written = match ready!(Pin::new(&mut conn.socket).poll_write_vectored(cx, &both)) {
            Ok(0) | Err(_) => return Poll::Ready(Err(Fault::Io)),
            Ok(written) => written,
        };
        self.at = written.min(self.out.len());
        self.upload.left();
        self.upload.took(written - self.at);
        (self.stage, self.progress) = (Stage::Body, true);
        Poll::Ready(Ok(true))
    }

    /// Adds the body bytes at hand to the head: a small request is one write.
    fn gather(&mut self, cx: &mut Context<'_>) -> Result<(), BodyError> {
        self.stage = Stage::Body;
        let framing = self.upload.framing;
        while self.out.len() < GATHER {
            let piece = match self.upload.poll(cx) {
                Poll::Pending => {
                    self.starved = true;
                    return Ok(());
                }
                Poll::Ready(piece) => piece?,
            };
            let length = piece.len().min(GATHER);
            if length == 0 {
                self.end();
                return Ok(());
            }
            append(&mut self.out, &piece[..length], framing);
            self.upload.took(length);
        }
        Ok(())
    }

    /// One piece of the body: written through, or framed into the buffer.
    fn poll_body(&mut self, conn: &mut Conn, cx: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        let framing = self.upload.framing;
        let piece = match self.upload.poll(cx) {
            Poll::Ready(piece) => {
                self.progress |= std::mem::take(&mut self.starved);
                piece.map_err(Fault::Body)?
            }
            Poll::Pending => {
                self.progress |= !std::mem::replace(&mut self.starved, true);
                ready!(Pin::new(&mut conn.socket).poll_flush(cx)).map_err(|_| Fault::Io)?;
                return Poll::Pending;
            }
        };
        if piece.is_empty() {
            self.end();
        } else if framing == Framing::Chunked {
            let length = piece.len().min(GATHER);
            append(&mut self.out, &piece[..length], framing);
            self.upload.took(length);
        } else {
            let written = ready!(write_some(conn, cx, piece))?;
            self.upload.took(written);
            self.progress = true;
        }
        Poll::Ready(Ok(()))
    }

    fn end(&mut self) {
        if self.upload.framing == Framing::Chunked {
            let trailers = self.upload.trailers();
            write::last_chunk(&mut self.out, trailers.as_ref());
        }
        self.stage = Stage::Flush;
    }
}

fn append(out: &mut Vec<u8>, piece: &[u8], framing: Framing) {
    if framing == Framing::Chunked {
        write::chunk_size(out, piece.len());
        out.extend_from_slice(piece);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(piece);
    }
}

fn write_some(conn: &mut Conn, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<Result<usize, Fault>> {
    let written: io::Result<usize> = ready!(Pin::new(&mut conn.socket).poll_write(cx, bytes));
    Poll::Ready(match written {
        Ok(0) | Err(_) => Err(Fault::Io),
        Ok(written) => Ok(written),
    })
}
