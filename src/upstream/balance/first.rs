//! The first host that may be asked.

/// The lowest index that may be asked.
pub(super) fn pick(count: usize, may: &impl Fn(usize) -> bool) -> Option<usize> {
    (0..count).find(|&index| may(index))
}
