//! What is compressed, what is not, and that it unfolds to what it was.

use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;

use super::*;
use crate::http::BodyError;
use crate::http::Source;
use crate::transform::encoding;
use crate::transform::encoding::testing::Pieces;
use crate::transform::encoding::testing::drain;

fn compress() -> Compress {
    let types = ["text/*", "application/json", "*/*+json"].map(str::to_owned).to_vec();
    Compress::new(Config { types, min: 100, codings: Coding::ALL.to_vec(), levels: Levels::default() })
}

fn answer(media: &str, body: Body) -> Response {
    Response::with(200, media, body)
}

fn text() -> Vec<u8> {
    (0..20_000).flat_map(|n| format!("line {} ", n * 7919 % 1000).into_bytes()).collect()
}

fn applied(mut response: Response, coding: Option<Coding>) -> Response {
    compress().apply(coding, false, false, &mut response);
    response
}

fn unfolded(response: Response) -> (Vec<u8>, Option<BodyError>) {
    let field = response.headers.text("content-encoding").unwrap_or("identity").to_owned();
    drain(encoding::decode(response.body, &field, encoding::Limits::default()).expect("a known coding"))
}

#[test]
fn every_coding_unfolds_to_what_it_was() {
    let plain = text();
    for coding in Coding::ALL {
        for size in [1, 1000, 70_000] {
            let pieces: Vec<&[u8]> = plain.chunks(size).take(50).collect();
            let coded = applied(answer("text/plain", Pieces::body(&pieces)), Some(coding));
            assert_eq!(coded.headers.text("content-encoding"), Some(coding.as_str()));
            assert_eq!(unfolded(coded), (pieces.concat(), None), "{coding:?} in pieces of {size}");
        }
        let whole = applied(answer("text/plain", Bytes::from(plain.clone()).into()), Some(coding));
        assert!(whole.body.left().is_some_and(|left| left < plain.len() as u64 / 2), "at hand it has a length");
        assert_eq!(unfolded(whole), (plain.clone(), None));
    }
}

#[test]
fn a_body_that_breaks_off_does_not_look_complete() {
    for coding in Coding::ALL {
        let coded = applied(answer("text/plain", Pieces::cut(&[&text()])), Some(coding));
        assert_eq!(drain(coded.body).1, Some(BodyError::Cut), "{coding:?}");
    }
}

#[test]
fn what_arrived_is_flushed_when_the_source_has_no_more() {
    struct Slow(usize);
    impl Source for Slow {
        fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
            self.0 += 1;
            if self.0 == 1 { Poll::Ready(Ok(b"first words")) } else { Poll::Pending }
        }
        fn consume(&mut self, _: usize) {}
    }
    for coding in Coding::ALL {
        let mut body = applied(answer("text/plain", Body::stream(Slow(0))), Some(coding)).body;
        let mut cx = Context::from_waker(Waker::noop());
        let mut seen = Vec::new();
        while let Poll::Ready(Ok(data)) = body.poll_fill(&mut cx) {
            let taken = data.len();
            seen.extend_from_slice(data);
            body.consume(taken);
            assert!(seen.len() < 1000, "{coding:?}: a flush of nothing is not repeated");
        }
        let decoded = encoding::decode(Pieces::cut(&[&seen]), coding.as_str(), encoding::Limits::default());
        assert_eq!(drain(decoded.expect("a known coding")).0, b"first words", "{coding:?}");
    }
}

