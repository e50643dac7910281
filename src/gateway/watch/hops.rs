//! Which directories must be watched for a file: its own, and that of every symlink on the way to it.

use std::collections::BTreeSet;
use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;

/// Where changes to one or more files become visible.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hops {
    /// Directories to watch, resolved.
    pub(super) directories: BTreeSet<PathBuf>,
    /// The names in them that matter: the files and the symlinks on the way.
    pub(super) names: BTreeSet<PathBuf>,
}

impl Hops {
    /// The hops of all `files`.
    pub(super) fn of<'a>(files: impl IntoIterator<Item = &'a PathBuf>) -> Self {
        let mut hops = Self::default();
        for file in files {
            hops.follow(file);
        }
        hops
    }

    /// Walks `file` name by name, as the system does, noting where each symlink lies.
    fn follow(&mut self, file: &Path) {
        let Ok(file) = std::path::absolute(file) else { return };
        let mut ahead: VecDeque<OsString> = parts(&file);
        let mut reached = PathBuf::from("/");
        let mut links = 0;
        while let Some(name) = ahead.pop_front() {
            if name == ".." {
                reached.pop();
                continue;
            }
            let next = reached.join(&name);
            match std::fs::read_link(&next) {
                Ok(target) if links < MOST_LINKS => {
                    links += 1;
                    self.note(&reached, &next);
                    if target.is_absolute() {
                        reached = PathBuf::from("/");
                    }
                    for part in parts(&target).into_iter().rev() {
                        ahead.push_front(part);
                    }
                }
                _ if ahead.is_empty() || !next.exists() => {
                    // The file itself, or the first part of the way that is not there yet.
                    self.note(&reached, &next);
                    if next.is_dir() {
                        self.directories.insert(next);
                    }
                    return;
                }
                _ => reached = next,
            }
        }
    }

    fn note(&mut self, directory: &Path, name: &Path) {
        self.directories.insert(directory.to_owned());
        self.names.insert(name.to_owned());
    }
}

fn parts(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter_map(|part| match part {
            Component::Normal(name) => Some(name.to_owned()),
            Component::ParentDir => Some("..".into()),
            _ => None,
        })
        .collect()
}

/// As many as the kernel follows.
const MOST_LINKS: usize = 40;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::gateway::scratch::Scratch;

    #[test]
    fn a_plain_file_is_watched_in_its_directory() {
        let scratch = Scratch::new();
        let file = scratch.write("gateway.lua", "");
        let hops = Hops::of([&file]);
        assert_eq!(hops.directories, BTreeSet::from([scratch.path().to_owned()]));
        assert_eq!(hops.names, BTreeSet::from([file]));
    }

    #[test]
    fn each_symlink_of_a_config_map_is_a_hop() {
        let scratch = Scratch::new();
        let real = scratch.write("..v1/gateway.lua", "");
        symlink("..v1", scratch.path().join("..data")).unwrap();
        symlink("..data/gateway.lua", scratch.path().join("gateway.lua")).unwrap();
        let hops = Hops::of([&scratch.path().join("gateway.lua")]);
        assert_eq!(hops.directories, BTreeSet::from([scratch.path().to_owned(), scratch.path().join("..v1")]));
        assert!(hops.names.contains(&scratch.path().join("..data")));
        assert!(hops.names.contains(&real));
    }

    #[test]
    fn what_is_not_there_yet_is_awaited_where_it_would_appear() {
        let scratch = Scratch::new();
        let hops = Hops::of([&scratch.path().join("policies/auth.lua")]);
        assert_eq!(hops.directories, BTreeSet::from([scratch.path().to_owned()]));
    }

    #[test]
    fn a_loop_of_symlinks_ends() {
        let scratch = Scratch::new();
        symlink("b", scratch.path().join("a")).unwrap();
        symlink("a", scratch.path().join("b")).unwrap();
        assert!(Hops::of([&scratch.path().join("a")]).directories.contains(scratch.path()));
    }
}
