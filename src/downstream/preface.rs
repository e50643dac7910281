//! Tells HTTP/2 from HTTP/1.1 where a listener in clear text speaks both: by the first bytes (RFC 9113 §3.3).

use std::io;

use tokio::io::AsyncReadExt;

use crate::downstream::Stream;

/// What every connection of HTTP/2 begins with. Its method is nobody's.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Whether HTTP/2 is spoken, and the bytes that were read to know it.
pub(super) async fn read(stream: &mut Stream) -> io::Result<(bool, Vec<u8>)> {
    let mut early = Vec::with_capacity(PREFACE.len());
    loop {
        let n = stream.take((PREFACE.len() - early.len()) as u64).read_buf(&mut early).await?;
        if !PREFACE.starts_with(&early) {
            return Ok((false, early));
        }
        if early.len() == PREFACE.len() {
            return Ok((true, early));
        }
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}
