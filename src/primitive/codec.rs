//! Base64 (both alphabets) and hexadecimal.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;

/// A text that is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not {what}: {why}")]
pub struct CodecError {
    what: &'static str,
    why: String,
}

/// Base64 with padding.
pub fn base64_encode(bytes: impl AsRef<[u8]>) -> String {
    STANDARD.encode(bytes)
}

/// Base64; padding may be missing.
pub fn base64_decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, CodecError> {
    STANDARD.decode(text).map_err(|error| CodecError { what: "base64", why: error.to_string().to_lowercase() })
}

/// Base64 for URLs, without padding.
pub fn base64url_encode(bytes: impl AsRef<[u8]>) -> String {
    URL.encode(bytes)
}

/// Base64 for URLs; padding may be there.
pub fn base64url_decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, CodecError> {
    URL.decode(text).map_err(|error| CodecError { what: "base64url", why: error.to_string().to_lowercase() })
}

/// Hexadecimal, lower case.
pub fn hex_encode(bytes: impl AsRef<[u8]>) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let pairs = bytes.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    pairs.map(|digit| char::from(DIGITS[usize::from(digit)])).collect()
}

/// Hexadecimal, either case.
pub fn hex_decode(text: impl AsRef<[u8]>) -> Result<Vec<u8>, CodecError> {
    let text = text.as_ref();
    let fault = |why: String| CodecError { what: "hexadecimal", why };
    if !text.len().is_multiple_of(2) {
        return Err(fault("an odd number of digits".to_owned()));
    }
    let digit = |place: usize| {
        let value = char::from(text[place]).to_digit(16).ok_or_else(|| fault(format!("no digit at offset {place}")))?;
        Ok(u8::try_from(value).expect("a digit is below 16"))
    };
    (0..text.len()).step_by(2).map(|place| Ok(digit(place)? << 4 | digit(place + 1)?)).collect()
}

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT.with_encode_padding(false));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        assert_eq!(base64_encode(b"ab?>"), "YWI/Pg==");
        assert_eq!(base64url_encode(b"ab?>"), "YWI_Pg");
        assert_eq!(hex_encode([0, 0xab, 0xff]), "00abff");
        assert_eq!(hex_decode("00ABff"), Ok(vec![0, 0xab, 0xff]));
        for text in ["YWI/Pg==", "YWI/Pg"] {
            assert_eq!(base64_decode(text).as_deref(), Ok(&b"ab?>"[..]));
            assert_eq!(base64url_decode(text.replace('/', "_")).as_deref(), Ok(&b"ab?>"[..]));
        }
    }

    #[test]
    fn what_is_not_encoded_is_refused() {
        for text in ["YWI_Pg==", "Y", "YWI/Pg= =", "é"] {
            assert!(base64_decode(text).is_err(), "{text}");
        }
        assert!(base64url_decode("YWI/").is_err());
        for text in ["abc", "zz", "é", "+1"] {
            assert!(hex_decode(text).is_err(), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in proptest::collection::vec(0u8.., 0..40)) {
            proptest::prop_assert_eq!(base64_decode(base64_encode(&bytes)), Ok(bytes.clone()));
            proptest::prop_assert_eq!(base64url_decode(base64url_encode(&bytes)), Ok(bytes.clone()));
            proptest::prop_assert_eq!(hex_decode(hex_encode(&bytes)), Ok(bytes.clone()));
        }
    }
}
