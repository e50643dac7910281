//! Numbers as lower-case hex digits, eight at a time: ids are written on every request.

/// The digits of `value`, the most telling first.
#[inline]
pub fn eight(value: u32) -> [u8; 8] {
    const LANES: u64 = 0x000f_000f_000f_000f;
    // one byte of the value in every lane of two, its first digit in front
    let bytes = u64::from(value.swap_bytes());
    let bytes = (bytes | bytes << 16) & 0x0000_ffff_0000_ffff;
    let bytes = (bytes | bytes << 8) & 0x00ff_00ff_00ff_00ff;
    let digits = (bytes >> 4) & LANES | (bytes & LANES) << 8;
    // those from ten on are letters, which stand 39 further behind than digits would
    let letters = ((digits + 0x0606_0606_0606_0606) >> 4) & 0x0101_0101_0101_0101;
    (digits + 0x3030_3030_3030_3030 + letters * 39).to_le_bytes()
}

/// The digits of `value`, the most telling first.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "both halves are written")]
pub fn sixteen(value: u64) -> [u8; 16] {
    let mut out = [0; 16];
    out[..8].copy_from_slice(&eight((value >> 32) as u32));
    out[8..].copy_from_slice(&eight(value as u32));
    out
}

/// Digits as text. They stand where words do: the standard library then sees word by word that it is text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(align(8))]
pub struct Text<const N: usize>(pub [u8; N]);

impl<const N: usize> Text<N> {
    /// The text; empty for bytes that are none.
    #[inline]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

/// A UUIDv7 (RFC 9562 §5.7) of milliseconds since the Unix epoch and chance.
pub fn uuid7(millis: u64, chance: (u64, u64)) -> Text<36> {
    let high = sixteen(millis << 16 | 0x7000 | chance.0 & 0xfff);
    let low = sixteen(1 << 63 | chance.1 >> 2);
    let mut out = [b'-'; 36];
    out[..8].copy_from_slice(&high[..8]);
    out[9..13].copy_from_slice(&high[8..12]);
    out[14..18].copy_from_slice(&high[12..]);
    out[19..23].copy_from_slice(&low[..4]);
    out[24..].copy_from_slice(&low[4..]);
    Text(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_the_standard_library_writes_them() {
        let mut value: u64 = 0;
        for step in 0..10_000_u64 {
            assert_eq!(sixteen(value), *format!("{value:016x}").as_bytes(), "{value}");
            value = value.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(step | 1);
        }
        assert_eq!(eight(u32::MAX), *b"ffffffff");
        assert_eq!(eight(0x0123_89ab), *b"012389ab");
    }

    #[test]
    fn a_uuid_says_its_kind_and_its_time() {
        let text = uuid7(0x0123_4567_89ab, (u64::MAX, u64::MAX));
        assert_eq!(text.as_str(), "01234567-89ab-7fff-bfff-ffffffffffff");
        let id: uuid::Uuid = text.as_str().parse().unwrap();
        assert_eq!((id.get_version_num(), id.get_variant()), (7, uuid::Variant::RFC4122));
        assert_eq!(uuid7(1, (0, 0)).as_str(), "00000000-0001-7000-8000-000000000000");
    }
}
