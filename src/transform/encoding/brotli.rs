//! `br` (RFC 7932).

use brotli::BrotliDecompressStream;
use brotli::BrotliResult;
use brotli::BrotliState;
use brotli::enc::StandardAlloc;

use super::Corrupt;
use super::Step;

/// The content coding.
pub(super) struct Brotli {
    state: BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>,
    total: usize,
    done: bool,
}

impl Default for Brotli {
    fn default() -> Self {
        let alloc = StandardAlloc::default;
        Self { state: BrotliState::new_strict(alloc(), alloc(), alloc()), total: 0, done: false }
    }
}

impl Brotli {
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Corrupt> {
        if self.done {
            return Ok(Step { taken: 0, made: 0 });
        }
        let (mut left, mut taken, mut room, mut made) = (input.len(), 0, out.len(), 0);
        let total = &mut self.total;
        let result =
            BrotliDecompressStream(&mut left, &mut taken, input, &mut room, &mut made, out, total, &mut self.state);
        match result {
            BrotliResult::ResultFailure => return Err(Corrupt),
            BrotliResult::ResultSuccess => self.done = true,
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => {}
        }
        Ok(Step { taken, made })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.done
    }
}
