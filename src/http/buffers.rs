//! Buffers that go from hand to hand: an idle connection holds none.

use std::cell::RefCell;
use std::rc::Rc;

/// One worker's spare buffers.
#[derive(Clone, Default)]
pub struct Buffers(Rc<RefCell<Vec<Vec<u8>>>>);

impl Buffers {
    /// Capacity a fresh buffer has.
    pub const SIZE: usize = 16 << 10;
    /// Buffers that grew beyond this are freed, not kept, and so are smaller ones than `SIZE`.
    const LARGEST: usize = 64 << 10;
    /// Spare buffers kept.
    const KEPT: usize = 256;

    /// An empty buffer.
    pub fn take(&self) -> Vec<u8> {
        self.0.borrow_mut().pop().unwrap_or_else(|| Vec::with_capacity(Self::SIZE))
    }

    /// How many are at hand.
    pub fn spare(&self) -> usize {
        self.0.borrow().len()
    }

    /// Gives a buffer back.
    pub fn give(&self, mut buffer: Vec<u8>) {
        let mut spare = self.0.borrow_mut();
        if (Self::SIZE..=Self::LARGEST).contains(&buffer.capacity()) && spare.len() < Self::KEPT {
            buffer.clear();
            spare.push(buffer);
        }
    }
}
