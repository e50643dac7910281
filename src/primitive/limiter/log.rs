//! The uses of a sliding window, in the order made: each by itself while there are few, near ones joined beyond.

/// When, and how many.
type Use = (u64, u64);

/// Times are nanoseconds. A joined use leaves when its last part does: never too early.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Log {
    uses: Vec<Use>,
}

impl Log {
    /// One that holds this already.
    pub(super) fn with(uses: impl IntoIterator<Item = Use>) -> Self {
        let mut log = Self::default();
        uses.into_iter().for_each(|(at, count)| log.push(at, count, u64::MAX, usize::MAX));
        log
    }

    /// What was used and has not left.
    pub(super) fn total(&self) -> u64 {
        self.uses.iter().fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }

    /// How many entries it takes.
    pub(super) fn len(&self) -> usize {
        self.uses.len()
    }

    pub(super) fn uses(&self) -> &[Use] {
        &self.uses
    }

    /// What lies a period or more back leaves.
    pub(super) fn settle(&mut self, now: u64, period: u64) {
        let gone = self.uses.iter().take_while(|(at, _)| now.saturating_sub(*at) >= period).count();
        if gone > 0 {
            self.uses.drain(..gone);
        }
    }

    /// Adds a use. With `room` entries there is an end to telling near ones apart.
    pub(super) fn push(&mut self, now: u64, count: u64, period: u64, room: usize) {
        // Fixed grains: what is joined stays within one, however often. A period touches `room - 1` of them.
        let near = (period / (room as u64).saturating_sub(2).max(1)).max(1);
        let crowded = self.uses.len() + 1 >= room;
        match self.uses.last_mut() {
            Some((at, known)) if *at >= now || (crowded && *at / near == now / near) => {
                (*at, *known) = (now.max(*at), known.saturating_add(count));
                return;
            }
            _ => {}
        }
        if self.uses.len() >= room {
            self.uses.dedup_by(|next, kept| {
                let same = next.0 / near == kept.0 / near;
                if same {
                    *kept = (next.0, kept.1.saturating_add(next.1));
                }
                same
            });
        }
        if self.uses.len() == self.uses.capacity() {
            self.uses.reserve_exact(self.uses.len().clamp(2, 16));
        }
        self.uses.push((now, count));
    }

    /// When so much of it will have left.
    pub(super) fn gone_at(&self, mut amount: u64, period: u64) -> u64 {
        let leaving = self.uses.iter().find(|(_, count)| {
            amount = amount.saturating_sub(*count);
            amount == 0
        });
        leaving.or_else(|| self.uses.last()).map_or(0, |(at, _)| at.saturating_add(period))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_uses_are_exact_and_many_are_joined_within_fixed_grains() {
        let mut log = Log::default();
        for at in 0..7 {
            log.push(at * 10, 1, 1000, 8);
        }
        assert_eq!((log.len(), log.total()), (7, 7));
        for at in 7..100 {
            log.settle(at * 10, 1000);
            log.push(at * 10, 1, 1000, 8);
            assert!(log.len() <= 8, "{log:?}");
        }
        assert_eq!(log.total(), 100);
        log.settle(1000, 1000);
        assert!(log.total() >= 99, "too early: {log:?}");
        log.settle(1000 + 1000 / 6, 1000);
        assert!(log.total() <= 99, "too late: {log:?}");
        log.settle(1990, 1000);
        assert_eq!((log.len(), log.total()), (0, 0));
    }
}
