//! The chunked coding, read and written.

use crate::http::h1::Chunked;
use crate::http::h1::Piece;
use crate::http::h1::chunked::Broken;
use crate::http::h1::write;

/// Decodes `pieces` as they would arrive: the data, whether the end was seen, and what was left over.
pub(super) fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<u8>, bool, Vec<u8>), Broken> {
    let (mut chunked, mut data, mut held) = (Chunked::new(), Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            let (framing, what) = chunked.next(&held)?;
            held.drain(..framing);
            match what {
                Piece::Data(n) => {
                    data.extend(held.drain(..n));
                    chunked.took(n);
                }
                Piece::More | Piece::End => break,
            }
        }
    }
    Ok((data, chunked.is_done(), held))
}

fn whole(text: &str) -> Result<(String, bool, String), Broken> {
    let (data, done, rest) = decode([text.as_bytes()])?;
    Ok((String::from_utf8_lossy(&data).into(), done, String::from_utf8_lossy(&rest).into()))
}

#[test]
fn chunks_extensions_and_what_follows() {
    let done = whole("5\r\nhello\r\n06;a=b;c=\"d\"\r\n world\r\n0\r\n\r\nGET /");
    assert_eq!(done, Ok(("hello world".into(), true, "GET /".into())));
    assert_eq!(whole("5\r\nhel"), Ok(("hel".into(), false, String::new())));
    assert_eq!(whole("0\r\n\r\n"), Ok((String::new(), true, String::new())));
}

#[test]
fn broken_framing_is_refused() {
    for text in [
        "\r\n",
        "g\r\n",
        "-1\r\n",
        "+1\r\na",
        "0x1\r\na",
        " 1\r\na",
        "1 \r\na",
        "1\na",
        "1\r\nab\r\n",
        "1\r\na\n0\r\n\r\n",
        "1\r\na\rb",
        "1;a\nb",
        "1;a\0\r\nb",
        "1;\r\r\nb",
        "00000000000000001\r\na",
        "fffffffffffffffff\r\n",
        "0\r\n\n",
        "0\r\nA: b\n\r\n",
        "0\r\nA b\r\n\r\n",
        "0\r\n A: b\r\n\r\n",
        "0\r\nA: b\r\n c\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        ";\r\n",
        "1\r\n\r\n\r\n0\r\n\r\nx\r\n1",
    ] {
        let result = whole(text);
        assert!(result.is_err() || text == "1\r\n\r\n\r\n0\r\n\r\nx\r\n1", "{text:?}: {result:?}");
    }
    let long = format!("1;{}\r\na", "x".repeat(9 << 10));
    assert_eq!(whole(&long), Err(Broken));
    assert_eq!(whole(&format!("0\r\nA: {}\r\n\r\n", "x".repeat(17 << 10))), Err(Broken));
}

#[test]
fn trailers_without_those_that_frame_or_authenticate() {
    let mut chunked = Chunked::new();
    let text = b"0\r\nX-Sum: 1\r\nContent-Length: 5\r\nAuthorization: x\r\nContent-Foo: y\r\nX-More: 2\r\n\r\n";
    assert_eq!(chunked.next(text), Ok((text.len(), Piece::End)));
    let trailers = chunked.trailers().expect("some");
    let names: Vec<_> = trailers.iter().map(|(_, name, _)| name.to_vec()).collect();
    assert_eq!(names, [b"X-Sum".to_vec(), b"X-More".to_vec()]);
    let mut out = Vec::new();
    write::last_chunk(&mut out, Some(&trailers));
    assert_eq!(out, b"0\r\nX-Sum: 1\r\nX-More: 2\r\n\r\n");
}

#[test]
fn sizes_are_written_as_they_are_read() {
    for size in [1usize, 9, 10, 15, 16, 255, 256, 4095, 65_536, usize::MAX] {
        let mut out = Vec::new();
        write::chunk_size(&mut out, size);
        assert_eq!(out, format!("{size:x}\r\n").into_bytes());
    }
}
