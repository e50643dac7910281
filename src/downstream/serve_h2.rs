//! One client connection over HTTP/2 (RFC 9113): requests come out side by side, each with its own way back.
//!
//! The codec is the `h2` crate, driven inline by whoever asks for the next request. What it keeps to itself and a gateway
//! must know is counted beside it, see `tally`.

mod head;
mod incoming;
mod reply;
mod room;
mod tally;
mod tunnel;
mod watch;

pub use reply::Reply;
pub use tunnel::Tunnel;

use std::future::Future;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::Context;
use std::task::Poll;
use std::time::Duration;

use h2::Ping;
use h2::PingPong;
use h2::Reason;
use h2::RecvStream;
use h2::server::Builder;
use h2::server::Handshake;
use h2::server::SendResponse;

use crate::clock::Alarm;
use crate::clock::Moment;
use crate::downstream::Arrival;
use crate::downstream::Limits;
use crate::downstream::Refusal;
use crate::downstream::Stream;
use crate::downstream::Tools;
use crate::downstream::serve_h2::incoming::Incoming;
use crate::downstream::serve_h2::reply::Line;
use crate::downstream::serve_h2::room::Piece;
use crate::downstream::serve_h2::room::Room;
use crate::downstream::serve_h2::watch::Io;
use crate::downstream::serve_h2::watch::Place;
use crate::downstream::serve_h2::watch::Watch;
use crate::downstream::tools::Seat;
use crate::http::Body;
use crate::http::Request;

/// Requests a client may have under way on one connection.
pub const STREAMS: u32 = 100;
/// What a client may send ahead of the reader of a body.
const WINDOW: u32 = 128 << 10;
/// What may wait in a stream for the client to take it.
const SEND_BUFFER: usize = 64 << 10;
/// How long a connection may go on once it was told to end and nothing is under way.
const LAST_CHANCE: Duration = Duration::from_secs(1);
/// A client of whom so long nothing was heard while its requests are answered is asked whether it is there.
const SILENCE: Duration = Duration::from_secs(30);
/// It has so long to say so.
const PONG: Duration = Duration::from_secs(15);

/// A client's connection.
pub struct Connection {
    codec: Codec,
    tools: Tools,
    watch: Rc<Watch>,
    room: Rc<Room>,
    alarm: Alarm,
    /// Our place among those that wait for the word to leave.
    seat: Seat,
    pings: Option<PingPong>,
    /// When the client was asked whether it is there.
    pinged: Option<Moment>,
    started: Moment,
    served: u64,
    ending: Ending,
    arrival: Rc<Arrival>,
}

enum Codec {
    Greeting(Handshake<Io, Piece>),
    Open(h2::server::Connection<Io, Piece>),
}

/// Whether the connection takes requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    No,
    /// Since then the client knows that it should go; what is under way is answered.
    Told(Moment),
    /// Since then nothing is done but telling the client.
    Now(Moment),
}

/// What ends a connection next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    /// At once; the client would not hear of it.
    Cut,
    /// The client is told why.
    Away(Reason),
    /// The client is told; what is under way is answered.
    Leave,
    /// Nothing: the client is asked whether it is there.
    Ask,
}

impl Connection {
    /// A connection that came in this way; `early` was read from it already.
    pub fn new(stream: Stream, early: Vec<u8>, arrival: Rc<Arrival>, tools: Tools, limits: &Limits) -> Self {
        let watch = Watch::new(tools.clock.clone());
        let list = limits.headers.saturating_add(32 * (limits.header_count + 8));
        let codec = Builder::new()
            .max_concurrent_streams(STREAMS)
            .initial_window_size(WINDOW)
            // Streams that are not read take up their own windows and no others.
            .initial_connection_window_size(WINDOW * STREAMS)
            .max_send_buffer_size(SEND_BUFFER)
            .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
            // A page that is left takes all its requests back at once.
            .max_pending_accept_reset_streams(STREAMS as usize)
            .enable_connect_protocol()
            .handshake::<_, Piece>(Io::new(stream, early, &watch));
        Self {
            codec: Codec::Greeting(codec),
            alarm: tools.alarms.alarm(&tools.clock),
            seat: Seat::default(),
            pings: None,
            pinged: None,
            started: tools.clock.now(),
            served: 0,
            ending: Ending::No,
            arrival,
            watch,
            room: Room::new(),
            tools,
        }
    }

    /// How it came in.
    pub fn arrival(&self) -> &Rc<Arrival> {
        &self.arrival
    }

    /// The next request, or why it is refused, and the way back; `None` when the connection is over.
    ///
    /// Whoever has a request answers it elsewhere and comes back: nothing moves on the connection meanwhile.
    pub async fn next(&mut self, limits: impl Fn() -> Rc<Limits>) -> Option<(Result<Request, Refusal>, Reply)> {
        poll_fn(|cx| self.poll_next(cx, &limits)).await
    }

