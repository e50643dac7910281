//! A body that is read by many while it arrives: one writer, readers on every worker, one copy of the bytes.

use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::Waker;

use bytes::Bytes;
use bytes::BytesMut;
use parking_lot::Mutex;
use slab::Slab;

use crate::http::BodyError;
use crate::http::Source;

/// The bytes of an answer, complete or growing. Cheap to share.
pub struct Content {
    inner: Mutex<Inner>,
}

struct Inner {
    /// What has arrived; pieces that every reader has passed are empty once nothing is stored any more.
    pieces: Vec<Bytes>,
    /// Bytes that arrived.
    length: usize,
    /// The length the answer announced.
    announced: Option<u64>,
    state: State,
    /// Whether the bytes are kept for readers to come.
    kept: bool,
    readers: Slab<Reader>,
    /// The writer, while it waits for the slowest reader.
    writer: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Growing,
    Complete,
    Broken(BodyError),
}

struct Reader {
    /// The piece it reads next.
    at: usize,
    /// Bytes it has taken.
    taken: usize,
    waker: Option<Waker>,
    /// It was too slow for the others.
    dropped: bool,
}

impl Content {
    /// Nothing yet, of an answer that may have announced its length.
    pub fn growing(announced: Option<u64>) -> Arc<Self> {
        Self::of(Vec::new(), announced, State::Growing)
    }

    /// All of it.
    pub fn complete(bytes: Bytes) -> Arc<Self> {
        let length = bytes.len() as u64;
        Self::of(vec![bytes], Some(length), State::Complete)
    }

    fn of(pieces: Vec<Bytes>, announced: Option<u64>, state: State) -> Arc<Self> {
        let length = pieces.iter().map(Bytes::len).sum();
        let readers = Slab::new();
        Arc::new(Self {
            inner: Mutex::new(Inner { pieces, length, announced, state, kept: true, readers, writer: None }),
        })
    }

    /// The whole body, once it is complete.
    pub fn whole(&self) -> Option<Bytes> {
        let inner = self.inner.lock();
        match inner.pieces.as_slice() {
            [] if inner.state == State::Complete => Some(Bytes::new()),
            [whole] if inner.state == State::Complete && inner.kept => Some(whole.clone()),
            _ => None,
        }
    }

    /// How long it is: what has arrived, or what was announced.
    pub fn length(&self) -> Option<u64> {
        let inner = self.inner.lock();
        if inner.state == State::Complete { Some(inner.length as u64) } else { inner.announced }
    }

    /// How many are reading.
    pub fn readers(&self) -> usize {
        self.inner.lock().readers.iter().filter(|(_, reader)| !reader.dropped).count()
    }

    /// A reader from the first byte on; `None` when those bytes are gone.
    pub fn read(self: &Arc<Self>) -> Option<Reading> {
        let mut inner = self.inner.lock();
        if !inner.kept && inner.pieces.first().is_some_and(Bytes::is_empty) {
            return None;
        }
        let id = inner.readers.insert(Reader { at: 0, taken: 0, waker: None, dropped: false });
        Some(Reading { content: Arc::clone(self), id, current: Bytes::new() })
    }

    /// Adds bytes for everyone.
    pub fn push(&self, bytes: Bytes) {
        let mut inner = self.inner.lock();
        inner.length += bytes.len();
        inner.pieces.push(bytes);
        inner.wake();
    }

    /// It ends here, or broke off.
    pub fn end(&self, broken: Option<BodyError>) {
        let mut inner = self.inner.lock();
        inner.state = broken.map_or(State::Complete, State::Broken);
        // One piece from now on: later readers take it as it is, without a copy.
        if inner.kept && inner.state == State::Complete && inner.pieces.len() > 1 && inner.readers.is_empty() {
            inner.join();
        }
        inner.wake();
    }

    /// Nothing is kept for readers to come: what the present ones have passed is let go.
    pub fn forget(&self) {
        let mut inner = self.inner.lock();
        inner.kept = false;
        inner.sweep();
    }

    /// How many bytes arrived.
    pub fn arrived(&self) -> usize {
        self.inner.lock().length
    }

    /// Ready when the slowest reader is at most `window` bytes behind, or nobody reads.
    pub fn poll_room(&self, window: usize, cx: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.inner.lock();
        if inner.behind() <= window {
            return Poll::Ready(());
        }
        inner.writer = Some(cx.waker().clone());
        Poll::Pending
    }

    /// The readers that are more than `window` bytes behind get no more.
    pub fn drop_slow(&self, window: usize) {
        let mut inner = self.inner.lock();
        let length = inner.length;
        for (_, reader) in &mut inner.readers {
            reader.dropped |= length - reader.taken > window;
        }
        inner.sweep();
        inner.wake();
    }
}

impl Inner {
    fn wake(&mut self) {
        for (_, reader) in &mut self.readers {
            if let Some(waker) = reader.waker.take() {
                waker.wake();
            }
        }
    }

    /// How many bytes the slowest reader has still to take.
    fn behind(&self) -> usize {
        let slowest = self.readers.iter().filter(|(_, reader)| !reader.dropped).map(|(_, reader)| reader.taken).min();
        slowest.map_or(0, |taken| self.length - taken)
    }

    fn sweep(&mut self) {
        if !self.kept {
            let passed = self.readers.iter().filter(|(_, reader)| !reader.dropped).map(|(_, reader)| reader.at).min();
            let passed = passed.unwrap_or(self.pieces.len());
            for piece in self.pieces.iter_mut().take(passed).rev().take_while(|piece| !piece.is_empty()) {
                *piece = Bytes::new();
            }
        }
    }

    fn join(&mut self) {
        let mut whole = BytesMut::with_capacity(self.length);
        for piece in &self.pieces {
            whole.extend_from_slice(piece);
        }
        self.pieces = vec![whole.freeze()];
    }
}

/// One reader of a body.
pub struct Reading {
    content: Arc<Content>,
    id: usize,
    current: Bytes,
}

impl Source for Reading {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        if self.current.is_empty() {
            let mut guard = self.content.inner.lock();
            let inner = &mut *guard;
            let reader = &mut inner.readers[self.id];
            if reader.dropped {
                return Poll::Ready(Err(BodyError::Stalled));
            }
            match (inner.pieces.get(reader.at), inner.state) {
                (Some(piece), _) => {
                    self.current = piece.clone();
                    reader.at += 1;
                    inner.sweep();
                }
                (None, State::Complete) => {}
                (None, State::Broken(error)) => return Poll::Ready(Err(error)),
                (None, State::Growing) => {
                    reader.waker = Some(cx.waker().clone());
                    return Poll::Pending;
                }
            }
        }
        Poll::Ready(Ok(&self.current))
    }

    fn consume(&mut self, n: usize) {
        let _ = self.current.split_to(n.min(self.current.len()));
        let mut inner = self.content.inner.lock();
        inner.readers[self.id].taken += n;
        if let Some(writer) = inner.writer.take() {
            writer.wake();
        }
    }

    fn left(&self) -> Option<u64> {
        let inner = self.content.inner.lock();
        let length = if inner.state == State::Complete { Some(inner.length as u64) } else { inner.announced };
        length.map(|length| length.saturating_sub(inner.readers[self.id].taken as u64))
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut inner = self.content.inner.lock();
        inner.readers.remove(self.id);
        inner.sweep();
        if inner.readers.is_empty() && inner.kept && inner.state == State::Complete && inner.pieces.len() > 1 {
            inner.join();
        }
        if let Some(writer) = inner.writer.take() {
            writer.wake();
        }
    }
}

#[cfg(test)]
mod tests;
