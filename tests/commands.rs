//! `tests/golden/commands/*.txt`: files, `----------`, and what commands say about them. `UPDATE_GOLDEN=1` writes what
//! they say now.

use std::path::Path;
use std::path::PathBuf;

use crate::support::binary;
use crate::support::temp::Dir;

const BAR: &str = "----------\n";

#[test]
fn every_command_says_what_is_written_down() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/commands");
    let mut names: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    assert!(!names.is_empty());
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let only = std::env::var("GOLDEN").ok();
    let mut wrong = Vec::new();
    for path in names.iter().filter(|path| only.as_ref().is_none_or(|only| path.to_string_lossy().contains(only))) {
        let text = std::fs::read_to_string(path).unwrap();
        let (files, expected) = text.split_once(BAR).unwrap_or_else(|| panic!("{}: no bar", path.display()));
        let said = play(files, expected);
        if update {
            std::fs::write(path, format!("{files}{BAR}{said}")).unwrap();
        } else if said != expected {
            wrong.push(format!("{}\n--- expected\n{expected}--- said\n{said}", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Runs the commands of `script` (lines that begin with `$ moongate`) among `files`; each with what it said.
fn play(files: &str, script: &str) -> String {
    let dir = Dir::new();
    for part in files.split("-- FILE ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        dir.write(name.trim(), text);
    }
    let mut said = String::new();
    for command in script.lines().filter(|line| line.starts_with("$ ")) {
        let words: Vec<_> = words(command.strip_prefix("$ moongate ").expect("a command of moongate's"));
        let output = binary::run(dir.path(), &words.iter().map(String::as_str).collect::<Vec<_>>());
        let text = [output.stdout, output.stderr].concat();
        let text = String::from_utf8_lossy(&text).replace(&*dir.path().to_string_lossy(), "DIR");
        said += &format!("{command}\n{}[exit {}]\n", timeless(&text), output.status.code().unwrap());
    }
    said
}

/// Words as a shell would split them: single quotes hold some together.
fn words(line: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (index, part) in line.split('\'').enumerate() {
        if index % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    words
}

/// How long something took is no part of what is said.
fn timeless(text: &str) -> String {
    let line = |line: &str| match (line.split_once(" failed, in "), line.strip_prefix("  date: ")) {
        (Some((sum, _)), _) => format!("{sum} failed, in … s\n"),
        (_, Some(_)) => "  date: …\n".to_owned(),
        (None, None) => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}
