//! A connection after a 101: bytes in both directions, no HTTP any more.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use crate::upstream::host::InFlight;
use crate::upstream::pool::Conn;

/// The service's end of an upgraded connection. It counts as in flight and holds its place until dropped.
pub struct Tunnel {
    conn: Box<Conn>,
    /// Bytes that came right behind the answer's head.
    leftover: Vec<u8>,
    _guard: InFlight,
}

impl Tunnel {
    pub(crate) fn new(conn: Box<Conn>, leftover: Vec<u8>, guard: InFlight) -> Self {
        Self { conn, leftover, _guard: guard }
    }
}

impl AsyncRead for Tunnel {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.leftover.is_empty() {
            return Pin::new(&mut self.conn.socket).poll_read(cx, buf);
        }
        let length = self.leftover.len().min(buf.remaining());
        buf.put_slice(&self.leftover[..length]);
        self.leftover.drain(..length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.conn.socket).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.conn.socket).poll_shutdown(cx)
    }
}
