//! One client's HTTP/1.1 connection: requests come off it one after another, each gets its answer.

mod answer;
mod half;
mod reader;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use crate::clock::Alarm;
use crate::clock::Moment;
use crate::downstream::Limits;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::Tools;
use crate::downstream::serve_h1::half::WriteHalf;
use crate::downstream::serve_h1::reader::CONTINUE;
use crate::downstream::serve_h1::reader::Home;
use crate::downstream::serve_h1::reader::Incoming;
use crate::downstream::serve_h1::reader::Reader;
use crate::downstream::tools::Seat;
use crate::http::Body;
use crate::http::Request;
use crate::http::Version;
use crate::http::h1;
use crate::http::h1::Fault;
use crate::http::h1::Framing;
use crate::http::h1::HeadLimits;
use crate::http::h1::RequestHead;
use crate::http::h1::Scan;
use crate::http::path;

pub use answer::Broke;
pub use answer::Gone;

/// A client's connection between and during requests.
pub struct Connection {
    home: Rc<Home>,
    write: WriteHalf,
    tools: Tools,
    /// How long a reader of our answer may make us wait; also bounds a lingering close.
    alarm: Alarm,
    patience: Duration,
    scan: Scan,
    /// Requests that came so far.
    count: u64,
    now: Now,
}

/// The request under way, as far as its answer must know it.
struct Now {
    version: Version,
    keep_alive: bool,
    trailers: bool,
    has_body: bool,
}

/// What comes off a connection.
#[allow(clippy::large_enum_variant, reason = "nearly every one is a request; a box would cost each an allocation")]
pub enum Next {
    /// A request; its body reads from the connection.
    Request(Request),
    /// Something that is refused: answer it, and the connection closes.
    Refused(Refusal),
    /// The client is gone, idle for too long, or we are leaving.
    Closed,
}

/// Why a request is refused before anyone looks at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It breaks HTTP, or could be read in two ways.
    Malformed(&'static str),
    /// Its path could be matched one way and served another.
    Path(&'static str),
    /// The target is longer than `limits.uri`.
    UriTooLong,
    /// The fields exceed `limits.headers` or `limits.header_count`; the field at fault.
    HeadersTooLarge(String),
    /// The announced body exceeds `limits.body`.
    BodyTooLarge,
    /// The head did not arrive in time.
    Timeout,
    /// CONNECT and TRACE.
    Method,
    /// A version we do not speak.
    Version,
    /// An `Expect` we cannot meet.
    Expectation,
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Malformed(why) => Self::Malformed(why),
            Fault::UriTooLong => Self::UriTooLong,
            Fault::HeadersTooLarge(field) => Self::HeadersTooLarge(field),
            Fault::Method => Self::Method,
            Fault::Version => Self::Version,
            Fault::Expectation => Self::Expectation,
        }
    }
}

/// What waiting for a head came to.
enum Wait {
    Bytes,
    Closed,
    Late,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(stream: Stream, _peer: Peer, tools: Tools) -> Self {
        let (read, write) = half::split(stream);
        let home = Rc::new(Home::default());
        home.reader.set(Some(Box::new(Reader::new(read, tools.clone()))));
        Self {
            home,
            write,
            alarm: tools.alarms.alarm(&tools.clock),
            patience: Duration::from_secs(30),
            tools,
            scan: Scan::default(),
            count: 0,
            now: Now { version: Version::Http11, keep_alive: true, trailers: false, has_body: false },
        }
    }

    /// The next request. The one before must be answered, and its body dropped.
    pub async fn next(&mut self, limits: &Limits) -> Next {
        let Some(mut reader) = self.home.reader.take() else { return Next::Closed };
        self.patience = limits.body_timeout;
        if self.count > 0 && (!self.now.keep_alive || !self.drained(&mut reader).await) {
            self.linger(&mut reader).await;
            return Next::Closed;
        }
        let next = self.head(&mut reader, limits).await;
        if let Next::Request(request) = next {
            return self.with_body(reader, request);
        }
        self.home.reader.set(Some(reader));
        next
    }

    async fn head(&mut self, reader: &mut Reader, limits: &Limits) -> Next {
        let sizes = HeadLimits { bytes: limits.headers, count: limits.header_count, uri: limits.uri };
        let mut begun = false;
        loop {
            if !reader.bytes().is_empty() {
                if !begun {
                    begun = true;
                    reader.alarm.set_after(limits.header_timeout);
                }
                match h1::request(reader.bytes(), sizes, &mut self.scan) {
                    Ok(None) => {}
                    Ok(Some((head, length))) => {
                        reader.take(length);
                        reader.alarm.set(Moment::NEVER);
                        return self.understood(reader, head, limits);
                    }
                    Err(fault) => return self.refused(fault.into()),
                }
            } else {
                // A connection that never said anything gets as long as a head may take.
                reader.alarm.set_after(if self.count == 0 { limits.header_timeout } else { limits.idle });
            }
            match self.more(reader).await {
                Wait::Bytes => {}
                Wait::Late if begun => return self.refused(Refusal::Timeout),
                Wait::Late | Wait::Closed => return Next::Closed,
            }
        }
    }

