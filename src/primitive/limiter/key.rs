//! Keys as 128 bits: SipHash-2-4 under a secret of the limiter, so that nobody can aim at another's counter.

use crate::primitive::chance;

/// What a counter is found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key(pub u64, pub u64);

/// The secret of a limiter's keys.
pub(super) type Secret = [u64; 2];

/// A secret that nobody knows.
pub(super) fn secret() -> Secret {
    [chance::unknown(), chance::unknown()]
}

impl Key {
    /// The key that `name` stands for; keys of different `kind` never meet.
    pub(super) fn of(secret: &Secret, kind: u64, name: &[u8]) -> Self {
        let mut v = [
            secret[0] ^ kind ^ 0x736f_6d65_7073_6575,
            secret[1] ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            secret[0] ^ kind ^ 0x6c79_6765_6e65_7261,
            secret[1] ^ 0x7465_6462_7974_6573,
        ];
        let (words, rest) = name.as_chunks::<8>();
        for word in words {
            absorb(&mut v, u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = name.len().to_le_bytes()[0];
        absorb(&mut v, u64::from_le_bytes(last));
        v[2] ^= 0xee;
        (0..4).for_each(|_| round(&mut v));
        let first = v[0] ^ v[1] ^ v[2] ^ v[3];
        v[1] ^= 0xdd;
        (0..4).for_each(|_| round(&mut v));
        Self(first, v[0] ^ v[1] ^ v[2] ^ v[3])
    }
}

fn absorb(v: &mut [u64; 4], word: u64) {
    v[3] ^= word;
    round(v);
    round(v);
    v[0] ^= word;
}

#[inline]
fn round(v: &mut [u64; 4]) {
    v[0] = v[0].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(13) ^ v[0];
    v[0] = v[0].rotate_left(32);
    v[2] = v[2].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(16) ^ v[2];
    v[0] = v[0].wrapping_add(v[3]);
    v[3] = v[3].rotate_left(21) ^ v[0];
    v[2] = v[2].wrapping_add(v[1]);
    v[1] = v[1].rotate_left(17) ^ v[2];
    v[2] = v[2].rotate_left(32);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the reference implementation's `vectors_sip128`: key 00 01 … 0f, messages of 0 and 1 bytes.
    #[test]
    fn it_is_siphash() {
        let secret = [0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908];
        let hex = |key: Key| format!("{:016x}{:016x}", key.0.swap_bytes(), key.1.swap_bytes());
        assert_eq!(hex(Key::of(&secret, 0, b"")), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hex(Key::of(&secret, 0, &[0])), "da87c1d86b99af44347659119b22fc45");
        assert_ne!(Key::of(&secret, 1, b""), Key::of(&secret, 0, b""));
    }
}
