//! Stable splits: the same key gets the same variant on every gateway, and raising a share only adds keys to it.

use aws_lc_rs::digest;

/// Variants with their weights, laid end to end on a line in the order given.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    salt: String,
    /// Where each variant ends on the line of length 1.
    ends: Vec<f64>,
}

/// Weights that are no split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// A weight that is negative or no number.
    #[error("a weight is a number, 0 or more")]
    Weight,
    /// Nothing has weight.
    #[error("the weights add up to nothing")]
    Empty,
}

impl Split {
    /// A split; two with different salts choose independently of each other.
    pub fn new(salt: &str, weights: &[f64]) -> Result<Self, SplitError> {
        if weights.iter().any(|weight| !weight.is_finite() || *weight < 0.0) {
            return Err(SplitError::Weight);
        }
        let total: f64 = weights.iter().sum();
        if total <= 0.0 || !total.is_finite() {
            return Err(SplitError::Empty);
        }
        let mut sum = 0.0;
        let ends = weights.iter().map(|weight| {
            sum += weight;
            sum / total
        });
        Ok(Self { salt: salt.to_owned(), ends: ends.collect() })
    }

    /// The index of the variant that `key` gets.
    pub fn pick(&self, key: &str) -> usize {
        let point = self.point(key);
        let found = self.ends.iter().position(|end| point < *end);
        // What rounding leaves beyond the last end belongs to the last variant that has weight.
        found.unwrap_or_else(|| self.ends.partition_point(|end| *end < self.ends[self.ends.len() - 1]))
    }

    /// Where a key lies on the line, 0 to below 1: the same in every process and version.
    fn point(&self, key: &str) -> f64 {
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&(self.salt.len() as u64).to_be_bytes());
        hash.update(self.salt.as_bytes());
        hash.update(key.as_bytes());
        let hash = hash.finish();
        let head = hash.as_ref()[..8].iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        (head >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picks(split: &Split) -> Vec<usize> {
        (0..10_000).map(|n| split.pick(&format!("user{n}"))).collect()
    }

    #[test]
    fn raising_a_share_only_adds_users() {
        let split = |stable, canary| picks(&Split::new("exp1", &[stable, canary]).expect("weights"));
        let (five, ten, all) = (split(95.0, 5.0), split(90.0, 10.0), split(0.0, 1.0));
        assert!(five.iter().zip(&ten).all(|(before, after)| before <= after));
        assert!(ten.iter().zip(&all).all(|(before, after)| before <= after));
        let share = |picks: &[usize]| picks.iter().filter(|pick| **pick == 1).count();
        assert!((400..600).contains(&share(&five)) && (900..1100).contains(&share(&ten)) && share(&all) == 10_000);
    }

    #[test]
    fn another_salt_chooses_independently() {
        let split = |salt| picks(&Split::new(salt, &[1.0, 1.0]).expect("weights"));
        let same = split("a").iter().zip(&split("b")).filter(|(left, right)| left == right).count();
        assert!((4700..5300).contains(&same), "{same}");
    }

    #[test]
    fn a_key_stays_where_it_was_in_every_version() {
        let split = Split::new("exp1", &[1.0; 1000]).expect("weights");
        assert_eq!(["u1", "u2", "u3"].map(|key| split.pick(key)), PINNED);
    }

    /// Changing these moves every user of every split.
    const PINNED: [usize; 3] = [662, 121, 65];

    #[test]
    fn weights_that_are_none() {
        assert_eq!(Split::new("", &[]), Err(SplitError::Empty));
        assert_eq!(Split::new("", &[0.0, 0.0]), Err(SplitError::Empty));
        assert_eq!(Split::new("", &[1.0, -1.0]), Err(SplitError::Weight));
        assert_eq!(Split::new("", &[f64::NAN]), Err(SplitError::Weight));
        let last = Split::new("", &[1.0, 0.0]).expect("weights");
        assert!((0..1000).all(|n| last.pick(&n.to_string()) == 0));
    }
}
