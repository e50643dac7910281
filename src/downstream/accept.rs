//! Takes connections from one listening socket, and hands each over with who is at its other end.

use std::future::Future;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::net::TcpStream;
use tokio::net::UnixListener;
use tokio::net::UnixStream;

use crate::clock::Clock;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::bind::Listening;
use crate::downstream::gate::Ticket;
use crate::telemetry::log;

/// One worker's end of a listener.
pub struct Acceptor {
    socket: Socket,
    /// Where it listens; asking each connection would cost a system call.
    local: Option<SocketAddr>,
    clock: Clock,
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    /// Registers `socket` with the runtime of this thread.
    pub fn new(socket: Listening, clock: Clock) -> io::Result<Self> {
        let (socket, local) = match socket {
            Listening::Tcp(socket) => {
                let local = socket.local_addr().ok();
                (Socket::Tcp(TcpListener::from_std(socket)?), local)
            }
            Listening::Unix(socket) => (Socket::Unix(UnixListener::from_std(socket)?), None),
        };
        Ok(Self { socket, local, clock })
    }

    /// Hands connections that `admit` gives a place to `serve` until `stop` is ready; those that wait in the queue by
    /// then are still taken. Others are closed at once: who waits in the queue learns nothing, and hides the others.
    pub async fn run(
        self,
        stop: impl Future<Output = ()>,
        admit: impl Fn() -> Option<Ticket>,
        mut serve: impl FnMut(Stream, Peer, Ticket),
    ) {
        let mut stop = pin!(stop);
        let mut take = |(stream, peer)| {
            if let Some(ticket) = admit() {
                serve(stream, peer, ticket);
            }
        };
        loop {
            let next = poll_fn(|cx| match stop.as_mut().poll(cx) {
                Poll::Ready(()) => Poll::Ready(None),
                Poll::Pending => self.poll(cx).map(Some),
            });
            match next.await {
                None => break,
                Some(Ok(connection)) => take(connection),
                Some(Err(error)) => self.pause(&error).await,
            }
        }
        let queue = Queue::of(self.socket, self.local);
        while let Some(connection) = queue.as_ref().and_then(Queue::next) {
            take(connection);
        }
    }

    fn poll(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Stream, Peer)>> {
        match &self.socket {
            Socket::Tcp(socket) => socket.poll_accept(cx).map_ok(|(stream, address)| {
                let peer = Peer { address: Some(address), local: self.local };
                (Stream::Tcp(stream), peer)
            }),
            Socket::Unix(socket) => {
                socket.poll_accept(cx).map_ok(|(stream, _)| (Stream::Unix(stream), Peer::default()))
            }
        }
    }

    /// A connection that died in the queue is no reason to wait; a lack of files or memory is.
    async fn pause(&self, error: &io::Error) {
        if matches!(
            error.kind(),
            io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
        ) {
            return;
        }
        log::warn("cannot accept connections", &[("cause", error)]);
        self.clock.sleep(EXHAUSTED).await;
    }
}

/// What waits at a socket that is about to close. The kernel is asked itself: the runtime hears of connections only when
/// it looks, and those it has not heard of would be reset.
enum Queue {
    Tcp(std::net::TcpListener, Option<SocketAddr>),
    Unix(std::os::unix::net::UnixListener),
}

impl Queue {
    fn of(socket: Socket, local: Option<SocketAddr>) -> Option<Self> {
        match socket {
            Socket::Tcp(socket) => socket.into_std().ok().map(|socket| Self::Tcp(socket, local)),
            Socket::Unix(socket) => socket.into_std().ok().map(Self::Unix),
        }
    }

    fn next(&self) -> Option<(Stream, Peer)> {
        match self {
            Self::Tcp(socket, local) => {
                let (stream, address) = socket.accept().ok()?;
                stream.set_nonblocking(true).ok()?;
                let peer = Peer { address: Some(address), local: *local };
                Some((Stream::Tcp(TcpStream::from_std(stream).ok()?), peer))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept().ok()?;
                stream.set_nonblocking(true).ok()?;
                Some((Stream::Unix(UnixStream::from_std(stream).ok()?), Peer::default()))
            }
        }
    }
}

/// After the system had no file or memory left.
const EXHAUSTED: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::cell::RefCell;
    use std::io::Read as _;
    use std::net::TcpStream;

    use super::*;
    use crate::downstream::Listen;
    use crate::downstream::bind::Bound;
    use crate::downstream::gate::Gate;

    fn bound() -> (SocketAddr, Listening) {
        let mut bound = Bound::new(&Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))), 1, false).unwrap();
        (bound.address.unwrap(), bound.sockets.remove(0))
    }

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn what_waits_in_the_queue_is_served_before_the_end() {
        let (address, socket) = bound();
        let _clients: Vec<_> = (0..5).map(|_| TcpStream::connect(address).unwrap()).collect();
        let taken = Cell::new(0);
        block_on(async {
            let (acceptor, gate) = (Acceptor::new(socket, Clock::real()).unwrap(), Gate::default());
            // The queue is filled, but the runtime has not heard of it before the first turn.
            tokio::task::yield_now().await;
            let stop = Clock::real().sleep(Duration::from_millis(50));
            acceptor.run(stop, || gate.enter(100), |_, _, _| taken.set(taken.get() + 1)).await;
        });
        assert_eq!(taken.get(), 5);
        assert!(TcpStream::connect(address).is_err(), "closed afterwards");
    }

    #[test]
    fn whoever_gets_no_place_is_closed_and_the_others_are_served() {
        let (address, socket) = bound();
        let mut clients: Vec<_> = (0..3).map(|_| TcpStream::connect(address).unwrap()).collect();
        let held = RefCell::new(Vec::new());
        block_on(async {
            let (acceptor, gate) = (Acceptor::new(socket, Clock::real()).unwrap(), Gate::default());
            let stop = Clock::real().sleep(Duration::from_millis(50));
            let hold = |stream, peer: Peer, ticket| {
                assert!(peer.address.is_some() && peer.local.is_some());
                held.borrow_mut().push((stream, ticket));
            };
            acceptor.run(stop, || gate.enter(2), hold).await;
            assert_eq!((gate.open(), held.borrow().len()), (2, 2));
        });
        let newest = clients.last_mut().unwrap();
        newest.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        assert!(matches!(newest.read(&mut [0]), Ok(0)), "closed");
    }
}
