//! One client connection over HTTP/1.1: requests come out, answers go in, in order.

mod answer;
mod incoming;
mod linger;

pub use answer::Broke;
pub use answer::Gone;

#[cfg(test)]
mod tests;

use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use crate::clock::Alarm;
use crate::downstream::Arrival;
use crate::downstream::Limits;
use crate::downstream::Peer;
use crate::downstream::Stream;
use crate::downstream::Tools;
use crate::downstream::serve_h1::incoming::Incoming;
use crate::downstream::tools::Seat;
use crate::downstream::wire::Coding;
use crate::downstream::wire::Wire;
use crate::http::Body;
use crate::http::Method;
use crate::http::Request;
use crate::http::Scheme;
use crate::http::Version;
use crate::http::h1;
use crate::http::h1::Fault;
use crate::http::h1::Framing;
use crate::http::h1::RequestHead;
use crate::http::path;

/// How long a connection that has not asked for anything yet may still do so once a drain has begun.
const LAST_CHANCE: Duration = Duration::from_secs(1);

/// What came next on a connection.
pub enum Next {
    /// A request; answer it. In a box: it is passed on by value through several levels.
    Request(Box<Request>),
    /// Something that is not served; answer it, the connection closes then.
    Refused(Refusal),
    /// Nothing more.
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

/// A client's connection.
pub struct Connection {
    wire: Rc<Wire>,
    /// Our place among those that wait for the word to leave.
    seat: Seat,
    /// The writing direction's deadline.
    write_alarm: Alarm,
    scan: h1::Scan,
    asked: Asked,
    waiting: Waiting,
    served: u64,
    state: State,
    /// The end of the connection would pass for the end of the answer under way.
    end_means_end: bool,
    /// How it came in, where there is more to say than its address.
    arrival: Option<Rc<Arrival>>,
}

/// Whether the connection takes another request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// After our last answer; the client may not know yet.
    Linger,
    /// At once.
    Cut,
}

/// What the current request says about its answer.
#[derive(Default)]
struct Asked {
    head: bool,
    version: Version,
    keep_alive: bool,
    trailers: bool,
    upgrade: Option<String>,
    body_timeout: Duration,
}

/// What the reading direction's deadline is set for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    No,
    /// The first byte of the first request, or the rest of its head.
    First,
    Idle,
    Head,
    LastChance,
}

impl Connection {
    /// A connection that was just accepted.
    pub fn new(stream: Stream, _peer: Peer, tools: Tools) -> Self {
        Self {
            seat: Seat::default(),
            write_alarm: tools.alarms.alarm(&tools.clock),
            wire: Rc::new(Wire::new(stream, tools)),
            scan: h1::Scan::default(),
            asked: Asked::default(),
            waiting: Waiting::No,
            served: 0,
            state: State::Open,
            end_means_end: false,
            arrival: None,
        }
    }

    /// As a connection that came in this way.
    pub fn arrived(mut self, arrival: Rc<Arrival>) -> Self {
        self.arrival = Some(arrival);
        self
    }

    /// As a connection from which these bytes were read already.
    pub fn begun(self, early: &[u8]) -> Self {
        if !early.is_empty() {
            self.wire.begin(early);
        }
        self
    }

    /// How it came in, where there is more to say than its address.
    pub fn arrival(&self) -> Option<&Rc<Arrival>> {
        self.arrival.as_ref()
    }

    /// Bytes of the current request's body received so far, without framing.
    pub fn received(&self) -> u64 {
        self.wire.received.get()
    }

    /// The next request. What is left of the last one's body is passed over within bounds, else the connection ends.
    pub async fn next(&mut self, limits: &Limits) -> Next {
        if self.state == State::Open && (self.wire.held.get() || self.wire.unread.borrow().is_some()) {
            self.pass_over(limits).await;
        }
        if self.state != State::Open {
            self.close().await;
            return Next::Closed;
        }
        self.waiting = Waiting::No;
        poll_fn(|cx| self.poll_next(cx, limits)).await
    }

    /// Resolves when the client resets the connection; its half-close is no abort. For use while an answer is awaited.
    pub async fn gone(&self) {
        poll_fn(|cx| self.wire.poll_gone(cx)).await;
    }

    /// After a 101: the socket, and what the client sent already.
    pub fn into_tunnel(self) -> Option<(Stream, Vec<u8>)> {
        let stream = self.wire.stream.borrow_mut().take()?;
        let input = std::mem::take(&mut *self.wire.input.borrow_mut());
        Some((stream, input.into_rest()))
    }

