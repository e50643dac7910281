//! One request and its answer on one HTTP/1.1 connection, driven inline by whoever waits for it.

mod incoming;
mod sending;
mod tunnel;

pub use tunnel::Tunnel;

use std::borrow::Cow;
use std::cell::RefCell;
use std::task::Context;
use std::task::Poll;
use std::task::ready;
use std::time::Duration;

use percent_encoding::AsciiSet;
use percent_encoding::utf8_percent_encode;

use crate::clock::Clock;
use crate::clock::Moment;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Buffers;
use crate::http::Method;
use crate::http::h1::Framing;
use crate::http::h1::HeadLimits;
use crate::http::h1::Memo;
use crate::http::h1::ResponseHead;
use crate::http::h1::Scan;
use crate::http::h1::response;
use crate::http::h1::write;
use crate::http::message::Duplex;
use crate::upstream::Hear;
use crate::upstream::Outbound;
use crate::upstream::Timeouts;
use crate::upstream::h1::incoming::Input;
use crate::upstream::h1::incoming::Line;
use crate::upstream::h1::sending::Fault;
use crate::upstream::h1::sending::Sending;
use crate::upstream::host::InFlight;
use crate::upstream::pool::Conn;
use crate::upstream::pool::Lane;
use crate::upstream::upload::Upload;

/// Interim answers before one answer; more are an attack or a loop.
pub(super) const INTERIM: u32 = 16;

/// The connection an exchange is on, and its place among those that keep the host busy.
pub(crate) struct Seat {
    pub(crate) conn: Box<Conn>,
    pub(crate) guard: InFlight,
}

/// An exchange under way.
pub(crate) struct Attempt<'a> {
    sending: Sending,
    input: Vec<u8>,
    scan: Scan,
    interim: u32,
    to_head: bool,
    upgrade: Option<&'a str>,
    hear: Option<&'a dyn Hear>,
    /// The connection accepts no more; what it has to say is still read.
    deaf: bool,
    /// When it began, as long as nothing else was noted.
    started: Option<Moment>,
    buffers: &'a Buffers,
    memo: &'a RefCell<Memo>,
}

/// Why an attempt brought no answer.
#[derive(Debug)]
pub(crate) enum Broke {
    /// Closed before it accepted a single byte.
    Unsent,
    /// Closed before the answer's head was complete; whether anything of an answer had come.
    Reset { silent: bool },
    /// The answer cannot be understood.
    Protocol(String),
    /// It took too long.
    Late,
    /// The request's body broke off.
    Body(BodyError),
}

/// What an attempt brought.
pub(crate) struct Reply {
    pub(crate) head: ResponseHead,
    pub(crate) body: Body,
    pub(crate) tunnel: Option<Box<dyn Duplex>>,
    /// The request's body, where another attempt may follow and it could still be sent again in full.
    pub(crate) upload: Option<Box<Upload>>,
}

impl<'a> Attempt<'a> {
    /// Begins with the head of `outbound`; `host` is what the Host field says.
    pub(crate) fn new(
        outbound: &Head<'a>,
        upload: Upload,
        lane: &'a Lane,
        buffers: &'a Buffers,
        started: Moment,
    ) -> Self {
        let mut out = buffers.take();
        outbound.write(&mut out, upload.framing);
        Self {
            sending: Sending::new(out, upload),
            input: Vec::new(),
            scan: Scan::default(),
            interim: 0,
            to_head: *outbound.method == Method::Head,
            upgrade: outbound.upgrade,
            hear: outbound.hear,
            deaf: false,
            started: Some(started),
            buffers,
            memo: &lane.memo,
        }
    }

    /// Sends what can be sent and reads what has come, until the answer's head is known.
    pub(crate) fn poll(
        &mut self,
        conn: &mut Conn,
        cx: &mut Context<'_>,
        timeouts: &Timeouts,
        deadline: Moment,
        clock: &Clock,
    ) -> Poll<Result<(ResponseHead, usize), Broke>> {
        let mut fresh = false;
        if !self.deaf {
            match self.sending.poll(conn, cx) {
                Poll::Ready(Err(Fault::Body(error))) => return Poll::Ready(Err(Broke::Body(error))),
                Poll::Ready(Err(Fault::Io)) if self.sending.is_untouched() && conn.socket.is_plain() => {
                    return Poll::Ready(Err(Broke::Unsent));
                }
                Poll::Ready(Err(Fault::Io)) => self.deaf = true,
                Poll::Ready(Ok(())) | Poll::Pending => {}
            }
            fresh = std::mem::take(&mut self.sending.progress);
            if fresh {
                // a client that is slow to send is no fault of the service's
                let patience = match (self.sending.starved, self.started.take()) {
                    (true, _) => Moment::NEVER,
                    (false, Some(started)) => started.after(timeouts.response),
                    (false, None) => clock.now().after(timeouts.response),
                };
                conn.alarm.set(patience.min(deadline));
            }
        }
        loop {
            if self.input.capacity() == 0 {
                self.input = self.sending.spare().unwrap_or_else(|| self.buffers.take());
            }
            if self.input.len() == self.input.capacity() {
                self.input.reserve(Buffers::SIZE);
            }
            match conn.socket.poll_fill(cx, &mut self.input) {
                Poll::Pending if fresh => {
                    conn.alarm.watch(cx);
                    return Poll::Pending;
                }
                Poll::Pending => {
                    ready!(conn.alarm.poll(cx));
                    return Poll::Ready(Err(Broke::Late));
                }
                Poll::Ready(Ok(0) | Err(_)) => {
                    let silent = self.input.is_empty() && self.interim == 0;
                    return Poll::Ready(Err(Broke::Reset { silent }));
                }
                Poll::Ready(Ok(_)) => {}
            }
            if let Some(found) = self.understand()? {
                return Poll::Ready(Ok(found));
            }
        }
    }

