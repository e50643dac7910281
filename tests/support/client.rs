//! A raw HTTP/1.1 client on a std socket: sends any bytes, reads answers strictly.

use std::io::ErrorKind;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::Shutdown;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::time::Duration;

use socket2::Domain;
use socket2::Socket;
use socket2::Type;

use crate::support::answer::Answer;
use crate::support::wait::PATIENCE;

/// One connection.
pub(crate) struct Client {
    stream: TcpStream,
    tls: Option<Box<rustls::ClientConnection>>,
    buffer: Vec<u8>,
    host: String,
}

/// How the body of the answer under way ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Frame {
    None,
    Length(usize),
    Chunked,
    Close,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap_or_else(|error| panic!("connect {address}: {error}"));
        Self::over(stream)
    }

    /// From this address of the machine.
    pub(crate) fn from(source: IpAddr, address: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect(&address.into()).unwrap_or_else(|error| panic!("connect {address}: {error}"));
        Self::over(socket.into())
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, tls: None, buffer: Vec::new(), host: "test.local".into() }
    }

    /// Over TLS: the handshake, or what went wrong with it.
    pub(crate) fn secure(mut self, mut tls: rustls::ClientConnection) -> Result<Self, String> {
        while tls.is_handshaking() {
            tls.complete_io(&mut self.stream).map_err(|error| error.to_string())?;
        }
        self.tls = Some(Box::new(tls));
        Ok(self)
    }

    /// The socket below TLS, and the secrets of the session.
    pub(crate) fn below_tls(self) -> (Self, rustls::ExtractedSecrets) {
        let tls = self.tls.expect("a connection over TLS");
        (Self { tls: None, ..self }, tls.dangerous_extract_secrets().unwrap())
    }

    /// What is known of the TLS connection.
    pub(crate) fn session(&mut self) -> &mut rustls::ClientConnection {
        self.tls.as_mut().expect("a connection over TLS")
    }

    /// The Host that [`Client::call`] sends from now on.
    pub(crate) fn host(mut self, host: &str) -> Self {
        host.clone_into(&mut self.host);
        self
    }

    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.write(bytes.as_ref()).unwrap_or_else(|error| panic!("send: {error}"));
        self
    }

    /// Sends bytes; whether the other side still took them.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.write(bytes.as_ref()).is_ok()
    }

    fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).write_all(bytes),
            None => self.stream.write_all(bytes),
        }
    }

    pub(crate) fn get(&mut self, target: &str) -> Answer {
        self.call("GET", target, &[], b"")
    }

    /// Sends a whole request and reads its answer; a body gets a Content-Length.
    pub(crate) fn call(
        &mut self,
        method: &str,
        target: &str,
        headers: &[(&str, &str)],
        body: impl AsRef<[u8]>,
    ) -> Answer {
        let mut head = format!("{method} {target} HTTP/1.1\r\n");
        if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            head += &format!("host: {}\r\n", self.host);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let body = body.as_ref();
        if !body.is_empty() || method == "POST" {
            head += &format!("content-length: {}\r\n", body.len());
        }
        self.send([head.as_bytes(), b"\r\n", body].concat());
        self.answer_to(method)
    }

    /// The next answer, to anything but HEAD.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer to a request of this method.
    pub(crate) fn answer_to(&mut self, method: &str) -> Answer {
        let (mut answer, frame) = self.head_to(method);
        while let Some(piece) = self.piece(&mut answer, frame) {
            answer.body.extend_from_slice(&piece);
            if frame == Frame::Length(answer.body.len()) {
                break;
            }
        }
        answer
    }

    /// The next answer's head, its body left on the wire.
    pub(crate) fn head(&mut self) -> (Answer, Frame) {
        self.head_to("GET")
    }

    fn head_to(&mut self, method: &str) -> (Answer, Frame) {
        let mut interim = Vec::new();
        loop {
            let raw = self.until(b"\r\n\r\n");
            let mut answer = parse_head(&raw);
            if answer.status < 200 && answer.status != 101 {
                interim.push(answer.status);
                continue;
            }
            answer.interim = interim;
            let frame = frame(&answer, method);
            return (answer, frame);
        }
    }

    /// The next piece of a body; `None` at its end. For a known length: what remains of it, or one byte and more.
    pub(crate) fn piece(&mut self, answer: &mut Answer, frame: Frame) -> Option<Vec<u8>> {
        match frame {
            Frame::None | Frame::Length(0) => None,
            Frame::Length(whole) => Some(self.exactly(whole - answer.body.len())),
            Frame::Close => self.some(),
            Frame::Chunked => self.chunk(answer),
        }
    }

    /// The next chunk; `None` after the last, whose trailers go to `answer`.
    fn chunk(&mut self, answer: &mut Answer) -> Option<Vec<u8>> {
        let line = self.until(b"\r\n");
        let text = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
        let size = usize::from_str_radix(text, 16).unwrap_or_else(|_| panic!("chunk size {text:?}"));
        if size > 0 {
            let data = self.exactly(size + 2);
            assert!(data.ends_with(b"\r\n"), "no CRLF after a chunk");
            return Some(data[..size].to_vec());
        }
        loop {
            let line = self.until(b"\r\n");
            if line == b"\r\n" {
                return None;
            }
            answer.trailers.push(parse_field(std::str::from_utf8(&line[..line.len() - 2]).unwrap()));
        }
    }

    /// Reads on until `end` has come, which is part of what is returned.
    pub(crate) fn until(&mut self, end: &[u8]) -> Vec<u8> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return self.buffer.drain(..at + end.len()).collect();
            }
            let seen = String::from_utf8_lossy(&self.buffer).into_owned();
            assert!(self.fill().unwrap_or_else(|error| panic!("{error} after {seen:?}")), "closed after {seen:?}");
        }
    }

    /// Exactly `n` raw bytes.
    pub(crate) fn exactly(&mut self, n: usize) -> Vec<u8> {
        while self.buffer.len() < n {
            let seen = self.buffer.len();
            assert!(self.fill().unwrap_or_else(|error| panic!("{error} at {seen} of {n}")), "closed at {seen} of {n}");
        }
        self.buffer.drain(..n).collect()
    }

    /// Whatever comes next; `None` when the other side has closed.
    pub(crate) fn some(&mut self) -> Option<Vec<u8>> {
        if self.buffer.is_empty() && !self.fill().unwrap_or_else(|error| panic!("read: {error}")) {
            return None;
        }
        Some(std::mem::take(&mut self.buffer))
    }

    /// Everything up to the close, however that happens.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while let Ok(true) = self.fill() {}
        std::mem::take(&mut self.buffer)
    }

    /// Whether the other side closes without a further byte.
    pub(crate) fn closed(&mut self) -> bool {
        match self.fill() {
            Ok(more) => !more && self.buffer.is_empty(),
            Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
        }
    }

    /// Whether nothing at all comes for `wait`: no byte, no close.
    pub(crate) fn silent(&mut self, wait: Duration) -> bool {
        self.stream.set_read_timeout(Some(wait)).unwrap();
        let silent = self.buffer.is_empty() && self.fill().is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.stream.set_read_timeout(Some(PATIENCE)).unwrap();
        silent
    }

    /// Says that nothing more will be sent; answers are still read.
    pub(crate) fn half_close(&mut self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Leaves with a RST.
    pub(crate) fn reset(self) {
        socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }

    /// A second handle on the connection, for a thread that only writes.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().unwrap()
    }

    fn fill(&mut self) -> std::io::Result<bool> {
        let mut space = [0; 64 << 10];
        let n = match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(&mut space)?,
            None => self.stream.read(&mut space)?,
        };
        self.buffer.extend_from_slice(&space[..n]);
        Ok(n > 0)
    }
}

