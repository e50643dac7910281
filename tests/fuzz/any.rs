//! libFuzzer's `main` for every target: `FUZZ=path` chooses.

#![no_main]

mod targets;

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

static CHOSEN: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let name = std::env::var("FUZZ").unwrap_or_default();
    let found = targets::TARGETS.iter().find(|(known, _)| *known == name);
    let known: Vec<_> = targets::TARGETS.iter().map(|(known, _)| *known).collect();
    found.unwrap_or_else(|| panic!("FUZZ must be one of {}", known.join(", "))).1
});

fuzz_target!(|bytes: &[u8]| CHOSEN(bytes));
