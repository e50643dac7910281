//! The byte stream under a connection: TCP, TLS over it, a Unix socket, or memory where nothing is sent at all.

use std::future::Future;
use std::io;
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::AsFd;
use std::pin::Pin;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;

use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWrite;
use tokio::io::DuplexStream;
use tokio::io::Interest;
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio::net::UnixStream;
use tokio_rustls::client::TlsStream;

use crate::net::tcp;

/// A connected stream.
#[derive(Debug)]
pub(crate) enum Socket {
    /// TCP, `TCP_NODELAY` set.
    Tcp(TcpStream),
    /// TLS, boxed: its state is large.
    Tls(Box<TlsStream<TcpStream>>),
    /// A Unix socket.
    Unix(UnixStream),
    /// What stands in for a service (see [`crate::upstream::Connector`]).
    Memory(DuplexStream),
}

/// What an idle connection looks like from here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Open, and nothing to read.
    Quiet,
    /// Closed, broken, or with bytes that nobody asked for.
    Spoilt,
}

impl Socket {
    /// Reads what is there into the spare room of `buffer`, which must have some; 0 is the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(stream) => tcp::poll_fill(stream, cx, buffer),
            Self::Tls(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Self::Unix(stream) => pin!(stream.read_buf(buffer)).poll(cx),
            Self::Memory(stream) => pin!(stream.read_buf(buffer)).poll(cx),
        }
    }

    /// Whether HTTP/2 was agreed on (ALPN).
    pub(crate) fn agreed_h2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.get_ref().1.alpn_protocol() == Some(b"h2"))
    }

    /// Whether bytes go out as they are: then a write that fails took none of them.
    pub(crate) fn is_plain(&self) -> bool {
        !matches!(self, Self::Tls(_))
    }

    /// Whether everything that was received was also read; TLS may hold decrypted bytes back.
    pub(crate) fn is_drained(&mut self) -> bool {
        match self {
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => true,
            Self::Tls(stream) => {
                stream.get_mut().1.process_new_packets().is_ok_and(|state| state.plaintext_bytes_to_read() == 0)
            }
        }
    }

    /// What the event loop last heard of it; asks the system only when that was something.
    pub(crate) fn glance(&self) -> Look {
        let peeked = match self {
            Self::Tcp(stream) => stream.try_io(Interest::READABLE, || peek(stream)),
            Self::Tls(stream) => {
                let stream = stream.get_ref().0;
                stream.try_io(Interest::READABLE, || peek(stream))
            }
            Self::Unix(stream) => stream.try_io(Interest::READABLE, || peek(stream)),
            Self::Memory(_) => return Look::Quiet,
        };
        verdict(&peeked)
    }

    /// Asks the system. A TLS connection with bytes to read counts as spoilt, though it may only be a session ticket.
    pub(crate) fn look(&self) -> Look {
        verdict(&match self {
            Self::Tcp(stream) => peek(stream),
            Self::Tls(stream) => peek(stream.get_ref().0),
            Self::Unix(stream) => peek(stream),
            Self::Memory(_) => return Look::Quiet,
        })
    }
}

fn peek(socket: &impl AsFd) -> io::Result<usize> {
    let mut byte = [MaybeUninit::uninit()];
    socket2::SockRef::from(socket).peek(&mut byte)
}

fn verdict(peeked: &io::Result<usize>) -> Look {
    match peeked {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Look::Quiet,
        _ => Look::Spoilt,
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => tcp::poll_send(stream, cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Memory(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Unix(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
            Self::Memory(stream) => Pin::new(stream).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.is_plain()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) | Self::Unix(_) | Self::Memory(_) => Poll::Ready(Ok(())),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Memory(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
