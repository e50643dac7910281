//! Services on raw sockets that answer, stall, lie and die as a test wants; each is joined, its panics shown.

use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::Weak;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

/// A service that runs until it is dropped.
pub(crate) struct Upstream {
    address: SocketAddr,
    state: Arc<State>,
    accept: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    stop: AtomicBool,
    released: AtomicBool,
    connections: AtomicUsize,
    open: AtomicUsize,
    seen: Mutex<Vec<Seen>>,
    streams: Mutex<Vec<Weak<TcpStream>>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// A request as it arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// On which connection, counted from 0.
    pub(crate) connection: usize,
}

impl Seen {
    /// Every value of `name`.
    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str()).collect()
    }

    /// The only value of `name`; several are a failure.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let all = self.all(name);
        assert!(all.len() < 2, "several `{name}` in {self:?}");
        all.first().copied()
    }
}

/// Runs `handle` once for each connection, on a thread of its own.
pub(crate) fn serve(handle: impl Fn(&mut Conn) + Send + Sync + 'static) -> Upstream {
    serve_at("127.0.0.1:0".parse().unwrap(), handle)
}

/// The same at an address, where another one may have been before.
pub(crate) fn serve_at(address: SocketAddr, handle: impl Fn(&mut Conn) + Send + Sync + 'static) -> Upstream {
    let listener = TcpListener::bind(address).unwrap_or_else(|error| panic!("{address}: {error}"));
    let address = listener.local_addr().unwrap();
    let state = Arc::new(State::default());
    let accept = std::thread::spawn({
        let state = Arc::clone(&state);
        move || accept(&listener, &state, &Arc::new(handle))
    });
    Upstream { address, state, accept: Some(accept) }
}

/// Answers every request on every connection with what `reply` makes of it.
pub(crate) fn answers(reply: impl Fn(&Seen) -> Vec<u8> + Send + Sync + 'static) -> Upstream {
    serve(move |conn| {
        while let Some(seen) = conn.request() {
            if !conn.send(reply(&seen)) {
                break;
            }
        }
    })
}

/// Answers every request with 200 and this text.
pub(crate) fn says(body: &str) -> Upstream {
    let reply = ok(body);
    answers(move |_| reply.clone())
}

/// A whole 200 answer.
pub(crate) fn ok(body: impl AsRef<[u8]>) -> Vec<u8> {
    answer(200, &[], body)
}

/// A whole answer with a Content-Length.
pub(crate) fn answer(status: u16, headers: &[(&str, &str)], body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let mut head = format!("HTTP/1.1 {status} Whatever\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    [head.as_bytes(), b"\r\n", body].concat()
}

/// An address where nobody listens. It stays taken: no other test is given it meanwhile.
pub(crate) fn nobody() -> SocketAddr {
    let taken = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    taken.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let address = taken.local_addr().unwrap().as_socket().unwrap();
    std::mem::forget(taken);
    address
}

impl Upstream {
    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://address`
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// How many requests were read.
    pub(crate) fn calls(&self) -> usize {
        self.state.seen.lock().unwrap().len()
    }

    /// Every request that was read, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.seen.lock().unwrap().clone()
    }

    /// The request read last.
    pub(crate) fn last(&self) -> Seen {
        self.state.seen.lock().unwrap().last().cloned().expect("no request came")
    }

    /// How many connections were accepted.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    /// Lets everyone go who is in [`Conn::hold`], now and later.
    pub(crate) fn release(&self) {
        self.state.released.store(true, Ordering::SeqCst);
    }

    /// How many connections are being served now.
    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        let mut results = vec![self.accept.take().unwrap().join()];
        for stream in self.state.streams.lock().unwrap().iter().filter_map(Weak::upgrade) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        results.extend(self.state.threads.lock().unwrap().drain(..).map(JoinHandle::join));
        if let Some(panic) = results.into_iter().find_map(Result::err)
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>, handle: &Arc<impl Fn(&mut Conn) + Send + Sync + 'static>) {
    for stream in listener.incoming() {
        if state.stop.load(Ordering::SeqCst) {
            return;
        }
        let stream = Arc::new(stream.unwrap());
        stream.set_nodelay(true).unwrap();
        state.streams.lock().unwrap().push(Arc::downgrade(&stream));
        let number = state.connections.fetch_add(1, Ordering::SeqCst);
        state.open.fetch_add(1, Ordering::SeqCst);
        let mut conn = Conn { stream: Some(stream), buffer: Vec::new(), state: Arc::clone(state), number };
        let handle = Arc::clone(handle);
        let thread = std::thread::spawn(move || handle(&mut conn));
        let mut threads = state.threads.lock().unwrap();
        threads.retain(|thread| !thread.is_finished() || state.stop.load(Ordering::SeqCst));
        threads.push(thread);
    }
}

