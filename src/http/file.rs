//! A file as a body: read piece by piece on threads that may block, no further ahead than somebody takes.

use std::fs::File;
use std::future::Future as _;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::task::Poll;
use std::task::ready;

use crate::clock;
use crate::clock::Aside;
use crate::http::Body;
use crate::http::BodyError;
use crate::http::Source;

/// `length` bytes of `file` from `from` on. A file that turns out shorter breaks the body off; it never looks complete.
pub fn body(file: File, from: u64, length: u64) -> Body {
    if length == 0 {
        return Body::Empty;
    }
    Body::stream(Reading { file: Arc::new(file), from, left: length, piece: Vec::new(), taken: 0, read: None })
}

/// A file as it is read.
struct Reading {
    file: Arc<File>,
    /// Where the next read begins.
    from: u64,
    /// Bytes that were not read yet.
    left: u64,
    /// What was read, of which `taken` bytes are gone.
    piece: Vec<u8>,
    taken: usize,
    /// The read under way.
    read: Option<Aside<io::Result<Vec<u8>>>>,
}

impl Source for Reading {
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<&[u8], BodyError>> {
        while self.taken == self.piece.len() && self.left > 0 {
            let read = match &mut self.read {
                Some(read) => read,
                None => {
                    let (file, from, mut piece) = (Arc::clone(&self.file), self.from, std::mem::take(&mut self.piece));
                    self.taken = 0;
                    #[allow(clippy::cast_possible_truncation, reason = "no more than a piece")]
                    let wanted = self.left.min(PIECE) as usize;
                    self.read.insert(clock::aside(move || {
                        piece.resize(wanted, 0);
                        let length = file.read_at(&mut piece, from)?;
                        piece.truncate(length);
                        Ok(piece)
                    }))
                }
            };
            let piece = ready!(Pin::new(read).poll(cx));
            self.read = None;
            match piece {
                Ok(Ok(piece)) if !piece.is_empty() => {
                    self.from += piece.len() as u64;
                    self.left -= piece.len() as u64;
                    self.piece = piece;
                }
                _ => return Poll::Ready(Err(BodyError::Cut)),
            }
        }
        Poll::Ready(Ok(&self.piece[self.taken..]))
    }

    fn consume(&mut self, n: usize) {
        self.taken = (self.taken + n).min(self.piece.len());
    }

    fn left(&self) -> Option<u64> {
        Some(self.left + (self.piece.len() - self.taken) as u64)
    }
}

/// Bytes read at a time.
const PIECE: u64 = 128 << 10;

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn run<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    fn file(text: &[u8]) -> File {
        static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
        let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("moongate-file-{}-{count}", std::process::id()));
        File::create(&path).expect("a file").write_all(text).expect("room");
        let file = File::options().read(true).write(true).open(&path).expect("a file");
        std::fs::remove_file(path).expect("it was there");
        file
    }

    #[test]
    fn a_part_is_read_in_pieces() {
        let text: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
        let mut body = body(file(&text), 5, 900_001);
        assert_eq!(body.left(), Some(900_001));
        let read = run(async { body.collect(1 << 20).await }).expect("all of it");
        assert_eq!(read, text[5..900_006]);
        assert_eq!(body.left(), Some(0));
        assert_eq!(super::body(file(b"x"), 0, 0).left(), Some(0));
    }

    #[test]
    fn a_file_that_was_cut_short_breaks_off() {
        let file = file(&vec![b'x'; 300_000]);
        let other = file.try_clone().expect("another handle");
        let mut body = body(file, 0, 300_000);
        run(async move {
            assert!(matches!(body.chunk().await, Some(Ok(_))));
            other.set_len(200_000).expect("shorter");
            while let Some(piece) = body.chunk().await {
                if let Err(error) = piece {
                    assert_eq!(error, BodyError::Cut);
                    return;
                }
            }
            panic!("it looked complete");
        });
    }
}
