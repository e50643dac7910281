//! A body that another is made of while it passes: what content codings put on and taken off have in common.

use std::task::Context;
use std::task::Poll;
use std::task::ready;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;

/// What makes one body of another, a piece at a time.
pub(super) trait Recode {
    /// Takes of `inner` until there is something in `out`, which is empty, or the end is known.
    fn poll_step(
        &mut self,
        inner: &mut Body,
        out: &mut Vec<u8>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Progress, BodyError>>;
}

/// What a step came to.
pub(super) enum Progress {
    /// There is something to show.
    More,
    /// What is there is the last of it.
    End,
}

/// The body that is made.
pub(super) struct Recoded<R> {
    inner: Body,
    recode: R,
    /// Bytes that nobody took yet begin at `at`.
    out: Vec<u8>,
    at: usize,
    end: Option<Result<(), BodyError>>,
}

impl<R: Recode + 'static> Recoded<R> {
    /// What `recode` makes of `inner`.
    pub(super) fn body(inner: Body, recode: R) -> Body {
        Body::stream(Self { inner, recode, out: Vec::new(), at: 0, end: None })
    }
}

impl<R: Recode> Source for Recoded<R> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.at == self.out.len() && self.end.is_none() {
            self.out.clear();
            self.at = 0;
            match ready!(self.recode.poll_step(&mut self.inner, &mut self.out, cx)) {
                Ok(Progress::More) => {}
                Ok(Progress::End) => self.end = Some(Ok(())),
                Err(error) => self.end = Some(Err(error)),
            }
        }
        match self.end {
            Some(Err(error)) if self.at == self.out.len() => Poll::Ready(Err(error)),
            _ => Poll::Ready(Ok(&self.out[self.at..])),
        }
    }

    fn consume(&mut self, n: usize) {
        self.at = (self.at + n).min(self.out.len());
    }

    fn trailers(&mut self) -> Option<Headers> {
        self.inner.trailers()
    }
}
