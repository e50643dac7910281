//! The state directory: the last script that loaded is kept there with all its files, for a start with a broken one.

use std::fs;
use std::fs::File;
use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

/// Where a gateway keeps what outlives its process.
#[derive(Clone, Debug)]
pub struct State {
    directory: PathBuf,
}

/// Which bundle is the last good one: written last, so that it never names half a bundle.
#[derive(Serialize, Deserialize)]
struct Pointer {
    /// The bundle's directory.
    bundle: String,
    /// The script within.
    entry: PathBuf,
}

impl State {
    /// Opens the directory, making it where it is missing. Scripts may name secrets: it is the owner's alone.
    pub fn open(directory: impl Into<PathBuf>) -> io::Result<Self> {
        let directory = directory.into();
        fs::create_dir_all(directory.join(BUNDLES))?;
        fs::set_permissions(directory.join(BUNDLES), Permissions::from_mode(0o700))?;
        Ok(Self { directory })
    }

    /// Keeps `files` (with their contents, named from the script's directory) as the last good bundle; `entry` is the
    /// script. `hash` names the bundle.
    ///
    /// A file outside that directory cannot be kept; the first one is the error, and nothing changes.
    pub fn keep<'a>(
        &self,
        entry: &Path,
        hash: &str,
        files: impl IntoIterator<Item = (&'a Path, &'a [u8])>,
    ) -> io::Result<()> {
        let name: String = hash.chars().filter(char::is_ascii_alphanumeric).take(32).collect();
        let bundles = self.directory.join(BUNDLES);
        let bundle = bundles.join(&name);
        if !bundle.is_dir() {
            let fresh = bundles.join(format!("{name}.new"));
            let _ = fs::remove_dir_all(&fresh);
            for (file, text) in files {
                write(&fresh.join(within(file)?), text)?;
            }
            fs::rename(&fresh, &bundle)?;
        }
        let entry = PathBuf::from(entry.file_name().unwrap_or_default());
        self.point(&Pointer { bundle: name, entry })?;
        self.sweep(&bundle);
        Ok(())
    }

    /// The script of the last good bundle, if there is one.
    pub fn last_good(&self) -> Option<PathBuf> {
        let pointer = fs::read(self.directory.join(POINTER)).ok()?;
        let pointer: Pointer = serde_json::from_slice(&pointer).ok()?;
        let script = self.directory.join(BUNDLES).join(pointer.bundle).join(pointer.entry);
        script.is_file().then_some(script)
    }

    fn point(&self, pointer: &Pointer) -> io::Result<()> {
        let fresh = self.directory.join(format!("{POINTER}.new"));
        write(&fresh, &serde_json::to_vec(pointer)?)?;
        fs::rename(fresh, self.directory.join(POINTER))
    }

    /// Removes every bundle but this one. What cannot be removed is no reason to fail.
    fn sweep(&self, keep: &Path) {
        for bundle in fs::read_dir(self.directory.join(BUNDLES)).into_iter().flatten().flatten() {
            if bundle.path() != keep {
                let _ = fs::remove_dir_all(bundle.path());
            }
        }
    }
}

/// `file`, if it stays below the directory it is named from.
fn within(file: &Path) -> io::Result<PathBuf> {
    let plain = file.components().filter(|part| !matches!(part, Component::CurDir));
    let inside = plain.clone().all(|part| matches!(part, Component::Normal(_)));
    if inside {
        Ok(plain.collect())
    } else {
        let shown = file.display();
        Err(io::Error::other(format!("{shown} lies outside the script's directory and cannot be kept")))
    }
}

fn write(file: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(directory) = file.parent() {
        fs::create_dir_all(directory)?;
    }
    let mut file = File::create(file)?;
    io::Write::write_all(&mut file, text)?;
    file.sync_all()
}

const BUNDLES: &str = "last-good";
const POINTER: &str = "last-good.json";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::scratch::Scratch;

    fn keep(state: &State, root: &Path, hash: &str, files: &[(&str, &str)]) -> io::Result<()> {
        let files = files.iter().map(|(name, text)| (Path::new(*name), text.as_bytes()));
        state.keep(&root.join("gateway.lua"), hash, files)
    }

    #[test]
    fn a_bundle_is_found_again_by_the_next_process() {
        let scratch = Scratch::new();
        let root = scratch.path().join("config");
        let state = State::open(scratch.path().join("state")).unwrap();
        assert_eq!(state.last_good(), None);
        keep(&state, &root, "abc", &[("gateway.lua", "a"), ("policies/auth.lua", "b")]).unwrap();

        let script = State::open(scratch.path().join("state")).unwrap().last_good().unwrap();
        assert_eq!(fs::read_to_string(&script).unwrap(), "a");
        assert_eq!(fs::read_to_string(script.with_file_name("policies").join("auth.lua")).unwrap(), "b");
        let mode = fs::metadata(scratch.path().join("state/last-good")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
    }

    #[test]
    fn only_the_latest_is_kept() {
        let scratch = Scratch::new();
        let root = scratch.path().join("config");
        let state = State::open(scratch.path().join("state")).unwrap();
        keep(&state, &root, "one", &[("gateway.lua", "1")]).unwrap();
        keep(&state, &root, "two", &[("gateway.lua", "2")]).unwrap();
        assert_eq!(fs::read_to_string(state.last_good().unwrap()).unwrap(), "2");
        assert_eq!(fs::read_dir(scratch.path().join("state/last-good")).unwrap().count(), 1);
    }

    #[test]
    fn a_file_outside_leaves_the_old_bundle_alone() {
        let scratch = Scratch::new();
        let root = scratch.path().join("config");
        let state = State::open(scratch.path().join("state")).unwrap();
        keep(&state, &root, "one", &[("gateway.lua", "1")]).unwrap();
        let error = keep(&state, &root, "two", &[("gateway.lua", "2"), ("../secret.pem", "x")]).unwrap_err();
        assert!(error.to_string().contains("outside"), "{error}");
        assert_eq!(fs::read_to_string(state.last_good().unwrap()).unwrap(), "1");
    }

    #[test]
    fn a_pointer_to_nothing_is_no_bundle() {
        let scratch = Scratch::new();
        let state = State::open(scratch.path()).unwrap();
        scratch.write(POINTER, r#"{"bundle":"gone","entry":"gateway.lua"}"#);
        assert_eq!(state.last_good(), None);
        scratch.write(POINTER, "half");
        assert_eq!(state.last_good(), None);
    }
}
