//! `tests/golden/*.txt`: a script, `----------`, and what loading it says. `UPDATE_GOLDEN=1` writes what it says now.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use super::LoadOptions;
use super::load;
use crate::clock::Clock;

const BAR: &str = "----------\n";

#[test]
fn every_mistake_is_told_as_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.retain(|path| path.extension().is_some_and(|end| end == "txt"));
    names.sort();
    assert!(names.len() >= 60, "{} goldens", names.len());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let only = std::env::var("GOLDEN").ok();
    let mut wrong = Vec::new();
    for path in names.iter().filter(|path| only.as_ref().is_none_or(|only| path.to_string_lossy().contains(only))) {
        let text = std::fs::read_to_string(path).unwrap();
        let (script, expected) = text.split_once(BAR).unwrap_or((&text, ""));
        let said = say(script);
        if update {
            std::fs::write(path, format!("{script}{BAR}{said}")).unwrap();
        } else if said != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Loads `script` (with further files after `-- FILE name` lines) from a folder of its own.
fn say(script: &str) -> String {
    let folder = tempdir();
    let mut files: Vec<(&str, String)> = vec![("gateway.lua", String::new())];
    for line in script.split_inclusive('\n') {
        match line.strip_prefix("-- FILE ") {
            Some(name) => files.push((name.trim(), String::new())),
            None => files.last_mut().unwrap().1.push_str(line),
        }
    }
    for (name, text) in &files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let env = BTreeMap::from([("TOKEN".to_owned(), "hunter2".to_owned())]);
    let options = LoadOptions { env, clock: Clock::fake(Duration::from_secs(1_750_000_000)), ..LoadOptions::default() };
    let said = match load(&folder.join("gateway.lua"), &options) {
        Err(faults) => faults.render(false),
        Ok(loaded) if loaded.warnings.is_empty() => "fine\n".to_owned(),
        Ok(loaded) => crate::script::diagnose::render(&loaded.warnings, false),
    };
    std::fs::remove_dir_all(&folder).unwrap();
    said
}

fn tempdir() -> PathBuf {
    use std::sync::atomic::AtomicU32;
    use std::sync::atomic::Ordering;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("moongate-golden-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let folder = std::env::temp_dir().join(name);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// Scripts that somebody is in the middle of typing: whatever they are, loading says something and nothing panics.
#[test]
fn half_typed_scripts_are_told_about_too() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    let all = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = all.filter(|path| path.is_file()).collect();
    paths.sort();
    let rounds = std::env::var("TYPOS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(1);
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut chance = |below: usize| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        usize::try_from(seed % below.max(1) as u64).unwrap()
    };
    for round in 0..rounds {
        for path in paths.iter().skip(round % 4).step_by(4) {
            let text = std::fs::read_to_string(path).unwrap();
            let script = text.split_once(BAR).map_or(&*text, |(script, _)| script);
            if script.contains("while") {
                continue;
            }
            let mut symbols: Vec<char> = script.chars().collect();
            for _ in 0..=chance(3) {
                let at = chance(symbols.len());
                match chance(4) {
                    0 => symbols.truncate(at.max(1)),
                    1 => drop(symbols.remove(at)),
                    2 => symbols.insert(at, ['"', '{', '}', '=', ',', '(', '\n', 'é', '0', '`'][chance(10)]),
                    _ => symbols.swap(at, chance(script.chars().count()).min(at)),
                }
                if symbols.is_empty() {
                    break;
                }
            }
            let said = say(&symbols.iter().collect::<String>());
            assert!(!said.is_empty(), "{symbols:?}");
        }
    }
}
