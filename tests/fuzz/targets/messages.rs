//! Tokens, signatures, multipart bodies, frames of WebSockets, answers of the DNS.

use std::io;
use std::pin::Pin;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;
use std::time::Duration;

use moongate::http::Headers;
use moongate::http::Request;
use moongate::http::grpc;
use moongate::primitive::digest::Hash;
use moongate::primitive::jwt;
use moongate::primitive::multipart as parts;
use moongate::primitive::signature as signatures;
use moongate::proxy::tunnel::boundary::Boundary;
use moongate::proxy::websocket::Side;
use moongate::proxy::websocket::frames::Event;
use moongate::proxy::websocket::frames::Frames;
use moongate::upstream::dns::message;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::ReadBuf;

use super::lossy;
use super::two;

const NOW: Duration = Duration::from_secs(1_750_000_000);

/// `header.payload` in clear text, or a token as it is: no key of ours has signed it.
pub(super) fn token(bytes: &[u8]) {
    let (head, payload) = two(bytes);
    let base64 = |part: &[u8]| moongate::primitive::codec::base64url_encode(part);
    let made = format!("{}.{}.{}", base64(head), base64(payload), base64(b"signature"));
    let key = jwt::Key::secret(&[7; 64]).expect("a key");
    for text in [made, lossy(bytes)] {
        let Ok(token) = jwt::Token::parse(&text) else { continue };
        assert!(jwt::verify(&token, [&key], &[]).is_err());
        assert!(!token.header().members.contains_key("crit"));
        let Ok(claims) = token.claims() else { continue };
        let rules = jwt::Rules { leeway: 30.0, ..jwt::Rules::default() };
        if let Ok(until) = rules.check(token.header(), &claims, NOW) {
            assert!(until > NOW.as_secs_f64(), "{text}");
        }
    }
    let _ = jwt::Key::set(bytes);
}

/// A request whose `Authorization` is the first line, its date the second.
pub(super) fn signature(bytes: &[u8]) {
    let (said, date) = two(bytes);
    let mut request = Request::default();
    for (name, value) in [("authorization", said), ("date", date)] {
        if moongate::http::headers::is_value(value) {
            request.headers.add(name, value);
        }
    }
    let mut known = signatures::Signatures::new(signatures::Config {
        headers: vec!["date".to_owned()],
        algorithm: Hash::Sha256,
        name: "hmac-sha256".to_owned(),
        skew: Duration::from_secs(300),
        body: false,
    });
    known.add("a", &[7; 64], ());
    assert!(known.check(&request, NOW).is_err(), "nobody has signed this");
}

/// The media type is the first line; parts lie in the body, in their order, and do not overlap.
pub(super) fn multipart(bytes: &[u8]) {
    let (media, body) = two(bytes);
    let Some(boundary) = parts::boundary(&lossy(media)) else { return };
    let Ok(found) = parts::parse(body, &boundary, 10) else { return };
    let mut end = body.as_ptr() as usize;
    for part in &found {
        let start = part.body.as_ptr() as usize;
        assert!(start >= end, "parts overlap");
        end = start + part.body.len();
        assert!(end <= body.as_ptr() as usize + body.len());
    }
    assert!(found.len() <= 10);
}

/// Taken at once or byte by byte, the same is said; what passes through unread has the same boundaries.
pub(super) fn frames(bytes: &[u8]) {
    for peer in [Side::Client, Side::Service] {
        let whole = events(bytes, peer, usize::MAX);
        assert_eq!(whole, events(bytes, peer, 1));
        for event in &whole {
            let Event::Message(message) = event else { continue };
            assert!(message.data.len() <= LIMIT);
            assert!(!message.text || std::str::from_utf8(&message.data).is_ok());
        }
    }
    let (mut whole, mut crumbs) = (Boundary::default(), Boundary::default());
    whole.pass(bytes);
    bytes.iter().for_each(|&byte| crumbs.pass(&[byte]));
    assert_eq!((whole.left(), whole.closed()), (crumbs.left(), crumbs.closed()));
}

const LIMIT: usize = 1000;

fn events(bytes: &[u8], peer: Side, step: usize) -> Vec<Event> {
    let wire = Wire { rest: bytes.to_vec(), step };
    let mut frames = Frames::new(Box::new(wire), Vec::new(), peer, LIMIT);
    let mut cx = Context::from_waker(Waker::noop());
    let mut events = Vec::new();
    while let Poll::Ready(event) = frames.poll_event(&mut cx) {
        let last = !matches!(event, Event::Message(_));
        events.push(event);
        if last {
            break;
        }
    }
    events
}

/// What a peer sends, so many bytes at a time; it takes whatever it is told.
struct Wire {
    rest: Vec<u8>,
    step: usize,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let n = self.rest.len().min(self.step).min(buf.remaining());
        buf.put_slice(&self.rest[..n]);
        self.rest.drain(..n);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// An answer to a question of ours: what follows is all that a name server can choose.
pub(super) fn dns(bytes: &[u8]) {
    let query = message::query(7, "api.internal", message::SRV).expect("a question");
    let mut answer = query.clone();
    let (flags, records) = bytes.split_at(bytes.len().min(4));
    answer[2] |= 0x80;
    for (at, flag) in [3, 6, 7].into_iter().zip(flags) {
        answer[at] = *flag;
    }
    answer.extend_from_slice(records);
    for message in [bytes, &answer] {
        let Some(found) = message::answer(message, &query) else { continue };
        let (data, _) = found.of("api.internal");
        assert!(data.len() <= found.records.len() && found.records.len() <= message.len());
    }
}

/// Whatever a call tells of its time, it never tells more after some of it has passed.
pub(super) fn grpc_lines(bytes: &[u8]) {
    let (told, rest) = two(bytes);
    let told = lossy(told);
    let mut headers = Headers::default();
    if moongate::http::headers::is_value(rest) {
        headers.add("content-type", rest);
    }
    let _ = grpc::is_grpc(&headers);
    let mut lines = [b"content-type: application/grpc\r\ngrpc-timeout: ", told.as_bytes(), b"\r\n", rest].concat();
    let before = grpc::read_timeout(&told);
    grpc::shorten(&mut lines, Duration::from_secs(1));
    let text = lossy(&lines);
    let value = text.split("grpc-timeout: ").nth(1).and_then(|value| value.split("\r\n").next()).unwrap_or_default();
    if let (Some(before), Some(after)) = (before, grpc::read_timeout(value)) {
        assert!(after <= before.saturating_sub(Duration::from_secs(1)), "{told} became {value}");
    }
}
