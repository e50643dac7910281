//! Properties: nothing panics, and where the input is split changes nothing.

use proptest::prelude::*;

use super::chunks::decode;
use crate::http::h1::Chunked;
use crate::http::h1::Fault;
use crate::http::h1::HeadLimits;
use crate::http::h1::Memo;
use crate::http::h1::RequestHead;
use crate::http::h1::ResponseHead;
use crate::http::h1::Scan;
use crate::http::h1::request;
use crate::http::h1::response;
use crate::http::h1::write;

const LIMITS: HeadLimits = HeadLimits { bytes: 400, count: 6, uri: 60 };

/// What a head came to, comparable: the fields as text and the length, or that it was refused.
fn told(done: Result<Option<(RequestHead, usize)>, Fault>) -> Result<Option<(String, usize)>, ()> {
    let told = |(head, length): (RequestHead, usize)| {
        let mut fields = Vec::new();
        head.headers.write_to(&mut fields, |_| true);
        let text = format!(
            "{:?} {} {} {:?} {:?} {} {}",
            head.method,
            head.target,
            head.host,
            head.version,
            head.framing,
            head.keep_alive,
            String::from_utf8_lossy(&fields)
        );
        (text, length)
    };
    done.map(|done| done.map(told)).map_err(|_| ())
}

fn parts(separators: &'static [&'static str]) -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(proptest::sample::select(separators), 0..24).prop_map(|parts| parts.concat().into_bytes())
}