    #[allow(clippy::type_complexity, reason = "what `next` returns")]
    fn poll_next(
        &mut self,
        cx: &mut Context<'_>,
        limits: &impl Fn() -> Rc<Limits>,
    ) -> Poll<Option<(Result<Request, Refusal>, Reply)>> {
        loop {
            match &mut self.codec {
                Codec::Greeting(handshake) => match Pin::new(handshake).poll(cx) {
                    Poll::Ready(Ok(mut connection)) => {
                        self.pings = connection.ping_pong();
                        if self.ending != Ending::No {
                            connection.graceful_shutdown();
                        }
                        self.codec = Codec::Open(connection);
                        continue;
                    }
                    Poll::Ready(Err(_)) => return Poll::Ready(None),
                    Poll::Pending => {}
                },
                Codec::Open(connection) => match connection.poll_accept(cx) {
                    Poll::Ready(Some(Ok((request, respond)))) => {
                        return Poll::Ready(Some(self.begin(request, respond, &limits())));
                    }
                    Poll::Ready(_) => return Poll::Ready(None),
                    Poll::Pending => {}
                },
            }
            if self.watch.is_flood() && !matches!(self.ending, Ending::Now(_)) {
                self.end(Due::Away(Reason::ENHANCE_YOUR_CALM));
                continue;
            }
            if self.ending == Ending::No && self.tools.drain.poll(&mut self.seat, cx).is_ready() {
                self.end(Due::Leave);
                continue;
            }
            self.hear(cx);
            let (moment, due) = self.due(&limits());
            self.alarm.set(moment);
            match self.alarm.poll(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(()) if due == Due::Cut => return Poll::Ready(None),
                Poll::Ready(()) => self.end(due),
            }
        }
    }

    /// What will happen if nothing else does, and when.
    fn due(&self, limits: &Limits) -> (Moment, Due) {
        let idle = self.watch.idle();
        let Codec::Open(_) = &self.codec else {
            let patience = if self.ending == Ending::No { limits.header_timeout } else { LAST_CHANCE };
            return (self.started.after(patience), Due::Cut);
        };
        let usual = match (self.ending, idle) {
            (Ending::Now(since), _) => return (since.after(LAST_CHANCE), Due::Cut),
            (Ending::Told(since), Some(idle)) => (since.max(idle).after(LAST_CHANCE), Due::Cut),
            (Ending::No, Some(_)) if self.served == 0 => {
                (self.started.after(limits.header_timeout), Due::Away(Reason::NO_ERROR))
            }
            (Ending::No, Some(idle)) => (idle.after(limits.idle), Due::Leave),
            (_, None) => match self.pinged {
                Some(pinged) => (pinged.max(self.watch.heard()).after(PONG), Due::Cut),
                None => (self.watch.heard().after(SILENCE), Due::Ask),
            },
        };
        let (stuck, head) = (self.watch.stuck(), self.watch.head());
        let stuck = stuck.map(|since| (since.after(limits.body_timeout), Due::Cut));
        let head = head.map(|since| (since.after(limits.header_timeout), Due::Away(Reason::ENHANCE_YOUR_CALM)));
        [Some(usual), stuck, head].into_iter().flatten().min_by_key(|(moment, _)| *moment).unwrap_or(usual)
    }

    fn end(&mut self, due: Due) {
        let now = self.tools.clock.now();
        let Codec::Open(connection) = &mut self.codec else {
            self.ending = Ending::Told(now);
            return;
        };
        match due {
            Due::Leave => {
                connection.graceful_shutdown();
                self.ending = Ending::Told(now);
            }
            Due::Away(reason) => {
                connection.abrupt_shutdown(reason);
                self.ending = Ending::Now(now);
            }
            Due::Ask => {
                // It cannot be under way already: the answer to the last one was heard.
                let _ = self.pings.as_mut().map(|pings| pings.send_ping(Ping::opaque()));
                self.pinged = Some(now);
            }
            Due::Cut => {}
        }
    }

    /// Whether the client has said that it is there.
    fn hear(&mut self, cx: &mut Context<'_>) {
        if let (Some(pings), Some(_)) = (&mut self.pings, self.pinged)
            && pings.poll_pong(cx).is_ready()
        {
            self.pinged = None;
        }
    }

    fn begin(
        &mut self,
        request: http::Request<RecvStream>,
        respond: SendResponse<Piece>,
        limits: &Limits,
    ) -> (Result<Request, Refusal>, Reply) {
        self.served += 1;
        if self.ending == Ending::No && self.tools.drain.is_announced() {
            self.end(Due::Leave);
        }
        let (parts, stream) = request.into_parts();
        let line = Line::new(respond);
        let reply = Reply::new(&line, Place::take(&self.watch), &self.room, &self.tools, limits.body_timeout);
        let ended = stream.is_end_stream();
        let head = match head::read(&parts, ended, self.arrival.scheme(), limits) {
            Ok(head) => head,
            Err(refusal) => return (Err(refusal), reply),
        };
        let mut request = head.request;
        if request.upgrade.is_some() {
            return (Ok(request), reply.of_connect(stream));
        }
        if !ended {
            line.expects(head.expects);
            let alarm = self.tools.alarms.alarm(&self.tools.clock);
            let body = Incoming::new(&line, stream, head.length, limits.body, limits.body_timeout, alarm);
            request.body = Body::stream(body);
        }
        (Ok(request), reply)
    }
}
