//! Reading and writing a TCP socket where it costs least: on the path of every request.
//!
//! The event loop reports edges. A read or a write that moved less than it could has met the end of what there is, so
//! readiness is over until the next edge; to say so saves the system call that would find out.

use std::io;
use std::io::ErrorKind::WouldBlock;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use rustix::buffer::spare_capacity;
use rustix::net::RecvFlags;
use rustix::net::SendFlags;
use rustix::net::recv;
use rustix::net::send;
use tokio::io::Interest;
use tokio::net::TcpStream;

/// Reads what is there into the spare room of `buffer`, which must have some; 0 is the end. Each read counts against the
/// turn the event loop allots to a task.
pub(crate) fn poll_fill(stream: &TcpStream, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Poll<io::Result<usize>> {
    loop {
        ready!(stream.poll_read_ready(cx))?;
        if let Some(read) = try_fill(stream, buffer) {
            return Poll::Ready(read);
        }
    }
}

/// Reads what is there; `None` when that is nothing yet.
pub(crate) fn try_fill(stream: &TcpStream, buffer: &mut Vec<u8>) -> Option<io::Result<usize>> {
    let room = buffer.capacity() - buffer.len();
    attempt(stream, Interest::READABLE, room, || Ok(recv(stream, spare_capacity(buffer), RecvFlags::empty())?.0))
}

/// Writes as much of `bytes` as the system takes.
pub(crate) fn poll_send(stream: &TcpStream, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
    loop {
        let sent = attempt(stream, Interest::WRITABLE, bytes.len(), || Ok(send(stream, bytes, SendFlags::NOSIGNAL)?));
        if let Some(sent) = sent {
            return Poll::Ready(sent);
        }
        ready!(stream.poll_write_ready(cx))?;
    }
}

/// Does `work`, which moves up to `most` bytes, if the socket is ready as far as is known; `None` when it is not.
fn attempt(
    stream: &TcpStream,
    interest: Interest,
    most: usize,
    work: impl FnOnce() -> io::Result<usize>,
) -> Option<io::Result<usize>> {
    let mut moved = 0;
    let done = stream.try_io(interest, || {
        moved = work()?;
        if moved > 0 && moved < most { Err(WouldBlock.into()) } else { Ok(()) }
    });
    match done {
        Ok(()) => Some(Ok(moved)),
        Err(error) if error.kind() == WouldBlock => (moved > 0).then_some(Ok(moved)),
        Err(error) => Some(Err(error)),
    }
}
