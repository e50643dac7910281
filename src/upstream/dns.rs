//! A DNS server of choice: addresses and services, with how long they hold (RFC 1035, RFC 2782).
//!
//! A stub that asks servers which do the work of finding out: no cache, since whoever asks keeps what is known. A question
//! has an unguessable id and, by the system's choice, an unguessable port; what answers another question is not believed.

pub mod message;

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::UdpSocket;

use crate::clock::Clock;
use crate::upstream::Address;
use crate::upstream::HostConfig;
use crate::upstream::dns::message::Answer;
use crate::upstream::dns::message::Data;

/// How long one server may take over one question; each is asked twice.
const PATIENCE: Duration = Duration::from_secs(2);

/// The largest message over UDP that is taken.
const LARGEST: usize = 4096;

/// What was found, and for how long it holds by the records' own word.
pub(crate) struct Found<T> {
    pub(crate) all: Vec<T>,
    pub(crate) lifetime: Duration,
}

/// Why nothing was found.
enum Fault {
    /// A server knows that there is nothing.
    Nothing(String),
    /// Nobody who was asked knows.
    Unknown(String),
}

impl From<Fault> for String {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Nothing(cause) | Fault::Unknown(cause) => cause,
        }
    }
}

/// The addresses of `name`, of both families, as `server` knows them.
pub(crate) async fn addresses(server: SocketAddr, name: &str, port: u16) -> Result<Found<SocketAddr>, String> {
    Ok(reach(&[server], name, port).await?)
}

/// The hosts of a service: those of the best priority, the others as backups; a weight of 0 counts as 1. Without a server
/// those of `/etc/resolv.conf` are asked, which is read anew each time. A host whose address nobody could tell stands there
/// without one.
pub(crate) async fn services(
    server: Option<SocketAddr>,
    name: &str,
    tls: bool,
) -> Result<Found<(HostConfig, Vec<SocketAddr>)>, String> {
    let servers = server.map_or_else(system, |server| vec![server]);
    let answer = ask(&servers, name, message::SRV).await?;
    let (data, lifetime) = answer.of(name);
    let mut lifetime = Duration::from_secs(lifetime.into());
    let best = data.iter().filter_map(|data| priority(data)).min();
    let mut all = Vec::new();
    for data in data {
        let Data::Service { priority, weight, port, target } = data else { continue };
        // it stands in requests as it is here
        if !target.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
            continue;
        }
        let reach = match reach(&servers, target, *port).await {
            Ok(reach) => reach,
            // a target of `.` says that there is no service
            Err(Fault::Nothing(_)) => continue,
            Err(Fault::Unknown(_)) => Found { all: Vec::new(), lifetime: Duration::ZERO },
        };
        lifetime = lifetime.min(reach.lifetime);
        let address = Address::Tcp { host: target.clone(), port: *port, tls };
        let host = HostConfig { address, weight: u32::from(*weight).max(1), backup: Some(*priority) > best };
        all.push((host, reach.all));
    }
    // servers shuffle their records, and hosts are compared in order
    all.sort_by(|(one, _), (other, _)| one.address.cmp(&other.address));
    if all.iter().all(|(_, reach)| reach.is_empty()) {
        return Err(format!("`{name}` has no services that can be reached"));
    }
    Ok(Found { all, lifetime })
}

fn priority(data: &Data) -> Option<u16> {
    match data {
        Data::Service { priority, .. } => Some(*priority),
        _ => None,
    }
}

/// One family may be missing; both, and there is no address.
async fn reach(servers: &[SocketAddr], name: &str, port: u16) -> Result<Found<SocketAddr>, Fault> {
    let (mut all, mut lifetime) = (Vec::new(), u32::MAX);
    let mut fault = Fault::Nothing(format!("`{name}` has no address"));
    for kind in [message::A, message::AAAA] {
        let answer = match ask(servers, name, kind).await {
            Ok(answer) => answer,
            Err(error) => {
                if matches!(fault, Fault::Nothing(_)) {
                    fault = error;
                }
                continue;
            }
        };
        let (data, holds) = answer.of(name);
        let before = all.len();
        all.extend(data.into_iter().filter_map(|data| match data {
            Data::Address(address) => Some(SocketAddr::new(*address, port)),
            _ => None,
        }));
        if all.len() > before {
            lifetime = lifetime.min(holds);
        }
    }
    if all.is_empty() {
        return Err(fault);
    }
    Ok(Found { all, lifetime: Duration::from_secs(lifetime.into()) })
}

/// What the first server that answers says.
async fn ask(servers: &[SocketAddr], name: &str, kind: u16) -> Result<Answer, Fault> {
    let mut fault = format!("`{name}`: no DNS server is known");
    for server in servers.iter().chain(servers) {
        let mut id = [0; 2];
        aws_lc_rs::rand::fill(&mut id).map_err(|_| Fault::Unknown("no randomness is left".into()))?;
        let query = message::query(u16::from_be_bytes(id), name, kind).map_err(Fault::Nothing)?;
        let answered = Clock::real().timeout(PATIENCE, exchange(*server, &query)).await;
        match answered.unwrap_or_else(|| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(answer) if answer.code == 0 => return Ok(answer),
            Ok(Answer { code: 3, .. }) => return Err(Fault::Nothing(format!("`{name}`: there is no such name"))),
            Ok(answer) => fault = format!("`{name}`: {server} failed (code {})", answer.code),
            Err(error) => fault = format!("`{name}`: {server}: {error}"),
        }
    }
    Err(Fault::Unknown(fault))
}

async fn exchange(server: SocketAddr, query: &[u8]) -> std::io::Result<Answer> {
    let own: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((own, 0)).await?;
    socket.connect(server).await?;
    socket.send(query).await?;
    let mut space = vec![0; LARGEST];
    loop {
        let length = socket.recv(&mut space).await?;
        match message::answer(&space[..length], query) {
            Some(answer) if answer.truncated => return whole(server, query).await,
            Some(answer) => return Ok(answer),
            // somebody guesses: the true answer may still come
            None => {}
        }
    }
}

/// The same over TCP, for what is too large for a datagram.
async fn whole(server: SocketAddr, query: &[u8]) -> std::io::Result<Answer> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(query.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), query].concat()).await?;
    let mut bytes = vec![0; usize::from(stream.read_u16().await?)];
    stream.read_exact(&mut bytes).await?;
    message::answer(&bytes, query).ok_or_else(|| std::io::Error::other("its answer makes no sense"))
}

/// The servers the system would ask.
fn system() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let server = |line: &str| line.strip_prefix("nameserver")?.trim().parse().ok();
    text.lines().filter_map(server).map(|address: IpAddr| SocketAddr::new(address, 53)).collect()
}
