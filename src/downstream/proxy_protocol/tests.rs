use proptest::prelude::*;

use super::*;

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(work)
}

/// What is read, and what is left behind it.
fn all(mut bytes: &[u8]) -> (Result<Announced, HeaderError>, Vec<u8>) {
    let read = now(read(&mut bytes));
    (read, bytes.to_vec())
}

fn client(from: &str, to: &str) -> Announced {
    Announced::Client(from.parse().unwrap(), to.parse().unwrap())
}

fn header(kind: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(rest.len()).unwrap().to_be_bytes();
    [SIGNATURE, &[kind, family], &length, rest].concat()
}

const FOUR: &[u8] = &[192, 0, 2, 1, 192, 0, 2, 2, 0xdc, 4, 1, 0xbb];

#[test]
fn lines_of_version_1() {
    for (line, expected) in [
        ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", client("192.0.2.1:56324", "192.0.2.2:443")),
        ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", client("[2001:db8::1]:1", "[::1]:65535")),
        ("PROXY UNKNOWN\r\n", Announced::Nobody),
        ("PROXY UNKNOWN ffff::ffff ffff::ffff 65535 65535\r\n", Announced::Nobody),
    ] {
        let (read, rest) = all(format!("{line}GET / HTTP/1.1").as_bytes());
        assert_eq!(read.unwrap(), expected, "{line}");
        assert_eq!(rest, b"GET / HTTP/1.1", "what follows belongs to the client");
    }
}

#[test]
fn bent_lines_are_refused() {
    let long = format!("PROXY UNKNOWN {}\r\n", "x".repeat(100));
    for line in [
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 56324 443 9\r\n",
        "PROXY TCP4  192.0.2.1 192.0.2.2 56324 443\r\n",
        "PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
        "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 65536 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 +1 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 01 443\r\n",
        "PROXY TCP4 192.0.2.1 192.0.2.2 1 443\n\r\n",
        "PROXY UDP4 192.0.2.1 192.0.2.2 1 443\r\n",
        "PROXY TCP4 192.0.2.1.3 192.0.2.2 1 443\r\n",
        "PROXY tcp4 192.0.2.1 192.0.2.2 1 443\r\n",
        &long,
    ] {
        assert!(matches!(all(line.as_bytes()).0, Err(HeaderError::Malformed(_))), "{line}");
    }
    for other in
        ["GET / HTTP/1.1\r\nhost: x\r\n\r\n", "proxy TCP4 192.0.2.1 192.0.2.2 1 443\r\n", "\r\n\r\n\0\r\nQUIX\nxxxxxx"]
    {
        assert!(matches!(all(other.as_bytes()).0, Err(HeaderError::Missing)), "{other}");
    }
    for cut in ["", "PROXY", "PROXY TCP4 192.0.2.1 192.0.2.2 1 443\r"] {
        assert!(matches!(all(cut.as_bytes()).0, Err(HeaderError::Cut(_))), "{cut}");
    }
}

#[test]
fn headers_of_version_2() {
    let six = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[1], &[0; 15], &[1], &[0, 1, 0xff, 0xff]].concat();
    let alpn = [FOUR, &[1, 0, 2], b"h2", &[4, 0, 0]].concat();
    for (bytes, expected) in [
        (header(0x21, 0x11, FOUR), client("192.0.2.1:56324", "192.0.2.2:443")),
        (header(0x21, 0x11, &alpn), client("192.0.2.1:56324", "192.0.2.2:443")),
        (header(0x21, 0x21, &six), client("[2001:db8::1]:1", "[::1]:65535")),
        (header(0x20, 0x11, FOUR), Announced::Nobody),
        (header(0x20, 0x00, &[]), Announced::Nobody),
        (header(0x21, 0x00, &[]), Announced::Nobody),
        (header(0x21, 0x31, &[0; 216]), Announced::Nobody),
    ] {
        let (read, rest) = all(&[&bytes[..], b"next"].concat());
        assert_eq!(read.unwrap(), expected, "{bytes:?}");
        assert_eq!(rest, b"next");
    }
}

#[test]
fn bent_headers_are_refused() {
    for bytes in [
        header(0x11, 0x11, FOUR),
        header(0x22, 0x11, FOUR),
        header(0x21, 0x12, FOUR),
        header(0x21, 0x11, &FOUR[..11]),
        header(0x21, 0x21, FOUR),
        header(0x21, 0x11, &[FOUR, &[1, 0]].concat()),
        header(0x21, 0x11, &[FOUR, &[1, 0, 9, b'x']].concat()),
        header(0x21, 0x11, &[FOUR, &[3, 0, 4, 0, 0, 0, 0]].concat()),
        header(0x21, 0x11, &[FOUR, &[3, 0, 1, 0]].concat()),
        header(0x21, 0x11, &[0; 4000]),
    ] {
        assert!(matches!(all(&bytes).0, Err(HeaderError::Malformed(_))), "{bytes:?}");
    }
    let whole = header(0x21, 0x11, FOUR);
    assert!(matches!(all(&whole[..whole.len() - 1]).0, Err(HeaderError::Cut(_))));
}

#[test]
fn a_checksum_is_checked() {
    assert_eq!(crc32c(b"123456789".iter().copied()), 0xe306_9283);
    let mut bytes = header(0x21, 0x11, &[FOUR, &[3, 0, 4, 0, 0, 0, 0], &[4, 0, 1, 9]].concat());
    let sum = crc32c(bytes.iter().copied()).to_be_bytes();
    bytes[31..35].copy_from_slice(&sum);
    assert!(all(&bytes).0.is_ok());
    *bytes.last_mut().unwrap() = 8;
    assert!(all(&bytes).0.is_err());
}

proptest! {
    #[test]
    fn nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..80), line in "[A-Z0-9 .:\r\n]{0,60}") {
        drop(all(&bytes));
        drop(all(&[SIGNATURE, &bytes].concat()));
        drop(all(format!("PROXY {line}\r\n").as_bytes()));
        drop(super::bytes(&[SIGNATURE, &bytes].concat()));
    }
}