fn parse_head(raw: &[u8]) -> Answer {
    let text = std::str::from_utf8(raw).expect("a head in UTF-8");
    assert!(!text.replace("\r\n", "").contains(['\r', '\n']), "bare CR or LF in {text:?}");
    let mut lines = text.trim_end_matches("\r\n").split("\r\n");
    let first = lines.next().unwrap();
    let mut parts = first.splitn(3, ' ');
    assert_eq!(parts.next(), Some("HTTP/1.1"), "{first:?}");
    let status = parts.next().and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{first:?}"));
    let reason = parts.next().unwrap_or_else(|| panic!("no space after the status: {first:?}")).to_owned();
    Answer { status, reason, headers: lines.map(parse_field).collect(), ..Answer::default() }
}

fn parse_field(line: &str) -> (String, String) {
    let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no colon in {line:?}"));
    assert!(!name.is_empty() && !name.contains([' ', '\t']), "field name {name:?}");
    (name.to_owned(), value.trim_matches([' ', '\t']).to_owned())
}

fn frame(answer: &Answer, method: &str) -> Frame {
    let length = answer.header("content-length");
    let coding = answer.header("transfer-encoding");
    assert!(length.is_none() || coding.is_none(), "both framings in {answer:?}");
    if answer.status == 101 || answer.status == 204 || answer.status == 304 || method == "HEAD" {
        return Frame::None;
    }
    match (length, coding) {
        (Some(length), _) => {
            assert!(length.bytes().all(|digit| digit.is_ascii_digit()), "content-length {length:?}");
            Frame::Length(length.parse().unwrap())
        }
        (None, Some("chunked")) => Frame::Chunked,
        (None, Some(other)) => panic!("transfer-encoding {other:?}"),
        (None, None) => Frame::Close,
    }
}
