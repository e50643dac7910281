//! A stream that an extended CONNECT turned into a connection (RFC 8441): bytes both ways, in DATA frames.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Buf as _;
use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;
use h2::SendStream;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::downstream::serve_h2::room::Piece;
use crate::downstream::serve_h2::room::Room;
use crate::downstream::serve_h2::room::Turn;
use crate::downstream::serve_h2::watch::Place;
use crate::http::h2::PIECE;
use crate::http::h2::poll_room;

/// Read and written like a socket; dropped before both sides have ended, it is reset.
pub struct Tunnel {
    inward: RecvStream,
    outward: SendStream<Piece>,
    room: Rc<Room>,
    turn: Option<Turn>,
    /// Arrived and not read yet.
    piece: Bytes,
    /// The client has ended its side; we have ended ours.
    ended: (bool, bool),
    _place: Place,
}

impl Tunnel {
    pub(super) fn new(inward: RecvStream, outward: SendStream<Piece>, room: Rc<Room>, place: Place) -> Self {
        Self { inward, outward, room, turn: None, piece: Bytes::new(), ended: (false, false), _place: place }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while self.piece.is_empty() && !self.ended.0 {
            match ready!(self.inward.poll_data(cx)) {
                Some(Ok(piece)) => self.piece = piece,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => self.ended.0 = true,
            }
        }
        let n = self.piece.len().min(buf.remaining());
        buf.put_slice(&self.piece[..n]);
        self.piece.advance(n);
        // On a stream that is over it makes no difference.
        let _ = self.inward.flow_control().release_capacity(n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        let wanted = buf.len().min(PIECE);
        if wanted == 0 {
            return Poll::Ready(Ok(0));
        }
        let n = match ready!(poll_room(&mut this.outward, cx, wanted)) {
            Some(room) => room.map_err(broken)?,
            None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        let grant = ready!(this.room.poll(&mut this.turn, cx, n));
        let n = n.min(grant.bytes());
        this.outward.send_data(grant.piece(Bytes::copy_from_slice(&buf[..n])), false).map_err(broken)?;
        Poll::Ready(Ok(n))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The connection sends what it was handed.
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !std::mem::replace(&mut self.ended.1, true) {
            self.outward.send_data(Piece::empty(), true).map_err(broken)?;
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        if self.ended != (true, true) {
            self.outward.send_reset(Reason::CANCEL);
        }
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
