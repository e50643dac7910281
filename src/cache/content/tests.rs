//! One writer, many readers.

use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;

use super::Content;
use super::Reading;
use crate::http::BodyError;
use crate::http::Source;

fn take(reader: &mut Reading) -> Poll<Result<Vec<u8>, BodyError>> {
    let mut cx = Context::from_waker(Waker::noop());
    let taken = match reader.poll_fill(&mut cx) {
        Poll::Ready(Ok(bytes)) => bytes.to_vec(),
        Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
        Poll::Pending => return Poll::Pending,
    };
    reader.consume(taken.len());
    Poll::Ready(Ok(taken))
}

fn got(text: &str) -> Poll<Result<Vec<u8>, BodyError>> {
    Poll::Ready(Ok(text.as_bytes().to_vec()))
}

#[test]
fn readers_see_every_byte_whenever_they_begin() {
    let content = Content::growing(None);
    let mut early = content.read().unwrap();
    assert_eq!(take(&mut early), Poll::Pending);
    content.push(Bytes::from_static(b"one"));
    assert_eq!(take(&mut early), got("one"));
    let mut late = content.read().unwrap();
    content.push(Bytes::from_static(b"two"));
    content.end(None);
    assert_eq!((take(&mut late), take(&mut late), take(&mut late)), (got("one"), got("two"), got("")));
    assert_eq!((take(&mut early), take(&mut early)), (got("two"), got("")));
    drop((early, late));
    assert_eq!(content.whole().unwrap(), "onetwo", "the pieces are joined when nobody reads them any more");
}

#[test]
fn a_body_that_broke_off_never_looks_complete() {
    let content = Content::growing(Some(10));
    let mut reader = content.read().unwrap();
    content.push(Bytes::from_static(b"half"));
    content.end(Some(BodyError::Cut));
    assert_eq!((take(&mut reader), take(&mut reader)), (got("half"), Poll::Ready(Err(BodyError::Cut))));
    assert_eq!(content.whole(), None);
}

#[test]
fn what_is_not_kept_is_let_go_behind_the_slowest_reader() {
    let content = Content::growing(None);
    let (mut quick, mut slow) = (content.read().unwrap(), content.read().unwrap());
    content.push(Bytes::from(vec![1; 100]));
    content.forget();
    content.push(Bytes::from(vec![2; 100]));
    let _ = (take(&mut quick), take(&mut quick));
    let mut cx = Context::from_waker(Waker::noop());
    assert!(content.poll_room(150, &mut cx).is_pending(), "the slow one is 200 bytes behind");
    assert!(content.read().is_some(), "nobody has passed the first piece, so it is still there");
    let _ = take(&mut slow);
    assert!(content.poll_room(150, &mut cx).is_ready());
    assert!(content.read().is_none(), "the first bytes are gone");
}

#[test]
fn a_reader_that_is_too_slow_gets_an_error_and_the_others_go_on() {
    let content = Content::growing(None);
    let (mut quick, mut slow) = (content.read().unwrap(), content.read().unwrap());
    content.forget();
    content.push(Bytes::from(vec![1; 100]));
    let _ = take(&mut quick);
    content.drop_slow(50);
    assert_eq!(take(&mut slow), Poll::Ready(Err(BodyError::Stalled)));
    assert_eq!(content.readers(), 1);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(content.poll_room(0, &mut cx).is_ready());
}

#[test]
fn the_length_is_known_when_it_was_announced_or_all_is_there() {
    assert_eq!(Content::growing(Some(7)).read().unwrap().left(), Some(7));
    let content = Content::growing(None);
    let reader = content.read().unwrap();
    assert_eq!(reader.left(), None);
    content.push(Bytes::from_static(b"abc"));
    content.end(None);
    assert_eq!(reader.left(), Some(3));
    assert_eq!(Content::complete(Bytes::from_static(b"abcd")).whole().unwrap(), "abcd");
}