    fn poll_next(&mut self, cx: &mut Context<'_>, limits: &Limits) -> Poll<Next> {
        let wire = Rc::clone(&self.wire);
        loop {
            let mut input = wire.input.borrow_mut();
            if !input.is_empty() {
                let bounds = h1::HeadLimits { bytes: limits.headers, count: limits.header_count, uri: limits.uri };
                match h1::request(input.rest(), bounds, &mut self.scan) {
                    Ok(Some((head, length))) => {
                        input.consume(length);
                        drop(input);
                        return Poll::Ready(self.begin(head, limits));
                    }
                    Ok(None) => {}
                    Err(fault) => return Poll::Ready(self.refuse(fault.into(), limits)),
                }
            }
            match wire.poll_read(cx, &mut input) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Closed),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    let begun = !input.is_empty();
                    drop(input);
                    return self.poll_wait(cx, limits, begun);
                }
            }
        }
    }

    /// Nothing to read: how long is that borne?
    fn poll_wait(&mut self, cx: &mut Context<'_>, limits: &Limits, begun: bool) -> Poll<Next> {
        let first = self.served == 0;
        let draining = !begun && self.wire.tools.drain.poll(&mut self.seat, cx).is_ready();
        if draining && !first {
            return Poll::Ready(Next::Closed);
        }
        let waiting = match (first, begun) {
            (true, _) if draining => Waiting::LastChance,
            (true, _) => Waiting::First,
            (false, true) => Waiting::Head,
            (false, false) => Waiting::Idle,
        };
        // the first head's time runs from the accept
        let moved = self.waiting != waiting && !(self.waiting == Waiting::LastChance && waiting == Waiting::First);
        if moved {
            self.waiting = waiting;
            self.wire.alarm.set_after(match waiting {
                Waiting::Idle => limits.idle,
                Waiting::LastChance => LAST_CHANCE.min(limits.header_timeout),
                _ => limits.header_timeout,
            });
        }
        match self.wire.alarm.poll(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) if begun => Poll::Ready(self.refuse(Refusal::Timeout, limits)),
            Poll::Ready(()) => Poll::Ready(Next::Closed),
        }
    }

    fn refuse(&mut self, refusal: Refusal, limits: &Limits) -> Next {
        self.served += 1;
        self.wire.answered.set(false);
        self.wire.expects.set(false);
        self.wire.received.set(0);
        self.asked = Asked { body_timeout: limits.body_timeout, ..Asked::default() };
        // nothing that follows can be told apart
        *self.wire.unread.borrow_mut() = Some(Coding::Length(u64::MAX));
        Next::Refused(refusal)
    }

    /// A head became a request.
    fn begin(&mut self, head: RequestHead, limits: &Limits) -> Next {
        let too_large = matches!(head.framing, Framing::Length(length) if length > limits.body);
        let (is_head, version) = (head.method == Method::Head, head.version);
        let request = if too_large { Err(Refusal::BodyTooLarge) } else { self.request(head, limits) };
        match request {
            Ok(request) => {
                self.served += 1;
                Next::Request(request)
            }
            Err(refusal) => {
                let next = self.refuse(refusal, limits);
                (self.asked.head, self.asked.version) = (is_head, version);
                next
            }
        }
    }

    fn request(&mut self, head: RequestHead, limits: &Limits) -> Result<Box<Request>, Refusal> {
        let (raw_path, query) = split(head.target, head.path_end);
        let (path, raw_path) = path::received(raw_path, limits.path).map_err(Refusal::Path)?;
        self.asked = Asked {
            head: head.method == Method::Head,
            version: head.version,
            keep_alive: head.keep_alive,
            trailers: head.trailers,
            upgrade: head.upgrade.clone(),
            body_timeout: limits.body_timeout,
        };
        self.wire.answered.set(false);
        self.wire.expects.set(head.expects_continue);
        self.wire.received.set(0);
        let coding = match head.framing {
            Framing::None | Framing::Close => None,
            Framing::Length(length) => Some(Coding::Length(length)),
            Framing::Chunked => Some(Coding::Chunked(Box::default())),
        };
        let body = coding.map(|coding| Incoming::new(&self.wire, coding, limits.body, limits.body_timeout));
        Ok(Box::new(Request {
            method: head.method,
            path,
            raw_path,
            query,
            host: head.host,
            scheme: self.arrival.as_ref().map_or(Scheme::Http, |arrival| arrival.scheme()),
            version: head.version,
            headers: head.headers,
            upgrade: head.upgrade.map(|protocol| protocol.to_ascii_lowercase()),
            body: body.map_or(Body::Empty, Body::stream),
        }))
    }

    fn draining(&self) -> bool {
        self.wire.tools.drain.is_announced()
    }
}

/// Path and query, the first in the target's own memory.
fn split(mut target: String, path_end: usize) -> (String, Option<String>) {
    let query = target.get(path_end + 1..).map(str::to_owned);
    target.truncate(path_end);
    (target, query)
}

impl Drop for Connection {
    fn drop(&mut self) {
        if self.end_means_end {
            self.wire.reset_on_close();
        } else {
            self.wire.say_goodbye();
        }
    }
}
