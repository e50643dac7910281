//! The one HTTP/1.1 codec of both sides: strict, pure, without I/O (RFC 9112; STANDARDS S-03, S-04).
//!
//! What could be read in two ways is refused, never repaired: a message that two parsers frame differently is how
//! requests are smuggled.

pub mod chunked;
mod fields;
mod line;
mod memo;
mod request;
mod response;
pub mod write;

#[cfg(test)]
mod tests;

pub use chunked::Chunked;
pub use chunked::Piece;
pub(crate) use fields::number;
pub use memo::Memo;
pub use request::RequestHead;
pub use request::request;
pub use response::ResponseHead;
pub use response::response;

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// This many bytes; never zero.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Until the connection closes; answers only.
    Close,
}

/// How large a head may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeadLimits {
    /// The whole head in bytes.
    pub bytes: usize,
    /// Number of fields.
    pub count: usize,
    /// The target in bytes.
    pub uri: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { bytes: 64 << 10, count: 100, uri: 16 << 10 }
    }
}

/// Why a head is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It breaks the grammar, or could be read in two ways.
    #[error("{0}")]
    Malformed(&'static str),
    /// The target is longer than allowed.
    #[error("the target is too long")]
    UriTooLong,
    /// The head is larger, or has more fields, than allowed; names the largest field, or the first too many.
    #[error("the fields are too large, field `{0}`")]
    HeadersTooLarge(String),
    /// `CONNECT` or `TRACE`.
    #[error("the method is not served")]
    Method,
    /// A protocol version other than HTTP/1.0 and HTTP/1.1.
    #[error("the protocol version is not spoken here")]
    Version,
    /// `Expect` with something else than `100-continue`.
    #[error("the expectation cannot be met")]
    Expectation,
}

/// How far a head that arrives piece by piece has been looked at; one per connection, [`Scan::default`] for each head.
#[derive(Clone, Copy, Debug, Default)]
pub struct Scan {
    seen: usize,
    line: usize,
}

impl Scan {
    /// Whether the head in `buf` is complete; looks at each byte once over all calls.
    fn complete(&mut self, buf: &[u8]) -> Result<bool, Fault> {
        while let Some(found) = memchr::memchr(b'\n', &buf[self.seen..]) {
            let at = self.seen + found;
            if at == 0 || buf[at - 1] != b'\r' {
                return Err(Fault::Malformed("a line ends without CR"));
            }
            let empty = at - 1 == self.line && self.line != 0;
            (self.seen, self.line) = (at + 1, at + 1);
            if empty {
                return Ok(true);
            }
        }
        self.seen = buf.len();
        Ok(false)
    }

    /// Whether nothing was looked at yet.
    fn is_fresh(self) -> bool {
        self.seen == 0
    }
}

/// Tokens of a comma list, without the empty ones (RFC 9110 §5.6.1).
pub(crate) fn tokens(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|token| !token.is_empty())
}
