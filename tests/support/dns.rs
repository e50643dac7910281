//! A small DNS server on UDP: what it says, and whether it says anything, changes as a test wants.

use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::UdpSocket;
use std::sync::Arc;
use std::sync::Mutex;
use std::thread::JoinHandle;

/// A server that runs until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    records: Vec<(String, u32, Data)>,
    dead: bool,
    failing: Vec<String>,
    stop: bool,
    asked: usize,
}

#[derive(Clone)]
enum Data {
    Address(IpAddr),
    /// Priority, weight, port, target.
    Service(u16, u16, u16, String),
}

impl Data {
    fn kind(&self) -> u16 {
        match self {
            Self::Address(IpAddr::V4(_)) => 1,
            Self::Address(IpAddr::V6(_)) => 28,
            Self::Service(..) => 33,
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Address(IpAddr::V4(address)) => address.octets().to_vec(),
            Self::Address(IpAddr::V6(address)) => address.octets().to_vec(),
            Self::Service(priority, weight, port, target) => {
                let numbers = [*priority, *weight, *port].map(u16::to_be_bytes).concat();
                [numbers, labels(target)].concat()
            }
        }
    }
}

/// A server that knows no name yet.
pub(crate) fn serve() -> Server {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let state: Arc<Mutex<State>> = Arc::default();
    let shared = Arc::clone(&state);
    let thread = std::thread::spawn(move || {
        let mut space = [0; 4096];
        loop {
            let (length, peer) = socket.recv_from(&mut space).unwrap();
            let mut state = shared.lock().unwrap();
            if state.stop {
                return;
            }
            state.asked += 1;
            if !state.dead {
                let _ = socket.send_to(&answer(&space[..length], &state), peer);
            }
        }
    });
    Server { address, state, thread: Some(thread) }
}

impl Server {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on `name` has these addresses, for `lifetime` seconds.
    pub(crate) fn addresses(&self, name: &str, lifetime: u32, addresses: &[&str]) {
        self.set(name, lifetime, addresses.iter().map(|address| Data::Address(address.parse().unwrap())));
    }

    /// From now on `name` has these services: priority, weight, port, target.
    pub(crate) fn services(&self, name: &str, lifetime: u32, services: &[(u16, u16, u16, &str)]) {
        let data = |&(priority, weight, port, target): &_| Data::Service(priority, weight, port, String::from(target));
        self.set(name, lifetime, services.iter().map(data));
    }

    fn set(&self, name: &str, lifetime: u32, data: impl Iterator<Item = Data>) {
        let mut state = self.state.lock().unwrap();
        state.records.retain(|(known, ..)| known != name);
        state.records.extend(data.map(|data| (name.to_owned(), lifetime, data)));
    }

    /// Whether it answers at all.
    pub(crate) fn dies(&self, dead: bool) {
        self.state.lock().unwrap().dead = dead;
    }

    /// Whether it cannot tell what it knows of `name` (SERVFAIL).
    pub(crate) fn fails(&self, name: &str, failing: bool) {
        let mut state = self.state.lock().unwrap();
        state.failing.retain(|known| known != name);
        if failing {
            state.failing.push(name.to_owned());
        }
    }

    /// How many questions came.
    pub(crate) fn asked(&self) -> usize {
        self.state.lock().unwrap().asked
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.state.lock().unwrap().stop = true;
        let _ = UdpSocket::bind("127.0.0.1:0").unwrap().send_to(b"stop", self.address);
        let outcome = self.thread.take().unwrap().join();
        if !std::thread::panicking() {
            outcome.unwrap();
        }
    }
}

/// The answer to a query (RFC 1035 §4): the question again, and the records of that name and type.
fn answer(query: &[u8], state: &State) -> Vec<u8> {
    let (mut at, mut name) = (12, Vec::new());
    while query[at] > 0 {
        let end = at + 1 + usize::from(query[at]);
        name.push(String::from_utf8_lossy(&query[at + 1..end]).to_ascii_lowercase());
        at = end;
    }
    let kind = u16::from_be_bytes([query[at + 1], query[at + 2]]);
    let name = name.join(".");
    let named: Vec<_> = state.records.iter().filter(|(known, ..)| *known == name).collect();
    let failing = state.failing.contains(&name);
    let found: Vec<_> = named.iter().filter(|(_, _, data)| data.kind() == kind && !failing).collect();
    let code = match (failing, named.is_empty()) {
        (true, _) => 2,
        (_, true) => 3,
        _ => 0,
    };
    let count = u16::try_from(found.len()).unwrap().to_be_bytes();
    let mut out = [&query[..2], &[0x85, 0x80 | code, 0, 1], &count, &[0; 4], &query[12..at + 5]].concat();
    for (_, lifetime, data) in found {
        let bytes = data.bytes();
        out.extend([0xc0, 12]);
        out.extend(data.kind().to_be_bytes());
        out.extend([0, 1]);
        out.extend(lifetime.to_be_bytes());
        out.extend(u16::try_from(bytes.len()).unwrap().to_be_bytes());
        out.extend(bytes);
    }
    out
}

fn labels(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for label in name.split('.') {
        out.push(u8::try_from(label.len()).unwrap());
        out.extend(label.as_bytes());
    }
    out.push(0);
    out
}
