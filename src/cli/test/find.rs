//! Which test files there are, and which script each of them tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use crate::cli::settings;

/// A test file and the script it tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pair {
    pub(super) test: PathBuf,
    pub(super) script: PathBuf,
}

/// The test files that `asked` names: files themselves, a script's, all below a folder.
pub(super) fn pairs(asked: &[PathBuf]) -> Result<Vec<Pair>, String> {
    let mut tests = Vec::new();
    for path in asked {
        if path.is_dir() {
            below(path, &mut tests);
        } else if is_test(path) {
            tests.push(path.clone());
        } else {
            tests.extend(of_script(path)?);
        }
    }
    if asked.is_empty() {
        let folder = settings::usual().and_then(|script| script.parent().map(Path::to_owned));
        below(&folder.filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| ".".into()), &mut tests);
    }
    let mut seen = BTreeSet::new();
    tests.retain(|test| seen.insert(test.canonicalize().unwrap_or_else(|_| test.clone())));
    if tests.is_empty() {
        return Err("no test file: tests stand in files such as gateway_test.lua, beside gateway.lua".to_owned());
    }
    tests.into_iter().map(pair).collect()
}

fn is_test(path: &Path) -> bool {
    path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.ends_with(END))
}

fn of_script(script: &Path) -> Result<Vec<PathBuf>, String> {
    let stem = script.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let beside = script.with_file_name(format!("{stem}{END}"));
    if beside.is_file() {
        return Ok(vec![beside]);
    }
    Err(format!("{} has no tests: there is no {}", script.display(), beside.display()))
}

/// Every test file below `folder`, by name.
fn below(folder: &Path, into: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    for path in paths {
        let hidden = path.file_name().and_then(|name| name.to_str()).is_none_or(|name| name.starts_with('.'));
        if hidden || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            below(&path, into);
        } else if is_test(&path) {
            into.push(path.strip_prefix("./").map(Path::to_owned).unwrap_or(path));
        }
    }
}

fn pair(test: PathBuf) -> Result<Pair, String> {
    let name = test.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let own = test.with_file_name(format!("{}.lua", name.trim_end_matches(END)));
    if own.is_file() {
        return Ok(Pair { test, script: own });
    }
    let folder = test.parent().unwrap_or_else(|| Path::new(""));
    let nearest = folder.ancestors().map(|folder| folder.join("gateway.lua")).find(|script| script.is_file());
    let missing = || format!("{}: neither {} nor a gateway.lua is there", test.display(), own.display());
    let script = nearest.ok_or_else(missing)?;
    Ok(Pair { test, script })
}

/// How the name of a test file ends.
const END: &str = "_test.lua";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::scratch::Scratch;

    fn folder(files: &[&str]) -> Scratch {
        let folder = Scratch::new();
        files.iter().for_each(|file| drop(folder.write(file, "")));
        folder
    }

    #[test]
    fn a_test_file_tests_its_namesake_or_the_nearest_gateway() {
        let folder = folder(&["gateway.lua", "edge.lua", "edge_test.lua", "tests/a_test.lua", "tests/.x_test.lua"]);
        let root = folder.path();
        let found = pairs(&[root.to_owned()]).unwrap();
        let expected = [("edge_test.lua", "edge.lua"), ("tests/a_test.lua", "gateway.lua")];
        let expected = expected.map(|(test, script)| Pair { test: root.join(test), script: root.join(script) });
        assert_eq!(found, expected);
        assert_eq!(pairs(&[root.join("edge.lua")]).unwrap(), expected[..1]);
        let (file, whole) = (root.join("edge_test.lua"), root.join("tests/.."));
        let found = pairs(&[file.clone(), whole, file]).unwrap();
        let names: Vec<_> = found.iter().map(|pair| pair.test.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["edge_test.lua", "a_test.lua"], "each is run once, however often it is named");
    }

    #[test]
    fn what_is_not_there_is_said() {
        let folder = folder(&["gateway.lua"]);
        let said = pairs(&[folder.path().join("gateway.lua")]).unwrap_err();
        assert!(said.ends_with("gateway_test.lua") && said.contains("has no tests"), "{said}");
        assert!(pairs(&[folder.path().to_owned()]).unwrap_err().starts_with("no test file"));
    }
}
