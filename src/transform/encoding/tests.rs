use std::io::Write;

use bytes::Bytes;
use flate2::Compression;
use proptest::prelude::*;

use super::testing::Pieces;
use super::testing::drain;
use super::*;

const CODINGS: [&str; 5] = ["gzip", "deflate", "raw", "br", "zstd"];

fn encode(coding: &str, plain: &[u8]) -> Vec<u8> {
    let level = Compression::default();
    match coding {
        "gzip" => {
            let mut coder = flate2::GzBuilder::new().filename("f").comment("c").extra([1, 2]).write(Vec::new(), level);
            coder.write_all(plain).expect("memory");
            coder.finish().expect("memory")
        }
        "deflate" => {
            let mut coder = flate2::write::ZlibEncoder::new(Vec::new(), level);
            coder.write_all(plain).expect("memory");
            coder.finish().expect("memory")
        }
        "raw" => {
            let mut coder = flate2::write::DeflateEncoder::new(Vec::new(), level);
            coder.write_all(plain).expect("memory");
            coder.finish().expect("memory")
        }
        "br" => {
            let mut coder = ::brotli::CompressorWriter::new(Vec::new(), 4096, 5, 20);
            coder.write_all(plain).expect("memory");
            coder.into_inner()
        }
        _ => ::zstd::encode_all(plain, 3).expect("memory"),
    }
}

fn field(coding: &str) -> &str {
    if coding == "raw" { "deflate" } else { coding }
}

fn unfold(coding: &str, coded: &[u8], piece: usize, limits: Limits) -> (Vec<u8>, Option<BodyError>) {
    let pieces: Vec<&[u8]> = coded.chunks(piece.max(1)).collect();
    drain(decode(Pieces::body(&pieces), field(coding), limits).expect("a known coding"))
}

fn text() -> Vec<u8> {
    (0..20_000).flat_map(|n| format!("line {} ", n * 7919 % 1000).into_bytes()).collect()
}

#[test]
fn every_coding_gives_back_what_went_in_whatever_the_pieces() {
    for coding in CODINGS {
        for plain in [Vec::new(), b"x".to_vec(), text()] {
            let coded = encode(coding, &plain);
            for piece in [1, 7, 1000, usize::MAX] {
                let (out, error) = unfold(coding, &coded, piece, Limits::default());
                assert_eq!(error, None, "{coding} in pieces of {piece}");
                assert!(out == plain, "{coding} in pieces of {piece}: {} bytes of {}", out.len(), plain.len());
            }
        }
    }
}

#[test]
fn cut_short_is_never_passed_off_as_complete() {
    for coding in CODINGS {
        let coded = encode(coding, b"some text that is long enough to be cut in many places");
        for length in 0..coded.len() {
            let (_, error) = unfold(coding, &coded[..length], 5, Limits::default());
            assert_eq!(error, Some(BodyError::Coding), "{coding} cut at {length} of {}", coded.len());
        }
    }
}

#[test]
fn corrupt_data_and_garbage_behind_it_are_told() {
    for coding in CODINGS {
        let coded = encode(coding, &text());
        let mut garbage = coded.clone();
        garbage.extend_from_slice(b"garbage");
        assert_eq!(unfold(coding, &garbage, 100, Limits::default()).1, Some(BodyError::Coding), "{coding}");
    }
    let mut gzip = encode("gzip", &text());
    let last = gzip.len() - 6;
    gzip[last] ^= 1;
    assert_eq!(unfold("gzip", &gzip, 100, Limits::default()).1, Some(BodyError::Coding), "the checksum");
    assert_eq!(unfold("gzip", b"plain text", 100, Limits::default()).1, Some(BodyError::Coding));
}

#[test]
fn members_and_frames_one_after_another() {
    for coding in ["gzip", "zstd"] {
        let both = [encode(coding, b"one "), encode(coding, b"two")].concat();
        assert_eq!(unfold(coding, &both, 3, Limits::default()), (b"one two".to_vec(), None), "{coding}");
    }
}

#[test]
fn several_codings_come_off_last_first() {
    let coded = encode("br", &encode("gzip", b"twice"));
    let body = decode(Body::from(Bytes::from(coded)), "identity, GZIP , br", Limits::default());
    assert_eq!(drain(body.expect("known codings")), (b"twice".to_vec(), None));
    let unknown = decode(Pieces::body(&[b"x"]), "gzip, lzma", Limits::default());
    assert!(unknown.is_err_and(|error| error == Unsupported("lzma".into())));
    assert!(decode(Body::Empty, "gzip, gzip, gzip, gzip", Limits::default()).is_err());
    let plain = decode(Body::from(Bytes::from_static(b"x")), "identity", Limits::default()).expect("nothing to do");
    assert_eq!(plain.left(), Some(1));
    assert_eq!(drain(decode(Body::Empty, "gzip", Limits::default()).expect("known")), (Vec::new(), None), "after HEAD");
}

#[test]
fn a_bomb_is_stopped_by_size_and_by_ratio() {
    let zeros = vec![0; 32 << 20];
    for coding in CODINGS {
        let coded = encode(coding, &zeros);
        let (out, error) = unfold(coding, &coded, usize::MAX, Limits { output: 4 << 20, ratio: u64::MAX });
        assert_eq!(error, Some(BodyError::TooLarge), "{coding}");
        assert!(out.len() <= 4 << 20, "{coding}: {}", out.len());
        let (out, error) = unfold(coding, &coded, usize::MAX, Limits { output: u64::MAX, ratio: 100 });
        assert_eq!(error, Some(BodyError::TooLarge), "{coding}");
        assert!(out.len() < 8 << 20, "{coding}: {}", out.len());
    }
}

#[test]
fn what_was_flushed_comes_out_before_the_end() {
    let mut coder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
    coder.write_all(b"data: 1\n\n").expect("memory");
    coder.flush().expect("memory");
    let mut body = decode(Pieces::body(&[coder.get_ref()]), "gzip", Limits::default()).expect("a known coding");
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let seen = (0..4).find_map(|_| match body.poll_fill(&mut cx) {
        Poll::Ready(Ok(data)) => Some(data.to_vec()),
        _ => None,
    });
    assert_eq!(seen.as_deref(), Some(&b"data: 1\n\n"[..]));
}

#[test]
fn a_failure_below_is_not_hidden() {
    let coded = encode("gzip", b"text");
    let body = decode(Pieces::cut(&[&coded[..10]]), "gzip", Limits::default()).expect("a known coding");
    assert_eq!(drain(body).1, Some(BodyError::Cut));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_end_one_way_or_the_other(bytes in prop::collection::vec(0u8.., 0..200), piece in 1usize..50) {
        for coding in CODINGS {
            let (out, _) = unfold(coding, &bytes, piece, Limits { output: 1 << 20, ratio: 1000 });
            prop_assert!(out.len() <= 1 << 20);
        }
    }

    #[test]
    fn a_flipped_bit_never_passes_gzip_unnoticed(place in 10usize..1000, bit in 0u8..8) {
        let plain = text();
        let mut coded = encode("gzip", &plain);
        let place = place % coded.len();
        coded[place] ^= 1 << bit;
        let (out, error) = unfold("gzip", &coded, 512, Limits::default());
        prop_assert!(error.is_some() || out == plain);
    }
}
