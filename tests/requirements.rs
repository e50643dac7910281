//! The list of what RFC 9111 asks (in `src/cache.rs`) names tests, and each of them is one.

use std::collections::BTreeSet;
use std::path::Path;

use crate::house::rust_files;

#[test]
fn what_the_rfc_of_caches_asks_is_held_by_tests_that_exist() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let list = std::fs::read_to_string(root.join("src/cache.rs")).unwrap();
    let rows: Vec<&str> =
        list.lines().filter(|line| line.starts_with("//! | §") || line.starts_with("//! | RFC ")).collect();
    let tests = tests(root);
    let mut sections = BTreeSet::new();
    for row in rows.iter().filter(|row| !row.contains("| RFC 9111 |")) {
        let [_, section, asked, held, _] = row.split('|').collect::<Vec<_>>()[..] else { panic!("{row}") };
        sections.insert(section.trim());
        let named: Vec<&str> = held.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty() || held.contains("not done"), "nothing holds {section}: {asked}");
        for name in named {
            assert!(tests.contains(name), "{section}: there is no test `{name}`");
        }
    }
    for section in ["§2", "§3", "§3.1", "§3.5", "§4", "§4.1", "§4.2.3", "§4.3.2", "§4.4", "§5.2.1", "RFC 9211"]
    {
        assert!(sections.contains(section), "{section} is not in the list");
    }
}

/// The names of all functions that are tests.
fn tests(root: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for file in rust_files(&root.join("src")).into_iter().chain(rust_files(&root.join("tests"))) {
        let text = std::fs::read_to_string(file).unwrap();
        let mut lines = text.lines().map(str::trim);
        while lines.any(|line| line == "#[test]") {
            let name = lines.next().and_then(|line| line.strip_prefix("fn ")?.split('(').next());
            found.extend(name.map(str::to_owned));
        }
    }
    found
}
