//! The codings at work: bytes in, bytes out, a flush where somebody waits.

use std::io;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use zstd::stream::write::Encoder;
use zstd::zstd_safe::CParameter;

use super::Levels;
use crate::http::coding::Coding;

type Brotli = brotli::CompressorWriter<Vec<u8>>;

/// One coding of one body.
pub(super) enum Coder {
    Gzip(GzEncoder<Vec<u8>>),
    /// `None` once it was finished.
    Br(Option<Box<Brotli>>),
    Zstd(Encoder<'static, Vec<u8>>),
}

impl Coder {
    pub(super) fn new(coding: Coding, levels: Levels) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(GzEncoder::new(Vec::new(), Compression::new(levels.gzip))),
            Coding::Br => Self::Br(Some(Box::new(Brotli::new(Vec::new(), BUFFER, levels.br, WINDOW_LOG)))),
            Coding::Zstd => {
                let mut encoder = Encoder::new(Vec::new(), levels.zstd)?;
                encoder.set_parameter(CParameter::WindowLog(WINDOW_LOG))?;
                Self::Zstd(encoder)
            }
        })
    }

    /// A whole body at once; `None` when the coder failed.
    pub(super) fn whole(mut self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::with_capacity(plain.len() / 3);
        self.write(plain, &mut out).ok()?;
        self.finish(&mut out).ok()?;
        Some(out)
    }

    /// Takes all of `plain`; what is ready goes to `out`.
    pub(super) fn write(&mut self, plain: &[u8], out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(coder) => coder.write_all(plain)?,
            Self::Br(Some(coder)) => coder.write_all(plain)?,
            Self::Br(None) => {}
            Self::Zstd(coder) => coder.write_all(plain)?,
        }
        self.take(out);
        Ok(())
    }

    /// Everything taken so far becomes readable on the other side.
    pub(super) fn flush(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(coder) => coder.flush()?,
            Self::Br(Some(coder)) => coder.flush()?,
            Self::Br(None) => {}
            Self::Zstd(coder) => coder.flush()?,
        }
        self.take(out);
        Ok(())
    }

    /// The end of the body.
    pub(super) fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        match self {
            Self::Gzip(coder) => coder.try_finish()?,
            Self::Br(coder) => {
                if let Some(coder) = coder.take() {
                    out.extend_from_slice(&coder.into_inner());
                }
            }
            Self::Zstd(coder) => coder.do_finish()?,
        }
        self.take(out);
        Ok(())
    }

    fn take(&mut self, out: &mut Vec<u8>) {
        let made = match self {
            Self::Gzip(coder) => coder.get_mut(),
            Self::Br(Some(coder)) => coder.get_mut(),
            Self::Br(None) => return,
            Self::Zstd(coder) => coder.get_mut(),
        };
        out.append(made);
    }
}

/// 256 KB: what a window of 4 MB would gain on an answer is not worth its memory times every connection.
const WINDOW_LOG: u32 = 18;
/// What brotli gathers before it writes.
const BUFFER: usize = 4096;
