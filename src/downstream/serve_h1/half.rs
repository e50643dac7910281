//! The two halves of a client's socket, so that a body can be read while an answer is written.

use std::io;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::Interest;
use tokio::io::ReadBuf;
use tokio::net::tcp;
use tokio::net::unix;

use crate::downstream::Stream;

/// What reads.
pub(crate) enum ReadHalf {
    Tcp(tcp::OwnedReadHalf),
    Unix(unix::OwnedReadHalf),
}

/// What writes. Dropped, it ends our side of the stream.
pub(crate) enum WriteHalf {
    Tcp(tcp::OwnedWriteHalf),
    Unix(unix::OwnedWriteHalf),
}

/// Takes a stream apart.
pub(crate) fn split(stream: Stream) -> (ReadHalf, WriteHalf) {
    match stream {
        Stream::Tcp(stream) => {
            let (read, write) = stream.into_split();
            (ReadHalf::Tcp(read), WriteHalf::Tcp(write))
        }
        Stream::Unix(stream) => {
            let (read, write) = stream.into_split();
            (ReadHalf::Unix(read), WriteHalf::Unix(write))
        }
    }
}

/// Puts it together again.
pub(crate) fn join(read: ReadHalf, write: WriteHalf) -> Option<Stream> {
    match (read, write) {
        (ReadHalf::Tcp(read), WriteHalf::Tcp(write)) => read.reunite(write).ok().map(Stream::Tcp),
        (ReadHalf::Unix(read), WriteHalf::Unix(write)) => read.reunite(write).ok().map(Stream::Unix),
        _ => None,
    }
}

impl ReadHalf {
    /// Writes without the writing half, for the few bytes of an interim answer.
    pub(crate) fn poll_try_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            let tried = match self {
                Self::Tcp(half) => {
                    ready!(half.as_ref().poll_write_ready(cx))?;
                    half.as_ref().try_write(bytes)
                }
                Self::Unix(half) => {
                    ready!(half.as_ref().poll_write_ready(cx))?;
                    half.as_ref().try_write(bytes)
                }
            };
            match tried {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                tried => return Poll::Ready(tried),
            }
        }
    }
}

impl WriteHalf {
    /// Ready when bytes, an end or a reset wait to be read; an error says that the connection was reset.
    pub(crate) fn poll_peek(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(half) => {
                ready!(half.as_ref().poll_read_ready(cx))?;
                half.as_ref().poll_peek(cx, &mut ReadBuf::new(&mut [0])).map_ok(drop)
            }
            // No peeking here: an error shows by itself.
            Self::Unix(_) => Poll::Ready(Ok(())),
        }
    }

    /// Ready when the connection was reset.
    pub(crate) async fn broken(&self) {
        // An error of the registration itself means the same.
        let _ = match self {
            Self::Tcp(half) => half.ready(Interest::ERROR).await,
            Self::Unix(half) => half.ready(Interest::ERROR).await,
        };
    }
}

impl AsyncRead for ReadHalf {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_read(cx, buf),
            Self::Unix(half) => Pin::new(half).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for WriteHalf {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write(cx, bytes),
            Self::Unix(half) => Pin::new(half).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_write_vectored(cx, slices),
            Self::Unix(half) => Pin::new(half).poll_write_vectored(cx, slices),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(half) => Pin::new(half).poll_shutdown(cx),
            Self::Unix(half) => Pin::new(half).poll_shutdown(cx),
        }
    }
}
