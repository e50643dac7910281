//! A folder served to strangers: which file a path means, and nothing outside the folder.

pub mod conditions;

use std::fs::File;
use std::fs::Metadata;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use crate::http::coding::Coding;
use crate::http::coding::choose;
use conditions::Facts;

/// A folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// Where it lies.
    pub root: PathBuf,
    /// What is served of a folder in it, the first that is there.
    pub index: Vec<String>,
    /// Whether names that begin with a dot are served; `.well-known` is anyway.
    pub hidden: bool,
    /// Whether `a.js.br`, `a.js.zst` and `a.js.gz` are served for `a.js`.
    pub precompressed: bool,
}

/// What a path means.
#[derive(Debug)]
pub enum Found {
    /// This file.
    File(Box<Opened>),
    /// A folder with something to serve, named without its slash at the end.
    Slash,
    /// Nothing that may be served.
    Nothing,
}

/// A file, open.
#[derive(Debug)]
pub struct Opened {
    /// To be read.
    pub file: File,
    /// What is known of it.
    pub facts: Facts,
    /// Its name, without the ending of its coding.
    pub name: String,
    /// The coding it lies there in.
    pub coding: Option<Coding>,
}

/// The way from a folder to a file, of safe names only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Way {
    path: PathBuf,
    /// It ended in a slash, or was empty.
    folder: bool,
}

impl Way {
    /// The folder itself.
    pub fn root(slash: bool) -> Self {
        Self { path: PathBuf::new(), folder: slash }
    }

    /// A decoded path; `None` when no file could be meant: steps upwards, hidden names, bytes no name has.
    pub fn of(path: &str, hidden: bool) -> Option<Self> {
        if path.len() > LONGEST || path.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
            return None;
        }
        let mut way = Self { path: PathBuf::new(), folder: true };
        let mut segments = path.strip_prefix('/').unwrap_or(path).split('/').peekable();
        while let Some(segment) = segments.next() {
            way.folder = segment.is_empty();
            if segment.is_empty() {
                // Only at the end; `a//b` is no way to anything.
                if segments.peek().is_some() {
                    return None;
                }
            } else if segment == "." || segment == ".." || is_hidden(segment, hidden) {
                return None;
            } else {
                way.path.push(segment);
            }
        }
        Some(way)
    }
}

fn is_hidden(name: &str, shown: bool) -> bool {
    name.starts_with('.') && !shown && name != ".well-known"
}

impl Config {
    /// Opens what `way` means, for a client of this `Accept-Encoding`. Blocks.
    pub fn open(&self, way: &Way, accepted: Option<&[u8]>) -> Found {
        // Looked up each time: the folder may be a link that a deployment turns to another release.
        let Ok(root) = self.root.canonicalize() else { return Found::Nothing };
        let path = root.join(&way.path);
        let Some((file, facts)) = self.open_one(&root, &path) else { return Found::Nothing };
        if facts.is_dir() {
            drop(file);
            return self.open_folder(&root, &path, way.folder, accepted);
        }
        if way.folder || !facts.is_file() {
            return Found::Nothing;
        }
        self.best(&root, &path, (file, facts), accepted)
    }

    fn open_folder(&self, root: &Path, folder: &Path, slash: bool, accepted: Option<&[u8]>) -> Found {
        for name in &self.index {
            let path = folder.join(name);
            match self.open_one(root, &path) {
                Some((_, facts)) if !facts.is_file() => {}
                Some(_) if !slash => return Found::Slash,
                Some(opened) => return self.best(root, &path, opened, accepted),
                None => {}
            }
        }
        Found::Nothing
    }

    /// The file itself, or the same in a coding that the client likes better.
    fn best(&self, root: &Path, path: &Path, (file, facts): (File, Metadata), accepted: Option<&[u8]>) -> Found {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let mut offers = if self.precompressed { Coding::ALL.to_vec() } else { Vec::new() };
        while let Some(coding) = choose(accepted, &offers) {
            let coded = path.with_file_name(format!("{name}.{}", coding.ending()));
            if let Some((file, facts)) = self.open_one(root, &coded).filter(|(_, facts)| facts.is_file()) {
                let facts = facts_of(&facts, coding.ending());
                return Found::File(Box::new(Opened { file, facts, name, coding: Some(coding) }));
            }
            offers.retain(|offer| *offer != coding);
        }
        Found::File(Box::new(Opened { file, facts: facts_of(&facts, ""), name, coding: None }))
    }

    /// Opens a file or folder that lies in the folder, however many links lead to it.
    fn open_one(&self, root: &Path, path: &Path) -> Option<(File, Metadata)> {
        let real = path.canonicalize().ok()?;
        let inside = real.strip_prefix(root).ok()?;
        let hidden = inside.components().any(|part| match part {
            Component::Normal(name) => is_hidden(&name.to_string_lossy(), self.hidden),
            _ => true,
        });
        let kind = real.symlink_metadata().ok()?.file_type();
        // Opening a device or a pipe would do something.
        if hidden || !(kind.is_file() || kind.is_dir()) {
            return None;
        }
        let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&real).ok()?;
        let facts = file.metadata().ok()?;
        let sound = (facts.is_file() || facts.is_dir()) && lies_in(root, &file);
        sound.then_some((file, facts))
    }
}

/// Whether what was opened lies in the folder: somebody may have put a link in its way since it was looked at.
#[cfg(target_os = "linux")]
fn lies_in(root: &Path, file: &File) -> bool {
    use std::os::fd::AsRawFd as _;
    // Without /proc nobody can tell.
    std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).map_or(true, |path| path.starts_with(root))
}

#[cfg(not(target_os = "linux"))]
fn lies_in(_: &Path, _: &File) -> bool {
    true
}

fn facts_of(facts: &Metadata, coding: &str) -> Facts {
    let modified =
        facts.modified().ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok()).unwrap_or(Duration::ZERO);
    Facts::new(facts.len(), modified, coding)
}

/// As long as paths may be.
const LONGEST: usize = 4096;

#[cfg(test)]
mod tests;
