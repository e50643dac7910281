//! The way back of one request: its answer goes out as the body comes and the client opens its window.

use std::cell::Cell;
use std::cell::RefCell;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::task::ready;
use std::time::Duration;

use bytes::Buf as _;
use bytes::Bytes;
use h2::Reason;
use h2::RecvStream;
use h2::SendStream;
use h2::server::SendResponse;
use http::HeaderMap;
use http::HeaderValue;
use http::StatusCode;
use http::header;

use crate::clock::Alarm;
use crate::downstream::Gone;
use crate::downstream::Tools;
use crate::downstream::serve_h1::Broke;
use crate::downstream::serve_h2::room::Grant;
use crate::downstream::serve_h2::room::Piece;
use crate::downstream::serve_h2::room::Room;
use crate::downstream::serve_h2::room::Turn;
use crate::downstream::serve_h2::tunnel::Tunnel;
use crate::downstream::serve_h2::watch::Place;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Response;
use crate::http::h2::PIECE;
use crate::http::h2::map;
use crate::http::h2::poll_room;
use crate::http::headers::Known;

/// What a request's way back shares with its body on the way in.
pub(super) struct Line {
    respond: RefCell<SendResponse<Piece>>,
    /// The client waits for `100 Continue`, which was not sent.
    expects: Cell<bool>,
    /// Body bytes received.
    received: Cell<u64>,
}

impl Line {
    pub(super) fn new(respond: SendResponse<Piece>) -> Rc<Self> {
        Rc::new(Self { respond: RefCell::new(respond), expects: Cell::default(), received: Cell::default() })
    }

    pub(super) fn expects(&self, expects: bool) {
        self.expects.set(expects);
    }

    pub(super) fn received(&self) -> u64 {
        self.received.get()
    }

    pub(super) fn count(&self, n: usize) {
        self.received.set(self.received.get() + n as u64);
    }

    /// Tells a client that waits to be asked that its body is wanted.
    pub(super) fn go_on(&self) {
        if self.expects.replace(false) {
            let mut interim = http::Response::new(());
            *interim.status_mut() = StatusCode::CONTINUE;
            // A stream that takes it no more says so to whoever reads the body.
            let _ = self.respond.borrow_mut().send_informational(interim);
        }
    }
}

/// Where one request's answer goes.
pub struct Reply {
    line: Rc<Line>,
    tools: Tools,
    place: Option<Place>,
    /// What an extended CONNECT goes on with, once it is a tunnel.
    inward: Option<RecvStream>,
    /// Where the answer under way goes, or the tunnel.
    outward: Option<SendStream<Piece>>,
    room: Rc<Room>,
    /// Its place among those that wait for room.
    turn: Option<Turn>,
    /// How long a client may let an answer wait.
    patience: Duration,
    /// The deadline of a client that does not read, once there was one.
    slow: Option<Alarm>,
    state: State,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// The client waits for its answer.
    Asked,
    /// The head went out, the body follows.
    Begun,
    /// All of it did, or the stream is over.
    Done,
}

impl Reply {
    pub(super) fn new(line: &Rc<Line>, place: Place, room: &Rc<Room>, tools: &Tools, patience: Duration) -> Self {
        Self {
            line: Rc::clone(line),
            tools: tools.clone(),
            place: Some(place),
            inward: None,
            outward: None,
            room: Rc::clone(room),
            turn: None,
            patience,
            slow: None,
            state: State::Asked,
        }
    }

    /// The answer to an extended CONNECT, which goes on in this stream.
    pub(super) fn of_connect(mut self, inward: RecvStream) -> Self {
        self.inward = Some(inward);
        self
    }

    /// Whether a 2xx would turn the stream into a tunnel (RFC 8441 §5).
    pub fn is_connect(&self) -> bool {
        self.inward.is_some()
    }

    /// Bytes of the request's body received so far.
    pub fn received(&self) -> u64 {
        self.line.received()
    }

    /// Tells the client these hints ahead of its answer (103, RFC 8297).
    pub fn hint(&self, fields: &Headers) {
        let mut interim = http::Response::new(());
        *interim.status_mut() = StatusCode::EARLY_HINTS;
        *interim.headers_mut() = map(fields, |known, _| known != Known::ContentLength);
        // Whoever takes no hint may still take the answer, or is told why not then.
        let _ = self.line.respond.borrow_mut().send_informational(interim);
    }