const HEAD_PARTS: &[&str] = &[
    "GET ",
    "POST ",
    "/",
    "a",
    "?b",
    "#",
    " ",
    "HTTP/1.1",
    "HTTP/1.0",
    "\r\n",
    "\r\n",
    "\r\n",
    "\n",
    "\r",
    "Host: a",
    "Host: b",
    "Content-Length: 5",
    "Transfer-Encoding: chunked",
    "Connection: close",
    ": ",
    "\t",
    "\0",
    "X: y",
    "GET / HTTP/1.1\r\nHost: a\r\n",
    "\r\n\r\n",
];
const CHUNK_PARTS: &[&str] = &[
    "0",
    "1",
    "a",
    "5",
    "hello",
    "\r\n",
    "\r\n",
    ";",
    "x",
    "0\r\n\r\n",
    "5\r\nhello\r\n",
    "A: b\r\n",
    "\n",
    "\r",
    " ",
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn any_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = request(&bytes, LIMITS, &mut Scan::default());
        let _ = response(&bytes, LIMITS, &mut Scan::default(), false, None);
        let _ = decode([&bytes[..]]);
    }

    #[test]
    fn a_head_split_anywhere_reads_the_same(bytes in parts(HEAD_PARTS), at in any::<prop::sample::Index>()) {
        let whole = told(request(&bytes, LIMITS, &mut Scan::default()));
        let mut scan = Scan::default();
        let at = at.index(bytes.len() + 1);
        let split = match request(&bytes[..at], LIMITS, &mut scan) {
            Ok(None) => told(request(&bytes, LIMITS, &mut scan)),
            done => told(done),
        };
        // an error further on may show only once the head is complete
        prop_assert!(whole == split || (whole == Err(()) && split == Ok(None)), "{whole:?} {split:?}");
    }

    #[test]
    fn an_answer_split_anywhere_reads_the_same(bytes in parts(HEAD_PARTS), at in any::<prop::sample::Index>()) {
        let bytes = [b"HTTP/1.1 200 OK\r\n", &bytes[..]].concat();
        let told = |done: Result<Option<(ResponseHead, usize)>, Fault>| {
            done.map(|done| done.map(|(head, length)| (head.headers.len(), format!("{:?}", head.framing), length))).map_err(|_| ())
        };
        let whole = told(response(&bytes, LIMITS, &mut Scan::default(), false, None));
        let mut scan = Scan::default();
        let at = at.index(bytes.len() + 1);
        let split = match response(&bytes[..at], LIMITS, &mut scan, false, None) {
            Ok(None) => told(response(&bytes, LIMITS, &mut scan, false, None)),
            done => told(done),
        };
        prop_assert!(whole == split || (whole == Err(()) && split == Ok(None)), "{whole:?} {split:?}");
    }

    #[test]
    fn what_stood_in_the_head_before_changes_nothing(heads in proptest::collection::vec(parts(HEAD_PARTS), 2..4)) {
        let mut memo = Memo::default();
        let told = |done: Result<Option<(ResponseHead, usize)>, Fault>| {
            done.map(|done| {
                done.map(|(head, length)| {
                    let mut fields = Vec::new();
                    head.headers.write_to(&mut fields, |_| true);
                    (fields, format!("{:?} {}", head.framing, head.keep_alive), length)
                })
            })
        };
        // each three times: beside what another left, beside its own lines, beside its own whole head
        for head in heads.iter().flat_map(|head| [head; 3]) {
            let bytes = [b"HTTP/1.1 200 OK\r\nServer: s\r\n", &head[..], b"\r\n\r\n"].concat();
            let without = told(response(&bytes, LIMITS, &mut Scan::default(), false, None));
            prop_assert_eq!(told(response(&bytes, LIMITS, &mut Scan::default(), false, Some(&mut memo))), without);
        }
    }

    #[test]
    fn nothing_is_taken_that_another_parser_refuses(bytes in parts(HEAD_PARTS), any in any::<[u8; 4]>(), at in any::<prop::sample::Index>()) {
        let mut bytes = bytes;
        let at = at.index(bytes.len() + 1);
        bytes.splice(at..at, any);
        for bytes in [&bytes, &[b"GET / HTTP/1.1\r\nHost: a\r\n", &bytes[..], b"\r\n\r\n"].concat()] {
            if let Ok(Some((_, length))) = request(bytes, HeadLimits::default(), &mut Scan::default()) {
                let mut room = [httparse::EMPTY_HEADER; 100];
                let theirs = httparse::Request::new(&mut room).parse(bytes);
                prop_assert_eq!(theirs, Ok(httparse::Status::Complete(length)));
            }
        }
        for bytes in [&bytes, &[b"HTTP/1.1 200 OK\r\n", &bytes[..], b"\r\n\r\n"].concat()] {
            if let Ok(Some((_, length))) = response(bytes, HeadLimits::default(), &mut Scan::default(), false, None) {
                let mut room = [httparse::EMPTY_HEADER; 100];
                let theirs = httparse::Response::new(&mut room).parse(bytes);
                prop_assert_eq!(theirs, Ok(httparse::Status::Complete(length)));
            }
        }
    }

    #[test]
    fn sound_fields_are_taken_as_they_are(fields in proptest::collection::vec(("[a-zA-Z0-9!#$%&'*+.^`|~-]{1,20}", "[\\t -~\u{80}-\u{ff}]{0,40}", "[ \\t]{0,3}"), 0..20)) {
        let mut bytes = b"GET /a HTTP/1.1\r\nHost: a\r\n".to_vec();
        let fields: Vec<_> = fields.into_iter().map(|(name, value, space)| (format!("x-{name}"), value, space)).collect();
        for (name, value, space) in &fields {
            bytes.extend_from_slice(format!("{name}:{space}{value}\r\n").as_bytes());
        }
        bytes.extend_from_slice(b"\r\nbody");
        let (head, length) = request(&bytes, HeadLimits::default(), &mut Scan::default()).unwrap().unwrap();
        prop_assert_eq!(length, bytes.len() - 4);
        let read: Vec<_> = head.headers.iter().map(|(_, name, value)| (name.to_vec(), value.to_vec())).collect();
        let meant: Vec<_> = fields
            .iter()
            .map(|(name, value, _)| (name.clone().into_bytes(), value.trim_matches([' ', '\t']).as_bytes().to_vec()))
            .filter(|(name, _)| !matches!(crate::http::headers::Known::of(name), crate::http::headers::Known::Host))
            .collect();
        prop_assert_eq!(read, meant);
    }

    #[test]
    fn chunks_split_anywhere_read_the_same(bytes in parts(CHUNK_PARTS), at in any::<prop::sample::Index>()) {
        let at = at.index(bytes.len() + 1);
        prop_assert_eq!(decode([&bytes[..]]), decode([&bytes[..at], &bytes[at..]]));
        prop_assert_eq!(decode([&bytes[..]]), decode(bytes.chunks(1)));
    }

    #[test]
    fn what_is_written_is_read(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 1..40), 0..10)) {
        let mut wire = Vec::new();
        for piece in &pieces {
            write::chunk_size(&mut wire, piece.len());
            wire.extend_from_slice(piece);
            wire.extend_from_slice(b"\r\n");
        }
        write::last_chunk(&mut wire, None);
        prop_assert_eq!(decode([&wire[..]]), Ok((pieces.concat(), true, Vec::new())));
        prop_assert!(!Chunked::new().is_done());
    }
}
