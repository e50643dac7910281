//! A body that may not be larger than a limit: refused at once when its length is known, else where it grows too large.

use std::task::Context;
use std::task::Poll;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;

/// Counts what passes.
pub struct Limited {
    inner: Body,
    left: u64,
}

impl Limited {
    /// `body`, of `most` bytes at most; more is [`BodyError::TooLarge`].
    pub fn over(body: Body, most: u64) -> Body {
        match body.left() {
            Some(length) if length <= most => body,
            _ => Body::stream(Self { inner: body, left: most }),
        }
    }
}

impl Source for Limited {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.inner.left().is_some_and(|length| length > self.left) {
            return Poll::Ready(Err(BodyError::TooLarge));
        }
        let left = self.left;
        match self.inner.poll_fill(cx) {
            Poll::Ready(Ok(data)) if data.len() as u64 > left => Poll::Ready(Err(BodyError::TooLarge)),
            other => other,
        }
    }

    fn consume(&mut self, n: usize) {
        self.left = self.left.saturating_sub(n as u64);
        self.inner.consume(n);
    }

    fn left(&self) -> Option<u64> {
        self.inner.left()
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.inner.trailers()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::transform::encoding::testing::Pieces;
    use crate::transform::encoding::testing::drain;

    #[test]
    fn a_body_within_its_limit_passes() {
        for body in [Body::from(Bytes::from_static(b"12345")), Pieces::body(&[b"123", b"45"])] {
            assert_eq!(drain(Limited::over(body, 5)), (b"12345".to_vec(), None));
        }
        assert_eq!(drain(Limited::over(Body::Empty, 0)), (Vec::new(), None));
    }

    #[test]
    fn a_larger_one_breaks_off() {
        let known = Limited::over(Body::from(Bytes::from_static(b"123456")), 5);
        assert_eq!(drain(known), (Vec::new(), Some(BodyError::TooLarge)));
        let streamed = Limited::over(Pieces::body(&[b"123", b"45", b"6"]), 5);
        assert_eq!(drain(streamed), (b"12345".to_vec(), Some(BodyError::TooLarge)));
    }

    #[test]
    fn a_failure_below_is_not_hidden() {
        let cut = Limited::over(Pieces::cut(&[b"123"]), 5);
        assert_eq!(drain(cut), (b"123".to_vec(), Some(BodyError::Cut)));
    }
}