    /// Resolves when the client takes its request back, or the connection is over. For use while an answer is awaited.
    pub async fn gone(&self) {
        // Whatever it says, nobody waits for an answer.
        let _ = poll_fn(|cx| self.line.respond.borrow_mut().poll_reset(cx)).await;
    }

    /// Sends `response`: status, fields, `Date` and body; the number of body bytes handed over. `head`: without body.
    ///
    /// A body that breaks off resets the stream, so that it cannot look complete, unless [`Reply::conclude`] ends it; so does
    /// dropping the future.
    pub async fn answer(&mut self, response: &mut Response, head: bool) -> Result<u64, Gone> {
        let connected = response.status == 101 && self.is_connect();
        let bodiless = head || connected || matches!(response.status, 204 | 304);
        let ended = bodiless || matches!(response.body, Body::Empty);
        let message = self.compose(response, head, bodiless);
        self.line.expects.set(false);
        let sent = self.line.respond.borrow_mut().send_response(message, ended && !connected);
        let stream = match sent {
            Ok(stream) => stream,
            Err(_) => return Err(self.refused()),
        };
        self.state = State::Begun;
        self.outward = Some(stream);
        if let Some(place) = &self.place {
            place.answered();
        }
        let mut sent = 0;
        if !ended {
            let mut left = response.body.left();
            let body = &mut response.body;
            if self.place.as_ref().is_some_and(Place::is_one_of_many) {
                body.be_modest();
            }
            let done = poll_fn(|cx| self.poll_send(cx, body, &mut left, &mut sent)).await;
            done.map_err(|why| self.broke(sent, why))?;
        }
        self.state = State::Done;
        if !connected {
            self.outward = None;
        }
        Ok(sent)
    }

    /// Ends an answer that is under way with these fields instead of what is left of its body.
    pub fn conclude(&mut self, trailers: &Headers) {
        let stream = self.outward.as_mut().filter(|_| self.state == State::Begun);
        // One that takes them no more is reset when it is dropped, as any other.
        if stream.is_some_and(|stream| stream.send_trailers(map(trailers, |_, _| true)).is_ok()) {
            self.state = State::Done;
        }
    }

    /// After the answer to an extended CONNECT that was accepted: the stream as a connection.
    pub fn into_tunnel(mut self) -> Option<Tunnel> {
        let (inward, outward) = (self.inward.take()?, self.outward.take()?);
        Some(Tunnel::new(inward, outward, Rc::clone(&self.room), self.place.take()?))
    }

    /// The client took its request back before anything could be sent.
    fn refused(&mut self) -> Gone {
        if let Some(place) = &self.place {
            place.in_vain();
        }
        self.broke(0, Broke::Client)
    }

    fn broke(&mut self, sent: u64, why: Broke) -> Gone {
        if why == Broke::Client {
            self.state = State::Done;
        }
        Gone { sent, why }
    }

    /// The head (RFC 9113 §8.3.2).
    fn compose(&self, response: &Response, head: bool, bodiless: bool) -> http::Response<()> {
        let accepted = response.status == 101;
        let keeps_length = bodiless && !accepted && response.status != 204;
        let streams = !bodiless && response.body.left().is_none();
        let mut fields = map(&response.headers, |known, name| match known {
            Known::ContentLength => keeps_length,
            Known::Trailer => streams,
            Known::Other => !accepted || !name.eq_ignore_ascii_case(b"sec-websocket-accept"),
            _ => true,
        });
        self.add(&mut fields, response, head, bodiless);
        let mut message = http::Response::new(());
        let status = if accepted { 200 } else { response.status };
        *message.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *message.headers_mut() = fields;
        message
    }

    fn add(&self, fields: &mut HeaderMap, response: &Response, head: bool, bodiless: bool) {
        if let (false, Ok(date)) = (
            fields.contains_key(header::DATE),
            HeaderValue::from_maybe_shared(self.tools.date.value(&self.tools.clock)),
        ) {
            fields.insert(header::DATE, date);
        }
        let length = match response.body.left() {
            length if !bodiless => length,
            // what a GET would have been told
            length if head && !matches!(response.body, Body::Empty) => length,
            _ => None,
        };
        if let Some(length) = length.filter(|_| !fields.contains_key(header::CONTENT_LENGTH)) {
            fields.insert(header::CONTENT_LENGTH, HeaderValue::from(length));
        }
    }