    /// The answer's head, if it is complete; of interim ones only hints are for anybody's ears.
    fn understand(&mut self) -> Result<Option<(ResponseHead, usize)>, Broke> {
        loop {
            let memo = &mut *self.memo.borrow_mut();
            let parsed = response(&self.input, HeadLimits::default(), &mut self.scan, self.to_head, Some(memo));
            let Some((head, length)) = parsed.map_err(|fault| Broke::Protocol(fault.to_string()))? else {
                return Ok(None);
            };
            if head.status >= 200 {
                return Ok(Some((head, length)));
            }
            if head.status == 101 {
                let asked = self.upgrade.zip(head.upgrade.as_deref());
                return match asked {
                    Some(_) if !self.sending.is_done() => {
                        Err(Broke::Protocol("it switched protocols within the request's body".into()))
                    }
                    Some((asked, given)) if agrees(asked, given) => Ok(Some((head, length))),
                    _ => Err(Broke::Protocol("it switched to a protocol nobody asked for".into())),
                };
            }
            self.interim += 1;
            if self.interim > INTERIM {
                return Err(Broke::Protocol("too many interim answers".into()));
            }
            if let (103, Some(hear)) = (head.status, self.hear) {
                hear.hint(head.headers);
            }
            self.input.drain(..length);
        }
    }

    /// The body of the request after a failure, for another attempt.
    pub(crate) fn into_upload(mut self, unsent: bool) -> Upload {
        self.sending.recall(unsent)
    }

    /// The answer as the caller gets it; the connection goes on inside its body. `again`: another attempt may follow.
    pub(crate) fn finish(
        &mut self,
        seat: Seat,
        found: (ResponseHead, usize),
        idle: Duration,
        now: Moment,
        again: bool,
    ) -> Reply {
        let ((head, length), Seat { conn, guard }) = (found, seat);
        if head.status == 101 {
            conn.alarm.set(Moment::NEVER);
            let leftover = self.input.split_off(length);
            self.buffers.give(std::mem::take(&mut self.input));
            let tunnel = Tunnel::new(conn, leftover, guard);
            return Reply { head, body: Body::Empty, tunnel: Some(Box::new(tunnel)), upload: None };
        }
        if let Some(out) = self.sending.spare() {
            self.buffers.give(out);
        }
        let done = self.sending.is_done();
        let upload = if done && again { self.sending.replay() } else { None };
        let sending = (!done && !self.deaf).then(|| self.sending.take());
        let line = Line { conn, guard, sending, reusable: head.keep_alive && !self.deaf, peer: head.idle, idle };
        let input = Input { bytes: std::mem::take(&mut self.input), at: length, buffers: self.buffers.clone() };
        let body = incoming::body(line, input, head.framing, now);
        Reply { head, body, tunnel: None, upload }
    }
}

/// Whether the protocol a host switched to is one of those asked for.
fn agrees(asked: &str, given: &str) -> bool {
    asked.split(',').any(|one| one.trim().eq_ignore_ascii_case(given.trim()))
}

/// The last door before the wire: what could end the line it stands in, or has no place there (a fragment), is
/// percent-encoded, whoever let it through.
fn safe(text: &str) -> Cow<'_, str> {
    let is_safe = text.bytes().fold(true, |safe, byte| safe & (byte > b' ') & (byte < 0x7f) & (byte != b'#'));
    if is_safe { Cow::Borrowed(text) } else { utf8_percent_encode(text, UNSAFE).into() }
}

/// Controls, the space and `#`; what is not ASCII is encoded in any case.
const UNSAFE: &AsciiSet = &percent_encoding::CONTROLS.add(b' ').add(b'#');

/// What goes before the body.
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) target: &'a str,
    pub(crate) host: &'a str,
    pub(crate) fields: &'a [u8],
    pub(crate) upgrade: Option<&'a str>,
    pub(crate) hear: Option<&'a dyn Hear>,
}

impl<'a> Head<'a> {
    pub(crate) fn of(outbound: &'a Outbound, host: &'a str) -> Self {
        Self {
            method: &outbound.method,
            target: &outbound.target,
            host: outbound.host.as_deref().unwrap_or(host),
            fields: &outbound.fields,
            upgrade: outbound.upgrade.as_deref(),
            hear: outbound.hear.as_deref(),
        }
    }

    fn write(&self, out: &mut Vec<u8>, framing: Framing) {
        write::request_line(out, self.method.as_str(), &safe(self.target));
        write::field(out, "host", safe(self.host).as_bytes());
        out.extend_from_slice(self.fields);
        match framing {
            Framing::Length(length) => write::content_length(out, length),
            Framing::Chunked => write::chunked(out),
            // a method that usually has a body says so when there is none (RFC 9110 §8.6)
            _ if matches!(self.method, Method::Post | Method::Put | Method::Patch) => write::content_length(out, 0),
            _ => {}
        }
        if let Some(protocol) = self.upgrade {
            write::field(out, "connection", b"upgrade");
            write::field(out, "upgrade", protocol.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}