#[test]
fn an_endless_source_is_bounded_and_lets_others_have_a_turn() {
    struct Endless;
    impl Source for Endless {
        fn poll_fill(&mut self, _: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
            static ZEROS: [u8; 1 << 16] = [0; 1 << 16];
            Poll::Ready(Ok(&ZEROS))
        }
        fn consume(&mut self, _: usize) {}
    }
    for coding in Coding::ALL {
        let mut body = applied(answer("text/plain", Body::stream(Endless)), Some(coding)).body;
        let mut cx = Context::from_waker(Waker::noop());
        let mut paused = 0;
        for _ in 0..200 {
            match body.poll_fill(&mut cx) {
                Poll::Pending => paused += 1,
                Poll::Ready(Ok(data)) => {
                    let taken = data.len();
                    assert!(taken > 0 && taken < 1 << 20, "{coding:?}: {taken} bytes at once");
                    body.consume(taken);
                }
                Poll::Ready(Err(error)) => panic!("{error}"),
            }
        }
        assert!(paused > 0, "{coding:?} never paused");
    }
}

#[test]
fn what_is_left_alone() {
    let body = || Body::from(Bytes::from(text()));
    let with = |media: &str, name: &str, value: &str| {
        let mut response = answer(media, body());
        response.headers.add(name, value);
        response
    };
    for (what, response) in [
        ("coded", with("text/plain", "content-encoding", "br")),
        ("fixed", with("text/plain", "cache-control", "private, No-Transform")),
        ("a part", with("text/plain", "content-range", "bytes 0-1/2")),
        ("an image", answer("image/png", body())),
        ("events", answer("text/event-stream; charset=utf-8", body())),
        ("grpc", answer("application/grpc+json", body())),
        ("mixed", answer("multipart/x-mixed-replace; boundary=x", body())),
        ("lines", answer("application/x-ndjson", body())),
        ("small", answer("text/plain", Bytes::from_static(b"small").into())),
        ("a part by status", Response { status: 206, ..answer("text/plain", body()) }),
        ("nothing", Response { status: 204, ..answer("text/plain", Body::Empty) }),
        ("no type", Response { body: body(), ..Response::new(200) }),
    ] {
        let length = response.body.left();
        let coding = response.headers.text("content-encoding").map(str::to_owned);
        let after = applied(response, Some(Coding::Gzip));
        assert_eq!((after.body.left(), after.headers.text("content-encoding")), (length, coding.as_deref()), "{what}");
    }
    let mut fixed = answer("text/plain", body());
    compress().apply(Some(Coding::Gzip), false, true, &mut fixed);
    assert!(!fixed.headers.has("content-encoding"), "the client forbids it");
    let told = Compress::new(Config { types: vec!["text/event-stream".into()], ..compress().config });
    let mut events = answer("text/event-stream", body());
    told.apply(Some(Coding::Gzip), false, false, &mut events);
    assert_eq!(events.headers.text("content-encoding"), Some("gzip"), "written out it is meant");
}

#[test]
fn the_fields_tell_of_the_coding() {
    let mut response = answer("application/problem+json", Bytes::from(text()).into());
    for (name, value) in [("etag", "\"a\""), ("content-length", "9"), ("accept-ranges", "bytes"), ("vary", "origin")] {
        response.headers.add(name, value);
    }
    let coded = applied(response, Some(Coding::Zstd));
    assert_eq!(coded.headers.text("etag"), Some("W/\"a\""));
    assert!(!coded.headers.has("content-length") && !coded.headers.has("accept-ranges"));
    assert_eq!(coded.headers.joined("vary").as_deref(), Some(&b"origin, Accept-Encoding"[..]));
    let plain = applied(answer("text/html", Bytes::from(text()).into()), None);
    assert_eq!(plain.headers.text("vary"), Some("Accept-Encoding"), "a cache must know all the same");
    let mut head = answer("text/html", Body::Empty);
    compress().apply(Some(Coding::Gzip), true, false, &mut head);
    assert_eq!((head.headers.text("vary"), head.headers.has("content-encoding")), (Some("Accept-Encoding"), false));
    let mut unchanged = Response::new(304);
    unchanged.headers.add("etag", "\"a\"");
    let unchanged = applied(unchanged, Some(Coding::Gzip));
    assert_eq!(unchanged.headers.text("etag"), Some("W/\"a\""));
    assert!(covers("*/*+json", "application/hal+json") && !covers("*/*+json", "application/json"));
}