    fn poll_send(
        &mut self,
        cx: &mut Context<'_>,
        body: &mut Body,
        left: &mut Option<u64>,
        sent: &mut u64,
    ) -> Poll<Result<(), Broke>> {
        loop {
            let whole = matches!(body, Body::Full(_));
            let (n, grant, copy) = match body.poll_fill(cx) {
                Poll::Pending => return self.stream()?.poll_reset(cx).map(|_| Err(Broke::Client)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Broke::Body(error))),
                Poll::Ready(Ok([])) => return Poll::Ready(self.end(Piece::empty(), body, *left)),
                Poll::Ready(Ok(data)) => {
                    if left.is_some_and(|left| data.len() as u64 > left) {
                        return Poll::Ready(Err(Broke::Body(BodyError::Malformed)));
                    }
                    let (n, grant) = ready!(self.poll_room(cx, data.len().min(PIECE)))?;
                    (n, grant, (!whole).then(|| Bytes::copy_from_slice(&data[..n])))
                }
            };
            let bytes = match (copy, &mut *body) {
                (None, Body::Full(bytes)) => bytes.split_to(n),
                (copy, body) => {
                    body.consume(n);
                    copy.unwrap_or_default()
                }
            };
            let piece = grant.piece(bytes);
            *left = left.map(|left| left - n as u64);
            *sent += n as u64;
            // The end goes with the last piece where it is known by then.
            if let Poll::Ready(Ok([])) = body.poll_fill(cx) {
                return Poll::Ready(self.end(piece, body, *left));
            }
            self.stream()?.send_data(piece, false).map_err(|_| Broke::Client)?;
        }
    }

    /// How many bytes the client takes now, and room for them; one that takes none for too long is slow.
    fn poll_room(&mut self, cx: &mut Context<'_>, wanted: usize) -> Poll<Result<(usize, Grant), Broke>> {
        let stream = self.outward.as_mut().ok_or(Broke::Client)?;
        match poll_room(stream, cx, wanted) {
            Poll::Ready(Some(Ok(n))) => {
                if let Poll::Ready(grant) = self.room.poll(&mut self.turn, cx, n) {
                    self.slow = None;
                    return Poll::Ready(Ok((n.min(grant.bytes()), grant)));
                }
            }
            Poll::Ready(_) => return Poll::Ready(Err(Broke::Client)),
            Poll::Pending => {}
        }
        let (tools, patience) = (&self.tools, self.patience);
        let alarm = self.slow.get_or_insert_with(|| {
            let alarm = tools.alarms.alarm(&tools.clock);
            alarm.set_after(patience);
            alarm
        });
        alarm.poll(cx).map(|()| Err(Broke::Slow))
    }

    fn stream(&mut self) -> Result<&mut SendStream<Piece>, Broke> {
        self.outward.as_mut().ok_or(Broke::Client)
    }

    /// The last piece, and what follows it.
    fn end(&mut self, piece: Piece, body: &mut Body, left: Option<u64>) -> Result<(), Broke> {
        if left.is_some_and(|left| left > 0) {
            return Err(Broke::Body(BodyError::Cut));
        }
        let (stream, trailers) = (self.stream()?, body.trailers());
        if trailers.is_none() || piece.has_remaining() {
            stream.send_data(piece, trailers.is_none()).map_err(|_| Broke::Client)?;
        }
        match trailers {
            Some(trailers) => stream.send_trailers(map(&trailers, |_, _| true)).map_err(|_| Broke::Client),
            None => Ok(()),
        }
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if self.state == State::Done {
            return;
        }
        let mut respond = self.line.respond.borrow_mut();
        let taken_back = respond.poll_reset(&mut Context::from_waker(Waker::noop())).is_ready();
        match &self.place {
            Some(place) if taken_back && self.state == State::Asked => place.in_vain(),
            _ => respond.send_reset(Reason::INTERNAL_ERROR),
        }
    }
}
