//! A body whose bytes are copied, up to a bound, while somebody else reads it.

use std::task::Context;
use std::task::Poll;
use std::task::ready;

use bytes::Bytes;

use crate::http::Body;
use crate::http::BodyError;
use crate::http::Headers;
use crate::http::Source;

/// Copies what passes.
pub struct Tee<F: FnOnce(Option<Bytes>)> {
    inner: Body,
    copy: Vec<u8>,
    /// Bytes that are shown and copied, and that nobody took yet.
    shown: usize,
    most: usize,
    /// Told once, when the end is seen or the copy grows too large. Never for a body that broke off or was left unread.
    done: Option<F>,
}

impl<F: FnOnce(Option<Bytes>) + 'static> Tee<F> {
    /// `body`, of which `done` gets a copy at its end, or `None` where it has more than `most` bytes.
    pub fn over(body: Body, most: usize, done: F) -> Body {
        Body::stream(Self { inner: body, copy: Vec::new(), shown: 0, most, done: Some(done) })
    }
}

fn tell<F: FnOnce(Option<Bytes>)>(done: &mut Option<F>, copy: &mut Vec<u8>, whole: bool) {
    let copy = Bytes::from(std::mem::take(copy));
    if let Some(done) = done.take() {
        done(whole.then_some(copy));
    }
}

impl<F: FnOnce(Option<Bytes>)> Source for Tee<F> {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        let data = ready!(self.inner.poll_fill(cx))?;
        if self.done.is_some() {
            if data.is_empty() {
                tell(&mut self.done, &mut self.copy, true);
            } else if data.len() > self.shown {
                let fresh = &data[self.shown..];
                self.shown = data.len();
                if self.copy.len() + fresh.len() > self.most {
                    tell(&mut self.done, &mut self.copy, false);
                } else {
                    self.copy.extend_from_slice(fresh);
                }
            }
        }
        Poll::Ready(Ok(data))
    }

    fn consume(&mut self, n: usize) {
        self.inner.consume(n);
        self.shown = self.shown.saturating_sub(n);
        // Whoever knows the length does not ask for the end.
        if self.done.is_some() && self.inner.left() == Some(0) {
            tell(&mut self.done, &mut self.copy, true);
        }
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
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::transform::encoding::testing::Pieces;
    use crate::transform::encoding::testing::drain;

    type Told = Rc<RefCell<Vec<Option<Bytes>>>>;

    fn over(body: Body, most: usize) -> (Body, Told) {
        let told = Told::default();
        let telling = Rc::clone(&told);
        (Tee::over(body, most, move |copy| telling.borrow_mut().push(copy)), told)
    }

    #[test]
    fn the_copy_is_what_passed() {
        let (body, told) = over(Pieces::body(&[b"one ", b"two ", b"three"]), 13);
        assert_eq!(drain(body), (b"one two three".to_vec(), None));
        assert_eq!(*told.borrow(), [Some(Bytes::from_static(b"one two three"))]);
    }

    #[test]
    fn a_body_too_large_passes_all_the_same() {
        let (body, told) = over(Pieces::body(&[b"one ", b"two ", b"three"]), 12);
        assert_eq!(drain(body), (b"one two three".to_vec(), None));
        assert_eq!(*told.borrow(), [None]);
    }

    #[test]
    fn a_body_that_breaks_off_is_not_copied() {
        let (body, told) = over(Pieces::cut(&[b"one"]), 100);
        assert_eq!(drain(body).1, Some(BodyError::Cut));
        assert!(told.borrow().is_empty());
    }

    #[test]
    fn what_is_looked_at_twice_is_copied_once() {
        let (mut body, told) = over(Body::from(Bytes::from_static(b"abcdef")), 100);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        for taken in [1, 0, 2, 3] {
            assert!(body.poll_fill(&mut cx).is_ready());
            assert!(body.poll_fill(&mut cx).is_ready());
            body.consume(taken);
        }
        assert_eq!(*told.borrow(), [Some(Bytes::from_static(b"abcdef"))], "told at the last byte of a known length");
    }
}
