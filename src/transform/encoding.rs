//! Content codings taken off a body as it streams: gzip, deflate, br, zstd, against bombs bounded in size and ratio.

mod brotli;
mod gzip;
mod inflate;
mod zstd;

use std::task::Context;
use std::task::Poll;

use crate::http::Body;
use crate::http::BodyError;
use crate::transform::recoded::Progress;
use crate::transform::recoded::Recode;
use crate::transform::recoded::Recoded;

/// How much a coded body may unfold to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most decoded bytes.
    pub output: u64,
    /// Most decoded bytes for each coded one, beyond the first [`SLACK`].
    pub ratio: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { output: 100 << 20, ratio: 256 }
    }
}

/// Decoded bytes that are always fine, whatever the ratio.
pub const SLACK: u64 = 1 << 20;

/// A coding nobody here can take off.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("content coding `{0}` cannot be decoded")]
pub struct Unsupported(pub String);

/// `body` without the codings that a `Content-Encoding` field names; no body stays none. With more output than `limits` allow it ends in
/// [`BodyError::TooLarge`]; corrupt or cut short, in [`BodyError::Coding`].
pub fn decode(body: Body, field: &str, limits: Limits) -> Result<Body, Unsupported> {
    let names: Vec<String> = field.split(',').map(|name| name.trim().to_ascii_lowercase()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).filter(|name| !matches!(*name, "" | "identity")).collect();
    if names.len() > MOST_CODINGS {
        return Err(Unsupported(field.chars().take(100).collect()));
    }
    if body.left() == Some(0) {
        return Ok(body);
    }
    names.iter().rev().try_fold(body, |body, name| {
        let coder = Coder::named(name).ok_or_else(|| Unsupported(name.chars().take(100).collect()))?;
        Ok(Recoded::body(body, Decoding { coder, taken: 0, made: 0, limits }))
    })
}

/// One coding at work.
enum Coder {
    Gzip(gzip::Gzip),
    Deflate(inflate::Deflate),
    Brotli(Box<brotli::Brotli>),
    Zstd(zstd::Zstd),
    /// The decoder could not be set up.
    Broken,
}

/// The data is not what it should be.
struct Corrupt;

/// What a step of a coder did: how many bytes it took and made.
struct Step {
    taken: usize,
    made: usize,
}

impl Coder {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "gzip" | "x-gzip" => Self::Gzip(gzip::Gzip::default()),
            "deflate" => Self::Deflate(inflate::Deflate::default()),
            "br" => Self::Brotli(Box::default()),
            "zstd" => zstd::Zstd::new().map_or(Self::Broken, Self::Zstd),
            _ => return None,
        })
    }

    /// Takes of `input` and writes into `out` what it can.
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Corrupt> {
        match self {
            Self::Gzip(coder) => coder.step(input, out),
            Self::Deflate(coder) => coder.step(input, out),
            Self::Brotli(coder) => coder.step(input, out),
            Self::Zstd(coder) => coder.step(input, out),
            Self::Broken => Err(Corrupt),
        }
    }

    /// Whether the data may end here.
    fn is_complete(&self) -> bool {
        match self {
            Self::Gzip(coder) => coder.is_complete(),
            Self::Deflate(coder) => coder.is_complete(),
            Self::Brotli(coder) => coder.is_complete(),
            Self::Zstd(coder) => coder.is_complete(),
            Self::Broken => false,
        }
    }
}

/// A body being decoded.
struct Decoding {
    coder: Coder,
    taken: u64,
    made: u64,
    limits: Limits,
}

impl Recode for Decoding {
    fn poll_step(
        &mut self,
        inner: &mut Body,
        out: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Progress, BodyError>> {
        loop {
            // What the coder still holds comes first, without new input.
            let (_, made) = self.step(&[], out)?;
            if made > 0 {
                return Poll::Ready(Ok(Progress::More));
            }
            let input = match inner.poll_fill(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok([])) if self.coder.is_complete() => return Poll::Ready(Ok(Progress::End)),
                Poll::Ready(Ok([])) => return Poll::Ready(Err(BodyError::Coding)),
                Poll::Ready(Ok(input)) => input,
            };
            let (taken, made) = self.step(input, out)?;
            inner.consume(taken);
            if made > 0 {
                return Poll::Ready(Ok(Progress::More));
            }
            if taken == 0 {
                return Poll::Ready(Err(BodyError::Coding));
            }
        }
    }
}

impl Decoding {
    /// Decodes of `input` what fits into a piece: how many bytes were taken and made. `out` holds what was made, and
    /// nothing where it is too much or corrupt.
    fn step(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<(usize, usize), BodyError> {
        out.resize(PIECE, 0);
        let stepped = self.coder.step(input, out);
        out.truncate(stepped.as_ref().map_or(0, |step| step.made));
        let Step { taken, made } = stepped.map_err(|Corrupt| BodyError::Coding)?;
        self.taken += taken as u64;
        self.made += made as u64;
        let bomb = self.made > SLACK && self.made / self.taken.max(1) > self.limits.ratio;
        if bomb || self.made > self.limits.output {
            out.clear();
            return Err(BodyError::TooLarge);
        }
        Ok((taken, made))
    }
}

/// Bytes decoded at a time.
const PIECE: usize = 16 << 10;
const MOST_CODINGS: usize = 3;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
