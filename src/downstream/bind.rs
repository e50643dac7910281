//! Listening sockets: one a worker with SO_REUSEPORT, after a probe that nobody else has the address.

use std::io;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use socket2::Domain;
use socket2::Protocol;
use socket2::SockAddr;
use socket2::Socket;
use socket2::TcpKeepalive;
use socket2::Type;

use crate::downstream::Listen;

/// A listener's sockets, listening already, until workers take them.
#[derive(Debug)]
pub struct Bound {
    /// The address in use: the port is known even when the script wrote 0. `None` for a Unix socket.
    pub address: Option<SocketAddr>,
    /// One socket a worker.
    pub sockets: Vec<Listening>,
    /// Removes the file of a Unix socket when dropped.
    pub file: Option<SocketFile>,
}

/// One listening socket, not yet in any runtime.
#[derive(Debug)]
pub enum Listening {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix socket; all workers share one.
    Unix(UnixListener),
}

/// The file of a Unix socket, for as long as it is ours.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    identity: (u64, u64),
}

impl Bound {
    /// Binds `listen` for `workers` workers. With `takeover` whoever listens there already is not asked: another
    /// process of ours is about to leave.
    pub fn new(listen: &Listen, workers: usize, takeover: bool) -> io::Result<Self> {
        match listen {
            Listen::Tcp(address) => Self::tcp(*address, workers, takeover),
            Listen::Unix(path) => Self::unix(Path::new(path), workers, takeover),
        }
    }

    fn tcp(address: SocketAddr, workers: usize, takeover: bool) -> io::Result<Self> {
        if !takeover && address.port() != 0 {
            drop(open(address, false)?);
        }
        let first = open(address, true)?;
        first.listen(BACKLOG)?;
        let bound = first.local_addr()?.as_socket().unwrap_or(address);
        let mut sockets = vec![Listening::Tcp(first.into())];
        while sockets.len() < workers {
            let next = open(bound, true)?;
            next.listen(BACKLOG)?;
            sockets.push(Listening::Tcp(next.into()));
        }
        Ok(Self { address: Some(bound), sockets, file: None })
    }

    fn unix(path: &Path, workers: usize, takeover: bool) -> io::Result<Self> {
        if !takeover {
            clear(path)?;
        }
        // Under another name first, so that a socket of the process before us is replaced in one step.
        let fresh = path.with_added_extension(format!("{}.new", std::process::id()));
        let _ = std::fs::remove_file(&fresh);
        let listener = UnixListener::bind(&fresh)?;
        listener.set_nonblocking(true)?;
        std::fs::rename(&fresh, path)?;
        let facts = std::fs::symlink_metadata(path)?;
        let file = SocketFile { path: path.to_owned(), identity: (facts.dev(), facts.ino()) };
        let mut sockets = Vec::with_capacity(workers);
        for _ in 1..workers {
            sockets.push(Listening::Unix(listener.try_clone()?));
        }
        sockets.push(Listening::Unix(listener));
        Ok(Self { address: None, sockets, file: Some(file) })
    }
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        let still_ours =
            std::fs::symlink_metadata(&self.path).is_ok_and(|facts| (facts.dev(), facts.ino()) == self.identity);
        if still_ours {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// A bound socket. Where the machine has no IPv6, every address means every IPv4 address.
fn open(address: SocketAddr, share: bool) -> io::Result<Socket> {
    let socket = match Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP)) {
        Err(_) if address.is_ipv6() && address.ip().is_unspecified() => {
            return open(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), address.port()), share);
        }
        socket => socket?,
    };
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    if share {
        socket.set_reuse_port(true)?;
    }
    // Accepted connections inherit both. A client that vanished, or closed while we had nothing to send, is noticed.
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_keepalive(&TcpKeepalive::new().with_time(SILENCE))?;
    socket.bind(&SockAddr::from(address))?;
    Ok(socket)
}

/// Removes a socket file that nobody answers on; anything else at `path` is left alone.
fn clear(path: &Path) -> io::Result<()> {
    let Ok(facts) = std::fs::symlink_metadata(path) else { return Ok(()) };
    if !facts.file_type().is_socket() || answers(path) {
        return Err(io::ErrorKind::AddrInUse.into());
    }
    std::fs::remove_file(path)
}

fn answers(path: &Path) -> bool {
    let Ok(socket) = Socket::new(Domain::UNIX, Type::STREAM, None) else { return true };
    let Ok(address) = SockAddr::unix(path) else { return true };
    match socket.connect_timeout(&address, Duration::from_secs(1)) {
        Ok(()) => true,
        Err(error) => error.kind() != io::ErrorKind::ConnectionRefused,
    }
}

const BACKLOG: i32 = 4096;
/// After so long without a sign of life a client is asked for one.
const SILENCE: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    fn local(port: u16) -> Listen {
        Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn workers_share_one_port() {
        let bound = Bound::new(&local(0), 3, false).unwrap();
        let port = bound.address.unwrap().port();
        assert_ne!(port, 0);
        assert_eq!(bound.sockets.len(), 3);
        for socket in &bound.sockets {
            let Listening::Tcp(socket) = socket else { panic!("not TCP") };
            assert_eq!(socket.local_addr().unwrap().port(), port);
        }
    }

    #[test]
    fn a_taken_port_is_refused_but_for_a_takeover() {
        let bound = Bound::new(&local(0), 1, false).unwrap();
        let again = local(bound.address.unwrap().port());
        assert_eq!(Bound::new(&again, 1, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        assert!(Bound::new(&again, 1, true).is_ok());
    }

    #[test]
    fn a_stale_socket_file_is_replaced_a_live_one_is_not() {
        let path = std::env::temp_dir().join(format!("moongate-bind-{}.sock", std::process::id()));
        let listen = Listen::Unix(path.display().to_string());
        drop(UnixListener::bind(&path).unwrap());
        let bound = Bound::new(&listen, 2, false).expect("nobody answers on it");
        assert_eq!(bound.sockets.len(), 2);
        assert_eq!(Bound::new(&listen, 1, false).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let next = Bound::new(&listen, 1, true).unwrap();
        drop(bound);
        assert!(UnixStream::connect(&path).is_ok(), "the file is the next one's now");
        drop(next);
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_is_no_socket_is_left_alone() {
        let path = std::env::temp_dir().join(format!("moongate-bind-{}.txt", std::process::id()));
        std::fs::write(&path, "mine").unwrap();
        let listen = Listen::Unix(path.display().to_string());
        assert!(Bound::new(&listen, 1, false).is_err());
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
        std::fs::remove_file(&path).unwrap();
    }
}
