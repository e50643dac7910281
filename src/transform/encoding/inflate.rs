//! `deflate`: the zlib format, and the bare one that some servers send under the same name.

use flate2::Decompress;
use flate2::FlushDecompress;
use flate2::Status;

use super::Corrupt;
use super::Step;

/// DEFLATE data without a wrapper, or in zlib's.
pub(super) struct Inflate {
    state: Decompress,
    done: bool,
}

impl Inflate {
    pub(super) fn new(zlib: bool) -> Self {
        Self { state: Decompress::new(zlib), done: false }
    }

    /// Whether the last block was read.
    pub(super) fn is_done(&self) -> bool {
        self.done
    }

    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Corrupt> {
        if self.done {
            return Ok(Step { taken: 0, made: 0 });
        }
        let (before_in, before_out) = (self.state.total_in(), self.state.total_out());
        let status = self.state.decompress(input, out, FlushDecompress::None).map_err(|_| Corrupt)?;
        self.done = status == Status::StreamEnd;
        let count = |total: u64, before: u64| usize::try_from(total - before).unwrap_or(usize::MAX);
        Ok(Step { taken: count(self.state.total_in(), before_in), made: count(self.state.total_out(), before_out) })
    }
}

/// The content coding.
#[derive(Default)]
pub(super) struct Deflate {
    /// The first byte, while the second is awaited.
    first: Option<u8>,
    inflate: Option<Inflate>,
}

impl Deflate {
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Corrupt> {
        if let Some(inflate) = &mut self.inflate {
            return inflate.step(input, out);
        }
        let Some(&next) = input.first() else { return Ok(Step { taken: 0, made: 0 }) };
        let Some(first) = self.first else {
            self.first = Some(next);
            return Ok(Step { taken: 1, made: 0 });
        };
        let is_zlib = first & 0x0f == 8 && u16::from_be_bytes([first, next]).is_multiple_of(31);
        let inflate = self.inflate.insert(Inflate::new(is_zlib));
        let made = inflate.step(&[first], out)?.made;
        let step = inflate.step(input, &mut out[made..])?;
        Ok(Step { taken: step.taken, made: made + step.made })
    }

    pub(super) fn is_complete(&self) -> bool {
        self.inflate.as_ref().is_some_and(Inflate::is_done)
    }
}
