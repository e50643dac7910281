//! What fuzzing found once stays found: every case of `tests/fuzz/corpus` is tried again, and mutants of it.

#[path = "fuzz/targets.rs"]
mod targets;

use std::panic::catch_unwind;
use std::path::PathBuf;

use crate::mutants::Dice;

/// So many mutants of each target in an ordinary run; `MUTANTS=1000000` for an evening without libFuzzer.
const MUTANTS: usize = 2_000;
/// A script takes a thousand times longer than a field.
const SCRIPTS: usize = 100;
const LONGEST: usize = 4096;

fn corpus() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

fn cases(name: &str) -> Vec<Vec<u8>> {
    let folder = std::fs::read_dir(corpus().join(name)).into_iter().flatten().flatten();
    let mut cases: Vec<_> = folder.map(|case| case.path()).collect();
    assert!(!cases.is_empty(), "no case of {name}");
    cases.sort();
    cases.iter().map(|case| std::fs::read(case).unwrap()).collect()
}

#[track_caller]
fn holds(name: &str, target: fn(&[u8]), bytes: &[u8]) {
    assert!(catch_unwind(|| target(bytes)).is_ok(), "{name}: b\"{}\"", bytes.escape_ascii());
}

#[test]
fn every_case_that_fuzzing_kept_still_holds() {
    for (name, target) in targets::TARGETS {
        cases(name).iter().for_each(|case| holds(name, *target, case));
    }
}

#[test]
fn mutants_of_every_case_hold_as_well() {
    let wanted = std::env::var("MUTANTS").ok().and_then(|count| count.parse().ok()).unwrap_or(MUTANTS);
    let mut dice = Dice(std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1));
    for (name, target) in targets::TARGETS {
        let cases = cases(name);
        let wanted = if *name == "script" { wanted * SCRIPTS / MUTANTS } else { wanted };
        for _ in 0..wanted {
            let mut mutant = cases[dice.below(cases.len())].clone();
            for _ in 0..=dice.below(4) {
                bend(&mut dice, &mut mutant, &cases);
            }
            mutant.truncate(LONGEST);
            holds(name, *target, &mutant);
        }
    }
}

#[test]
fn the_corpus_belongs_to_targets_that_exist() {
    for folder in std::fs::read_dir(corpus()).unwrap().flatten() {
        let name = folder.file_name().to_string_lossy().into_owned();
        assert!(targets::TARGETS.iter().any(|(known, _)| *known == name), "{name}");
    }
}

/// Changes a few bytes, doubles or drops a piece, or puts one of another case in.
fn bend(dice: &mut Dice, bytes: &mut Vec<u8>, cases: &[Vec<u8>]) {
    let at = dice.below(bytes.len() + 1);
    let end = (at + dice.below(16)).min(bytes.len());
    match dice.below(6) {
        0 if at < bytes.len() => bytes[at] = SHARP[dice.below(SHARP.len())],
        1 if at < bytes.len() => bytes[at] ^= 1 << dice.below(8),
        2 => bytes.insert(at, SHARP[dice.below(SHARP.len())]),
        3 => drop(bytes.drain(at..end)),
        4 => {
            let piece = bytes[at..end].repeat(1 + dice.below(4));
            bytes.splice(at..at, piece);
        }
        _ => {
            let other = &cases[dice.below(cases.len())];
            let from = dice.below(other.len() + 1);
            let to = (from + dice.below(32)).min(other.len());
            bytes.splice(at..at, other[from..to].iter().copied());
        }
    }
}

/// Bytes that mean something to somebody.
const SHARP: &[u8] = b"\0\x01\t\n\r \"#%&'()*+,-./0179:;<=>?@ABZ[\\]^_`az{|}~\x7f\x80\xc0\xed\xff";
