//! Hashes, HMAC, comparison in constant time, randomness.

use aws_lc_rs::constant_time;
use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::rand;
use md5::Digest;

/// A hash function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hash {
    /// SHA-256
    Sha256,
    /// SHA-384
    Sha384,
    /// SHA-512
    Sha512,
    /// SHA-1, for old protocols only.
    Sha1,
    /// MD5, for old protocols only.
    Md5,
}

impl Hash {
    /// A hash function by the name scripts use.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "sha256" => Self::Sha256,
            "sha384" => Self::Sha384,
            "sha512" => Self::Sha512,
            "sha1" => Self::Sha1,
            "md5" => Self::Md5,
            _ => return None,
        })
    }

    /// The hash of `bytes`.
    pub fn digest(self, bytes: &[u8]) -> Vec<u8> {
        let algorithm = match self {
            Self::Sha256 => &digest::SHA256,
            Self::Sha384 => &digest::SHA384,
            Self::Sha512 => &digest::SHA512,
            Self::Sha1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
            Self::Md5 => return md5::Md5::digest(bytes).to_vec(),
        };
        digest::digest(algorithm, bytes).as_ref().to_vec()
    }

    /// The HMAC of `bytes`; `None` with MD5.
    pub fn hmac(self, key: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let algorithm = match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Md5 => return None,
        };
        Some(hmac::sign(&hmac::Key::new(algorithm, key), bytes).as_ref().to_vec())
    }
}

/// Whether two texts are equal, in a time that depends on their lengths only.
pub fn equal(left: &[u8], right: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(left, right).is_ok()
}

/// `count` random bytes; `None` when the system has none, or more than [`MOST_RANDOM`] are asked for.
pub fn random(count: usize) -> Option<Vec<u8>> {
    if count > MOST_RANDOM {
        return None;
    }
    let mut bytes = vec![0; count];
    rand::fill(&mut bytes).ok().map(|()| bytes)
}

/// Most bytes [`random`] gives at once.
pub const MOST_RANDOM: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::primitive::codec::hex_encode;

    #[test]
    fn known_hashes() {
        for (name, expected) in [
            ("md5", "900150983cd24fb0d6963f7d28e17f72"),
            ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            ("sha256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ] {
            assert_eq!(hex_encode(Hash::named(name).expect(name).digest(b"abc")), expected);
        }
        assert_eq!(Hash::Sha512.digest(b"").len(), 64);
        assert_eq!(Hash::Sha384.digest(b"").len(), 48);
        assert_eq!(Hash::named("sha3"), None);
    }

    #[test]
    fn a_known_hmac() {
        // RFC 4231, test case 2.
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        let mac = Hash::Sha256.hmac(b"Jefe", b"what do ya want for nothing?").expect("SHA-256 has one");
        assert_eq!(hex_encode(mac), expected);
        assert_eq!(Hash::Md5.hmac(b"k", b"m"), None);
    }

    #[test]
    fn equality_and_randomness() {
        assert!(equal(b"a", b"a") && !equal(b"a", b"b") && !equal(b"a", b"ab") && equal(b"", b""));
        assert_ne!(random(32), random(32));
        assert_eq!((random(0).map(|bytes| bytes.len()), random(MOST_RANDOM + 1)), (Some(0), None));
    }
}
