//! Lots: a host drawn by its weight, without a look at every other.

/// A wheel on which each host has a part as large as its weight.
pub(super) struct Draw {
    count: usize,
    /// Where each host's part ends; empty where all weigh the same.
    ends: Box<[u64]>,
}

impl Draw {
    pub(super) fn new(weights: impl Iterator<Item = u32>) -> Self {
        let mut total = 0;
        let mut even = true;
        let mut first = None;
        let ends = weights.map(|weight| {
            even &= *first.get_or_insert(weight) == weight;
            total += u64::from(weight.max(1));
            total
        });
        let ends: Box<[u64]> = ends.collect();
        Self { count: ends.len(), ends: if even { Box::default() } else { ends } }
    }

    /// Whether all weigh the same.
    pub(super) fn is_even(&self) -> bool {
        self.ends.is_empty()
    }

    /// A host that `may` be asked, by weight.
    pub(super) fn one(&self, chance: &impl Fn() -> u64, may: impl Fn(usize) -> bool) -> Option<usize> {
        let drawn = self.at(below(chance(), self.total()));
        if may(drawn) {
            return Some(drawn);
        }
        // rare: a host that just failed this request was drawn again
        let allowed = || (0..self.count).filter(|&index| may(index));
        let mut ticket = below(chance(), allowed().map(|index| self.weight(index)).sum());
        for index in allowed() {
            match ticket.checked_sub(self.weight(index)) {
                None => return Some(index),
                Some(rest) => ticket = rest,
            }
        }
        None
    }

    /// Two different hosts, by weight; there must be two.
    pub(super) fn two(&self, chance: &impl Fn() -> u64) -> (usize, usize) {
        let first = self.at(below(chance(), self.total()));
        let (start, size) = (self.start(first), self.weight(first));
        let ticket = below(chance(), self.total() - size);
        (first, self.at(if ticket < start { ticket } else { ticket + size }))
    }

    fn total(&self) -> u64 {
        self.ends.last().copied().unwrap_or(self.count as u64)
    }

    fn start(&self, index: usize) -> u64 {
        if self.ends.is_empty() { index as u64 } else { index.checked_sub(1).map_or(0, |before| self.ends[before]) }
    }

    fn weight(&self, index: usize) -> u64 {
        if self.ends.is_empty() { 1 } else { self.ends[index] - self.start(index) }
    }

    /// Whose part `ticket` falls on.
    fn at(&self, ticket: u64) -> usize {
        let index = if self.ends.is_empty() {
            usize::try_from(ticket).unwrap_or(usize::MAX)
        } else {
            self.ends.partition_point(|&end| end <= ticket)
        };
        index.min(self.count - 1)
    }
}

/// `lot` as a share of all that can be drawn: 0 to below 1.
pub(crate) fn fraction(lot: u64) -> f64 {
    (lot >> 11) as f64 / (1_u64 << 53) as f64
}

/// `lot` mapped evenly onto `0..total`.
fn below(lot: u64, total: u64) -> u64 {
    #[allow(clippy::cast_possible_truncation, reason = "the upper half of a product with `total` is below `total`")]
    let ticket = ((u128::from(lot) * u128::from(total)) >> 64) as u64;
    ticket
}
