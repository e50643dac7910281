//! The command line as a stranger meets it.

use clap::CommandFactory as _;

use super::*;
use crate::gateway::scratch::Scratch;

fn moongate(line: &str) -> Exit {
    run(std::iter::once("moongate").chain(line.split_whitespace()).map(OsString::from))
}

#[test]
fn the_definition_is_sound() {
    Cli::command().debug_assert();
}

#[test]
fn nonsense_is_a_usage_error() {
    for line in ["", "rum", "init --nonsense", "init a b", "purge", "purge --hard"] {
        assert_eq!(moongate(line), Exit::Usage, "{line:?}");
    }
}

#[test]
fn help_is_fine() {
    for line in ["--help", "-h", "--version", "init --help", "docs --help", "purge --help"] {
        assert_eq!(moongate(line), Exit::Fine, "{line:?}");
    }
}

#[test]
fn init_writes_twelve_lines_once() {
    let scratch = Scratch::new();
    let file = scratch.path().join("gateway.lua");
    let line = format!("init {}", file.display());
    assert_eq!(moongate(&line), Exit::Fine);
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 12);
    std::fs::write(&file, "mine").unwrap();
    assert_eq!(moongate(&line), Exit::Failed);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "mine");
}
