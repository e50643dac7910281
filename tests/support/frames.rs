//! WebSocket frames as a client and as a service see them, written and read byte by byte.

use crate::support::client::Client;
use crate::support::gateway::Gateway;
use crate::support::upstream;
use crate::support::upstream::Conn;
use crate::support::upstream::Upstream;

pub(crate) const HANDSHAKE: &str = "GET /ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
pub(crate) const ACCEPTED: &str = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

pub(crate) const TEXT: u8 = 1;
pub(crate) const BYTES: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A frame as a client sends it; `first` is its whole first byte, without the bit for the last fragment `0x80` if below it.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = head(first, payload.len(), 0x80);
    bytes.extend([1, 2, 3, 4]);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ [1, 2, 3, 4][at % 4]));
    bytes
}

/// A whole frame of a client.
pub(crate) fn frame(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    masked(0x80 | opcode, payload.as_ref())
}

/// A whole frame of a service.
pub(crate) fn plain(opcode: u8, payload: impl AsRef<[u8]>) -> Vec<u8> {
    let mut bytes = head(0x80 | opcode, payload.as_ref().len(), 0);
    bytes.extend(payload.as_ref());
    bytes
}

fn head(first: u8, length: usize, mask: u8) -> Vec<u8> {
    match length {
        0..126 => vec![first, mask | u8::try_from(length).unwrap()],
        126..65536 => [&[first, mask | 126], &u16::try_from(length).unwrap().to_be_bytes()[..]].concat(),
        _ => [&[first, mask | 127], &(length as u64).to_be_bytes()[..]].concat(),
    }
}

/// A close frame's payload.
pub(crate) fn code(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// A socket of this gateway.
#[track_caller]
pub(crate) fn open(gateway: &Gateway, target: &str) -> Client {
    let mut client = gateway.client();
    client.send(HANDSHAKE.replace("/ws", target));
    assert_eq!(client.head().0.status, 101);
    client
}

/// The next frame from a server: opcode and payload.
#[track_caller]
pub(crate) fn read(client: &mut Client) -> (u8, Vec<u8>) {
    let head = client.exactly(2);
    assert_eq!(head[1] & 0x80, 0, "a server must not mask");
    let length = match head[1] {
        126 => client.exactly(2).iter().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        127 => client.exactly(8).iter().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        short => usize::from(short),
    };
    (head[0] & 0x0f, client.exactly(length))
}

/// A service that accepts every handshake and answers each frame with what `reply` makes of it.
pub(crate) fn service(reply: impl Fn(&mut Conn, u8, Vec<u8>) + Send + Sync + 'static) -> Upstream {
    upstream::serve(move |conn| {
        let Some(_) = conn.head() else { return };
        conn.send(ACCEPTED);
        while let Some((opcode, payload)) = heard(conn) {
            reply(conn, opcode, payload);
        }
    })
}

/// The next frame of a client.
pub(crate) fn heard(conn: &mut Conn) -> Option<(u8, Vec<u8>)> {
    let head = conn.exactly(2)?;
    assert_eq!(head[1] & 0x80, 0x80, "a client must mask");
    let length = match head[1] & 0x7f {
        126 => conn.exactly(2)?.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        127 => conn.exactly(8)?.iter().fold(0, |length, &byte| length << 8 | usize::from(byte)),
        short => usize::from(short),
    };
    let mask = conn.exactly(4)?;
    let payload = conn.exactly(length)?;
    Some((head[0] & 0x0f, payload.iter().enumerate().map(|(at, byte)| byte ^ mask[at % 4]).collect()))
}
