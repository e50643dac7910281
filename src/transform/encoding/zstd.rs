//! `zstd` (RFC 8878), with the window that RFC 9659 allows.

use zstd::stream::raw::DParameter;
use zstd::stream::raw::Decoder;
use zstd::stream::raw::Operation;

use super::Corrupt;
use super::Step;

/// The content coding.
pub(super) struct Zstd {
    decoder: Decoder<'static>,
    /// Between two frames, at least one of them read.
    whole: bool,
}

impl Zstd {
    /// `None` when there is no memory for one.
    pub(super) fn new() -> Option<Self> {
        let mut decoder = Decoder::new().ok()?;
        decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).ok()?;
        Some(Self { decoder, whole: false })
    }

    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Corrupt> {
        // Between frames there is nothing held, and an empty input would begin a frame.
        if input.is_empty() && self.whole {
            return Ok(Step { taken: 0, made: 0 });
        }
        let status = self.decoder.run_on_buffers(input, out).map_err(|_| Corrupt)?;
        self.whole = status.remaining == 0;
        Ok(Step { taken: status.bytes_read, made: status.bytes_written })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.whole
    }
}

/// 8 MB.
const WINDOW_LOG: u32 = 23;
