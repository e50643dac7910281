//! Frames counted beside the codec, which keeps most of them to itself: what a client asks of us in vain.
//!
//! | a client sends | what stops it |
//! |---|---|
//! | SETTINGS, PING, PRIORITY, WINDOW_UPDATE, RST_STREAM, unknown and empty DATA frames without end | [`Tally::is_flood`] |
//! | heads that do not end | [`Tally::in_block`], a deadline; their size: the codec |
//! | requests that it takes back at once | `Watch::in_vain` |
//! | CONTINUATION without end, lists of fields that unpack to megabytes | the codec |
//! | bodies nobody reads, windows it never opens | flow control, and the deadlines of every body |

use std::time::Duration;

use crate::clock::Moment;
use crate::downstream::preface;

/// What is known of a client's frames.
pub(super) struct Tally {
    /// Bytes of the connection preface still to come.
    preface: usize,
    head: [u8; HEAD],
    /// How much of `head` is there.
    have: usize,
    /// Bytes still to come of the frame under way.
    left: usize,
    block: Block,
    /// Frames that brought no work, less those that work has paid for.
    debt: u32,
    /// Up to when time has paid.
    paid: Moment,
}

/// A list of fields on its way.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Block {
    None,
    /// More frames of it will come.
    Open,
    /// Its last frame is under way.
    Last,
}

impl Tally {
    pub(super) fn new(now: Moment) -> Self {
        Self { preface: PREFACE, head: [0; HEAD], have: 0, left: 0, block: Block::None, debt: 0, paid: now }
    }

    /// These bytes came.
    pub(super) fn read(&mut self, mut bytes: &[u8], now: Moment) {
        self.rest(now);
        let skipped = self.preface.min(bytes.len());
        self.preface -= skipped;
        bytes = &bytes[skipped..];
        while !bytes.is_empty() {
            let taken = if self.left > 0 { self.pass(bytes.len()) } else { self.begin(bytes) };
            bytes = &bytes[taken..];
        }
    }

    /// So many bytes were sent: they may well be answered by two frames each time.
    pub(super) fn wrote(&mut self, n: usize) {
        self.pay(u32::try_from(n / WORTH).unwrap_or(u32::MAX).saturating_add(2));
    }

    /// Whether more frames asked for work than any use of the connection explains.
    pub(super) fn is_flood(&self) -> bool {
        self.debt > MOST
    }

    /// Whether a list of fields has begun and not ended.
    pub(super) fn in_block(&self) -> bool {
        self.block != Block::None
    }

    /// Over the payload of the frame under way.
    fn pass(&mut self, at_hand: usize) -> usize {
        let taken = self.left.min(at_hand);
        self.left -= taken;
        self.end();
        taken
    }

    fn begin(&mut self, bytes: &[u8]) -> usize {
        let taken = bytes.len().min(HEAD - self.have);
        self.head[self.have..self.have + taken].copy_from_slice(&bytes[..taken]);
        self.have += taken;
        if self.have == HEAD {
            self.have = 0;
            self.frame();
        }
        taken
    }

    /// A frame's head is complete (RFC 9113 §4.1).
    fn frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.head;
        self.left = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
        match kind {
            DATA if self.left > 0 => self.pay(2),
            HEADERS | CONTINUATION => {
                self.block = if flags & END_HEADERS == 0 { Block::Open } else { Block::Last };
                if kind == HEADERS {
                    self.pay(8);
                }
            }
            _ => self.debt = self.debt.saturating_add(1),
        }
        self.end();
    }

    fn end(&mut self) {
        if self.left == 0 && self.block == Block::Last {
            self.block = Block::None;
        }
    }

    fn pay(&mut self, frames: u32) {
        self.debt = self.debt.saturating_sub(frames);
    }

    /// A few frames a second are nothing: keep-alive, measuring.
    fn rest(&mut self, now: Moment) {
        let earned = now.since(self.paid).as_nanos() / EACH.as_nanos();
        if earned > 0 {
            self.pay(u32::try_from(earned).unwrap_or(u32::MAX));
            self.paid = now;
        }
    }
}

const PREFACE: usize = preface::PREFACE.len();
const HEAD: usize = 9;
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Frames without work that are borne at a time.
const MOST: u32 = 1000;
/// Bytes we send that explain one frame.
const WORTH: usize = 1024;
/// Time that explains one frame.
const EACH: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn started() -> Tally {
        let mut tally = Tally::new(Moment(0));
        tally.read(&[b'x'; PREFACE], Moment(0));
        tally
    }

    #[test]
    fn frames_without_work_add_up_and_work_pays_for_them() {
        let ping = frame(6, 0, &[0; 8]);
        let mut tally = started();
        for _ in 0..MOST {
            tally.read(&ping, Moment(0));
        }
        assert!(!tally.is_flood());
        tally.read(&ping, Moment(0));
        assert!(tally.is_flood());
        tally.read(&frame(HEADERS, END_HEADERS, b"head"), Moment(0));
        assert!(!tally.is_flood());
        for _ in 0..3 * MOST {
            tally.wrote(10);
            tally.read(&ping, Moment(0));
            tally.read(&frame(8, 0, &[0, 0, 0, 9]), Moment(0));
        }
        assert!(!tally.is_flood());
        for second in 0..2 * u64::from(MOST) {
            tally.read(&ping, Moment(second * 1_000_000_000));
        }
        assert!(!tally.is_flood());
    }

    #[test]
    fn empty_data_is_no_work_and_unknown_frames_are_none() {
        for kind in [DATA, 2, 3, 4, 5, 6, 7, 8, 10, 255] {
            let mut tally = started();
            for _ in 0..=MOST {
                tally.read(&frame(kind, 0, b""), Moment(0));
            }
            assert!(tally.is_flood(), "{kind}");
        }
        let mut tally = started();
        for _ in 0..10 * MOST {
            tally.read(&frame(DATA, 0, b"x"), Moment(0));
        }
        assert!(!tally.is_flood());
    }

    #[test]
    fn a_list_of_fields_ends_with_the_last_byte_of_its_last_frame() {
        let mut tally = started();
        let whole = frame(HEADERS, END_HEADERS, b"head");
        tally.read(&whole[..12], Moment(0));
        assert!(tally.in_block());
        tally.read(&whole[12..], Moment(0));
        assert!(!tally.in_block());
        tally.read(&frame(HEADERS, 0, b"he"), Moment(0));
        assert!(tally.in_block());
        tally.read(&frame(CONTINUATION, END_HEADERS, b""), Moment(0));
        assert!(!tally.in_block());
    }

    proptest! {
        #[test]
        fn pieces_count_like_the_whole(
            frames in proptest::collection::vec((0..12u8, any::<u8>(), 0..40usize), 0..60),
            piece in 1..50usize,
        ) {
            let bytes: Vec<u8> = frames.iter().flat_map(|&(kind, flags, n)| frame(kind, flags, &vec![0xff; n])).collect();
            let (mut whole, mut parts) = (started(), started());
            whole.read(&bytes, Moment(0));
            bytes.chunks(piece).for_each(|part| parts.read(part, Moment(0)));
            prop_assert_eq!((whole.debt, whole.in_block()), (parts.debt, parts.in_block()));
        }
    }
}