/// One accepted connection, in the hands of a test's function.
pub(crate) struct Conn {
    stream: Option<Arc<TcpStream>>,
    buffer: Vec<u8>,
    state: Arc<State>,
    /// Counted from 0.
    pub(crate) number: usize,
}

impl Conn {
    /// The next request with its body, noted; `None` when the peer has closed or broken off.
    pub(crate) fn request(&mut self) -> Option<Seen> {
        let mut seen = self.parse_head()?;
        if seen.header("transfer-encoding") == Some("chunked") {
            while let Some(piece) = self.chunk(&mut seen)? {
                seen.body.extend_from_slice(&piece);
            }
        } else if let Some(length) = seen.header("content-length") {
            seen.body = self.exactly(length.parse().unwrap())?;
        }
        self.state.seen.lock().unwrap().push(seen.clone());
        Some(seen)
    }

    /// The next request's head, noted; its body stays on the wire.
    pub(crate) fn head(&mut self) -> Option<Seen> {
        let seen = self.parse_head()?;
        self.state.seen.lock().unwrap().push(seen.clone());
        Some(seen)
    }

    fn parse_head(&mut self) -> Option<Seen> {
        let raw = self.until(b"\r\n\r\n")?;
        let text = String::from_utf8(raw).expect("a head in UTF-8");
        assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "bare CR or LF in {text:?}");
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let first = lines.next().unwrap();
        let parts: Vec<_> = first.split(' ').collect();
        assert!(parts.len() == 3 && parts[2] == "HTTP/1.1", "{first:?}");
        let headers: Vec<_> = lines.map(field).collect();
        let seen = Seen {
            method: parts[0].into(),
            target: parts[1].into(),
            headers,
            connection: self.number,
            ..Seen::default()
        };
        let framings = seen.all("content-length").len() + seen.all("transfer-encoding").len();
        assert!(framings < 2, "two framings in {seen:?}");
        assert_eq!(seen.all("host").len(), 1, "{seen:?}");
        Some(seen)
    }

    /// `Some(None)` after the last chunk.
    #[allow(clippy::option_option, reason = "a closed connection and the end of a body are different things")]
    fn chunk(&mut self, seen: &mut Seen) -> Option<Option<Vec<u8>>> {
        let line = self.until(b"\r\n")?;
        let text = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
        let size = usize::from_str_radix(text, 16).unwrap_or_else(|_| panic!("chunk size {text:?}"));
        if size > 0 {
            let data = self.exactly(size + 2)?;
            assert!(data.ends_with(b"\r\n"), "no CRLF after a chunk");
            return Some(Some(data[..size].to_vec()));
        }
        loop {
            let line = self.until(b"\r\n")?;
            if line == b"\r\n" {
                return Some(None);
            }
            seen.trailers.push(field(std::str::from_utf8(&line[..line.len() - 2]).unwrap()));
        }
    }

    /// Raw bytes up to and with `end`.
    pub(crate) fn until(&mut self, end: &[u8]) -> Option<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Some(self.buffer.drain(..at + end.len()).collect());
            }
            self.fill()?;
        }
    }

    /// Exactly `n` raw bytes.
    pub(crate) fn exactly(&mut self, n: usize) -> Option<Vec<u8>> {
        while self.buffer.len() < n {
            self.fill()?;
        }
        Some(self.buffer.drain(..n).collect())
    }

    /// Whatever comes next; `None` at the end.
    pub(crate) fn some(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() {
            self.fill()?;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// Sends bytes; whether the peer still took them.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.as_deref().is_some_and(|mut stream| stream.write_all(bytes.as_ref()).is_ok())
    }

    /// Sits there, reading and dropping, until the peer closes.
    pub(crate) fn linger(&mut self) {
        while self.some().is_some() {}
    }

    /// Gives the peer time to take what was sent before a RST overtakes it.
    pub(crate) fn linger_a_little(&self) {
        std::thread::sleep(Duration::from_millis(50));
    }

    /// Waits for [`Upstream::release`].
    pub(crate) fn hold(&self) {
        while !self.state.released.load(Ordering::SeqCst) && !self.state.stop.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Closes with a RST.
    pub(crate) fn reset(&mut self) {
        let stream = self.stream.take().expect("an open connection");
        socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    fn fill(&mut self) -> Option<()> {
        let mut space = [0; 64 << 10];
        let mut stream = self.stream.as_deref()?;
        match stream.read(&mut space) {
            Ok(n) if n > 0 => self.buffer.extend_from_slice(&space[..n]),
            _ => return None,
        }
        Some(())
    }
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.stream = None;
        self.state.open.fetch_sub(1, Ordering::SeqCst);
    }
}

fn field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}
