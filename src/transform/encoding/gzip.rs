//! `gzip` (RFC 1952): members one after another, each with its checksum and length.

use flate2::Crc;

use super::Corrupt;
use super::Step;
use super::inflate::Inflate;

/// The content coding.
pub(super) struct Gzip {
    state: State,
    crc: Crc,
    /// A member was read to its end.
    whole: bool,
}

enum State {
    /// Bytes of a member's head so far.
    Head(Vec<u8>),
    Data(Box<Inflate>),
    /// Bytes of checksum and length so far.
    Tail(Vec<u8>),
}

impl Default for Gzip {
    fn default() -> Self {
        Self { state: State::Head(Vec::new()), crc: Crc::new(), whole: false }
    }
}

impl Gzip {
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Corrupt> {
        match &mut self.state {
            State::Head(head) => {
                let taken = take_head(head, input)?;
                if is_head(head)? {
                    self.state = State::Data(Box::new(Inflate::new(false)));
                    self.crc = Crc::new();
                }
                Ok(Step { taken, made: 0 })
            }
            State::Data(inflate) => {
                let step = inflate.step(input, out)?;
                self.crc.update(&out[..step.made]);
                if inflate.is_done() {
                    self.state = State::Tail(Vec::with_capacity(8));
                }
                Ok(step)
            }
            State::Tail(tail) => {
                let taken = input.len().min(8 - tail.len());
                tail.extend_from_slice(&input[..taken]);
                if let [a, b, c, d, e, f, g, h] = tail[..] {
                    let (sum, length) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
                    if sum != self.crc.sum() || length != self.crc.amount() {
                        return Err(Corrupt);
                    }
                    self.whole = true;
                    self.state = State::Head(Vec::new());
                }
                Ok(Step { taken, made: 0 })
            }
        }
    }

    pub(super) fn is_complete(&self) -> bool {
        self.whole && matches!(&self.state, State::Head(head) if head.is_empty())
    }
}

/// Appends of `input` as much as may belong to the head, a byte at a time where its length is open.
fn take_head(head: &mut Vec<u8>, input: &[u8]) -> Result<usize, Corrupt> {
    let mut taken = 0;
    while taken < input.len() && !is_head(head)? {
        head.push(input[taken]);
        taken += 1;
    }
    Ok(taken)
}

/// Whether these bytes are a whole head.
fn is_head(head: &[u8]) -> Result<bool, Corrupt> {
    let magic: &[u8] = &[0x1f, 0x8b, 8];
    if head.len() > LONGEST || !magic.starts_with(&head[..head.len().min(3)]) {
        return Err(Corrupt);
    }
    if head.len() < 10 {
        return Ok(false);
    }
    let flags = head[3];
    if flags & 0xe0 != 0 {
        return Err(Corrupt);
    }
    let mut at = 10;
    if flags & EXTRA != 0 {
        let Some(&[low, high]) = head.get(at..at + 2).and_then(|bytes| bytes.first_chunk()) else { return Ok(false) };
        at += 2 + usize::from(u16::from_le_bytes([low, high]));
    }
    for flag in [NAME, COMMENT] {
        if flags & flag != 0 {
            let Some(end) = head.get(at..).and_then(|rest| memchr::memchr(0, rest)) else { return Ok(false) };
            at += end + 1;
        }
    }
    if flags & HEAD_SUM != 0 {
        at += 2;
    }
    Ok(head.len() >= at)
}

const HEAD_SUM: u8 = 2;
const EXTRA: u8 = 4;
const NAME: u8 = 8;
const COMMENT: u8 = 16;
/// Extra field, name and comment; more is a joke.
const LONGEST: usize = 4096;
