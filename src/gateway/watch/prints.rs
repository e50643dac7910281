//! What the watched files contained when we last looked, by hash.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use aws_lc_rs::digest;

/// A file's content hash; `None` while it cannot be read.
type Print = Option<[u8; 32]>;

/// The contents of some files, by hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Prints(BTreeMap<PathBuf, Print>);

impl Prints {
    /// Reads `files`.
    pub(super) fn take<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        Self(files.into_iter().map(|file| (file.clone(), print(file))).collect())
    }

    /// The files.
    pub(super) fn files(&self) -> impl Iterator<Item = &PathBuf> {
        self.0.keys()
    }

    /// Which files differ from `earlier`.
    pub(super) fn changed_since(&self, earlier: &Self) -> Vec<PathBuf> {
        self.0
            .iter()
            .filter(|(file, print)| earlier.0.get(*file) != Some(*print))
            .map(|(file, _)| file.clone())
            .collect()
    }

    /// Whether a file that `earlier` could read cannot be read now: most likely it is being replaced.
    pub(super) fn lost_since(&self, earlier: &Self) -> bool {
        self.0.iter().any(|(file, print)| print.is_none() && earlier.0.get(file).is_some_and(Option::is_some))
    }

    /// The same contents, for exactly `files`: those not seen yet are read now. Says whether one of these may have
    /// been written after `since`, so that nobody knows which version was loaded.
    pub(super) fn retarget(&mut self, files: &[PathBuf], since: SystemTime) -> bool {
        let mut doubtful = false;
        let mut next = BTreeMap::new();
        for file in files {
            let known = self.0.remove(file).unwrap_or_else(|| {
                doubtful |= written_after(file, since);
                print(file)
            });
            next.insert(file.clone(), known);
        }
        self.0 = next;
        doubtful
    }
}

/// The hash of a file's contents, or of the names in a directory (what `include "routes/*.lua"` searches).
fn print(file: &Path) -> Print {
    let text = if file.is_dir() { names(file)? } else { std::fs::read(file).ok()? };
    digest::digest(&digest::SHA256, &text).as_ref().try_into().ok()
}

fn names(directory: &Path) -> Option<Vec<u8>> {
    let entries = std::fs::read_dir(directory).ok()?.flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name()).filter(|name| is_script(name)).collect();
    names.sort();
    Some(names.join(OsStr::new("\n")).into_encoded_bytes())
}

/// An editor's leftovers are no change.
fn is_script(name: &OsStr) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "lua" || extension == "luau")
}

fn written_after(file: &Path, since: SystemTime) -> bool {
    let written = std::fs::metadata(file).and_then(|facts| facts.modified());
    written.is_ok_and(|written| written + GRAIN >= since)
}

/// File times move in ticks of the kernel.
const GRAIN: Duration = Duration::from_millis(20);