    /// Waits for bytes. An idle connection also listens for the word to leave.
    async fn more(&self, reader: &mut Reader) -> Wait {
        let mut seat = Seat::default();
        let idle = reader.bytes().is_empty() && self.count > 0;
        poll_fn(|cx| {
            match reader.poll_read(cx) {
                Poll::Ready(Ok(n)) if n > 0 => return Poll::Ready(Wait::Bytes),
                Poll::Ready(_) => return Poll::Ready(Wait::Closed),
                Poll::Pending => {}
            }
            if idle && self.tools.drain.poll(&mut seat, cx).is_ready() {
                return Poll::Ready(Wait::Closed);
            }
            reader.alarm.poll(cx).map(|()| Wait::Late)
        })
        .await
    }

    fn understood(&mut self, reader: &mut Reader, head: RequestHead, limits: &Limits) -> Next {
        self.count += 1;
        self.home.answering.set(false);
        self.home.interim.set(if head.expects_continue { CONTINUE.len() } else { 0 });
        self.now = Now {
            version: head.version,
            keep_alive: head.keep_alive,
            trailers: head.trailers,
            has_body: head.framing != Framing::None,
        };
        reader.begin(head.framing, limits);
        if matches!(head.framing, Framing::Length(length) if length > limits.body) {
            return self.refused(Refusal::BodyTooLarge);
        }
        match request(head, limits) {
            Ok(request) => Next::Request(request),
            Err(why) => self.refused(Refusal::Path(why)),
        }
    }

    fn with_body(&self, reader: Box<Reader>, mut request: Request) -> Next {
        if self.now.has_body {
            request.body = Body::stream(Incoming::new(reader, Rc::clone(&self.home)));
        } else {
            self.home.reader.set(Some(reader));
        }
        Next::Request(request)
    }

    fn refused(&mut self, refusal: Refusal) -> Next {
        self.count += 1;
        self.now.keep_alive = false;
        Next::Refused(refusal)
    }

    /// Body bytes of the request under way that were read so far; 0 while its body is lent out.
    pub fn received(&self) -> u64 {
        let Some(reader) = self.home.reader.take() else { return 0 };
        let received = reader.received();
        self.home.reader.set(Some(reader));
        received
    }

    /// Ready when the client has reset the connection. An end of its stream is no reset: it may still wait for the answer.
    pub async fn gone(&self) {
        if !self.now.has_body && poll_fn(|cx| self.write.poll_peek(cx)).await.is_err() {
            return;
        }
        self.write.broken().await;
    }

    /// The socket and the bytes that came already, after a 101.
    pub fn into_tunnel(self) -> Option<(Stream, Vec<u8>)> {
        let reader = self.home.reader.take()?;
        let bytes = reader.bytes().to_vec();
        half::join(reader.half, self.write).map(|stream| (stream, bytes))
    }

    /// Reads the little that may be left of the last request's body; false when it is too much, broken or never comes.
    async fn drained(&self, reader: &mut Reader) -> bool {
        if self.home.interim.get() == CONTINUE.len() {
            // The client was never told to send its body: what comes next cannot be told apart.
            return reader.is_over();
        }
        let mut budget = SPARE;
        while !reader.is_over() {
            let n = match poll_fn(|cx| reader.poll_body(cx)).await {
                Ok(0) => break,
                Ok(n) => n,
                Err(_) => return false,
            };
            if n > budget || reader.discard(n).is_err() {
                return false;
            }
            budget -= n;
        }
        true
    }

    /// Closes so that the client can still read our answer: a reset would overtake it while its bytes are unread.
    async fn linger(&mut self, reader: &mut Reader) {
        if self.write.shutdown().await.is_err() || (reader.is_over() && reader.bytes().is_empty() && !self.now.has_body)
        {
            return;
        }
        self.alarm.set_after(LINGER);
        let mut budget = LINGER_BYTES;
        while budget > 0 {
            let n = reader.bytes().len();
            reader.take(n);
            budget = budget.saturating_sub(n.max(1));
            let read = poll_fn(|cx| match reader.poll_read(cx) {
                Poll::Ready(read) => Poll::Ready(read.unwrap_or(0)),
                Poll::Pending => self.alarm.poll(cx).map(|()| 0),
            });
            if read.await == 0 {
                return;
            }
        }
    }
}

/// Unread body bytes that are read and thrown away to keep a connection.
const SPARE: usize = 64 << 10;
/// How long, and for how many bytes, a closing connection is still read.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 16 << 20;

/// The message of a head, without its body.
fn request(head: RequestHead, limits: &Limits) -> Result<Request, &'static str> {
    let mut raw = head.target;
    let query = (raw.len() > head.path_end).then(|| raw[head.path_end + 1..].to_owned());
    raw.truncate(head.path_end);
    let path = path::canonical(&raw, limits.path)?.into_owned();
    Ok(Request {
        method: head.method,
        path,
        raw_path: raw,
        query,
        host: head.host,
        version: head.version,
        headers: head.headers,
        upgrade: head.upgrade,
        ..Request::default()
    })
}
