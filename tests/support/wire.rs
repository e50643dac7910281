//! Frames of HTTP/2 byte by byte, for clients that break its rules.

use std::net::SocketAddr;

use crate::support::client::Client;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let payload = payload.as_ref();
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Fields in the plainest coding there is: literal, never indexed, no Huffman.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in fields {
        bytes.push(0);
        for text in [name, value] {
            length(&mut bytes, text.len());
            bytes.extend_from_slice(text.as_bytes());
        }
    }
    bytes
}

/// An integer with a prefix of seven bits (RFC 7541 §5.1).
pub(crate) fn length(bytes: &mut Vec<u8>, n: usize) {
    if n < 127 {
        return bytes.push(u8::try_from(n).unwrap());
    }
    bytes.push(127);
    let mut rest = n - 127;
    while rest >= 128 {
        bytes.push(u8::try_from(rest % 128).unwrap() | 128);
        rest /= 128;
    }
    bytes.push(u8::try_from(rest).unwrap());
}

/// The head of a request for `path`, with these fields after it.
pub(crate) fn head(method: &str, path: &str, fields: &[(&str, &str)]) -> Vec<u8> {
    let pseudo = [(":method", method), (":scheme", "http"), (":authority", "x"), (":path", path)];
    block(&[&pseudo, fields].concat())
}

/// A whole GET in one frame.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, head("GET", path, &[]))
}

/// A frame of the gateway's.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// A connection in clear text.
pub(crate) struct Wire(pub(crate) Client);

impl Wire {
    /// Greeted, with these settings.
    pub(crate) fn open(address: SocketAddr, settings: &[(u16, u32)]) -> Self {
        Self::over(Client::connect(address), settings)
    }

    /// The same over a connection that is there already.
    pub(crate) fn over(mut client: Client, settings: &[(u16, u32)]) -> Self {
        let pairs = settings.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat());
        client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").send(frame(SETTINGS, 0, 0, pairs.collect::<Vec<_>>()));
        Self(client)
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        self.0.send(bytes);
        self
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Frame {
        let head = self.0.exactly(9);
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
        let payload = self.0.exactly(usize::try_from(length).unwrap());
        Frame { kind: head[3], flags: head[4], stream, payload }
    }

    /// The next frame of this kind; others are passed over.
    pub(crate) fn next_of(&mut self, kind: u8) -> Frame {
        loop {
            let frame = self.next();
            if frame.kind == kind {
                return frame;
            }
            assert_ne!(frame.kind, GOAWAY, "sent away: {frame:?}");
        }
    }

    /// What became of a stream: the code that it, or the connection, ended with, or what stood in its answer's body.
    pub(crate) fn fate(&mut self, stream: u32) -> Result<String, u32> {
        let mut body = Vec::new();
        loop {
            let frame = self.next();
            if frame.kind == GOAWAY {
                return Err(frame.code(4));
            }
            if frame.stream != stream {
                continue;
            }
            match frame.kind {
                RESET => return Err(frame.code(0)),
                DATA => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            if frame.flags & END_STREAM != 0 && matches!(frame.kind, HEADERS | DATA) {
                return Ok(String::from_utf8(body).unwrap());
            }
        }
    }

    /// Reads on until the gateway has closed: the reason it gave, if that arrived.
    pub(crate) fn end(&mut self) -> Option<u32> {
        let bytes = self.0.rest();
        let (mut at, mut reason) = (0, None);
        while let Some(head) = bytes.get(at..at + 9) {
            let length = usize::try_from(u32::from_be_bytes([0, head[0], head[1], head[2]])).unwrap();
            if let (GOAWAY, Some(payload)) = (head[3], bytes.get(at + 9..at + 9 + length)) {
                reason = Some(u32::from_be_bytes(payload[4..8].try_into().unwrap()));
            }
            at += 9 + length;
        }
        reason
    }
}

impl Frame {
    /// The number that stands in the payload.
    pub(crate) fn code(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.payload[at..at + 4].try_into().unwrap())
    }
}
