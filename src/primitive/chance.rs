//! Choices by chance: the same numbers make the same choices. And numbers that nobody knows, to begin with.

/// Whether a request belongs to a share (0 to 1) of all, by 64 random bits.
pub fn falls(share: f64, random: u64) -> bool {
    #[allow(clippy::cast_precision_loss, reason = "53 bits are what a double holds")]
    let point = (random >> 11) as f64 / (1_u64 << 53) as f64;
    point < share
}

/// A number from the system that nobody knows. Not from the cryptographic library: the first time a thread asks it, it
/// gathers entropy for a tenth of a second, and a gateway that starts, or a machine or a limiter made between requests,
/// has no such time.
pub fn unknown() -> u64 {
    // The bits of either half that say which kind of UUID this is meet random ones of the other.
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    high ^ low
}

#[cfg(test)]
mod tests {
    use super::falls;

    #[test]
    fn a_share_is_what_it_says() {
        assert!(!falls(0.0, 0) && falls(1.0, u64::MAX));
        assert!(falls(0.5, u64::MAX / 2) && !falls(0.5, u64::MAX / 2 + 1));
        let seed = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let hits = (0..10_000).filter(|n| falls(0.2, seed(*n))).count();
        assert!((1900..2100).contains(&hits), "{hits}");
    }
}
