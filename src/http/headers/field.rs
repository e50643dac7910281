//! Where one field stands in the buffer of its head.

use std::ops::Range;

use super::Known;

/// Where a field stands in the buffer.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(super) name: (u32, u32),
    pub(super) value: (u32, u32),
    pub(super) known: Known,
    /// It stands in the buffer as on the wire: name, colon, space, value, CRLF.
    pub(super) whole: bool,
}

impl Field {
    /// A field whose name was looked up; `whole`: it is one piece, from the name to the CRLF after the value, with a single
    /// space after the colon.
    #[inline]
    pub(crate) fn new(known: Known, name: Range<usize>, value: Range<usize>, whole: bool) -> Self {
        Self { name: span(name), value: span(value), known, whole }
    }

    /// Which name it has.
    #[inline]
    pub(crate) fn known(self) -> Known {
        self.known
    }

    /// Where its name is.
    #[inline]
    pub(crate) fn name(self) -> Range<usize> {
        range(self.name)
    }

    /// Where its value is.
    #[inline]
    pub(crate) fn value(self) -> Range<usize> {
        range(self.value)
    }

    /// The same field of a line that begins so much later.
    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "a head is bounded far below 4 GiB")]
    pub(crate) fn later(mut self, by: usize) -> Self {
        self.name.0 += by as u32;
        self.value.0 += by as u32;
        self
    }

    /// The same field of a line that begins so much earlier.
    #[allow(clippy::cast_possible_truncation, reason = "a head is bounded far below 4 GiB")]
    pub(crate) fn earlier(mut self, by: usize) -> Self {
        self.name.0 -= by as u32;
        self.value.0 -= by as u32;
        self
    }
}

pub(super) fn range(place: (u32, u32)) -> Range<usize> {
    place.0 as usize..(place.0 + place.1) as usize
}

#[allow(clippy::cast_possible_truncation, reason = "a head is bounded far below 4 GiB")]
pub(super) fn span(range: Range<usize>) -> (u32, u32) {
    (range.start as u32, range.len() as u32)
}
