//! Ways in and ways out of a folder.

use std::fs;
use std::io::Read as _;
use std::os::unix::fs::symlink;

use super::*;

/// A folder of its own, gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("moongate-files-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(path.join("root/sub")).expect("folders");
        for (name, text) in [
            ("secret.txt", "secret"),
            ("root/index.html", "home"),
            ("root/a.js", "plain"),
            ("root/a.js.br", "coded"),
            ("root/.env", "hidden"),
            ("root/sub/b c.txt", "spaced"),
        ] {
            fs::write(path.join(name), text).expect("a file");
        }
        fs::create_dir_all(path.join("root/.well-known")).expect("a folder");
        fs::write(path.join("root/.well-known/x"), "known").expect("a file");
        symlink("../secret.txt", path.join("root/out")).expect("a link");
        symlink("/etc", path.join("root/etc")).expect("a link");
        symlink("a.js", path.join("root/in")).expect("a link");
        symlink(".env", path.join("root/env")).expect("a link");
        symlink("loop", path.join("root/loop")).expect("a link");
        Self(path)
    }

    fn config(&self) -> Config {
        Config {
            root: self.0.join("root"),
            index: vec!["none.html".into(), "index.html".into()],
            hidden: false,
            precompressed: false,
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn served(config: &Config, path: &str, accepted: Option<&[u8]>) -> String {
    let Some(way) = Way::of(path, config.hidden) else { return "refused".into() };
    match config.open(&way, accepted) {
        Found::File(mut opened) => {
            let mut text = String::new();
            opened.file.read_to_string(&mut text).expect("text");
            assert_eq!(opened.facts.length, text.len() as u64);
            text
        }
        Found::Slash => "slash".into(),
        Found::Nothing => "nothing".into(),
    }
}

#[test]
fn only_what_lies_in_the_folder_is_served() {
    let folder = Folder::new("in");
    let long = "a".repeat(300);
    let longer = "a/".repeat(3000);
    for (path, expected) in [
        ("", "home"),
        ("/", "home"),
        ("a.js", "plain"),
        ("/a.js", "plain"),
        ("in", "plain"),
        ("sub/b c.txt", "spaced"),
        (".well-known/x", "known"),
        ("sub", "nothing"),
        ("sub/", "nothing"),
        ("a.js/", "nothing"),
        ("a.js/x", "nothing"),
        ("none", "nothing"),
        ("out", "nothing"),
        ("etc/passwd", "nothing"),
        ("env", "nothing"),
        ("loop", "nothing"),
        ("..", "refused"),
        ("../secret.txt", "refused"),
        ("sub/../../secret.txt", "refused"),
        ("sub/..", "refused"),
        ("./a.js", "refused"),
        (".env", "refused"),
        ("sub/.git/config", "refused"),
        ("sub//b c.txt", "refused"),
        ("//etc/passwd", "refused"),
        ("a.js\0.png", "refused"),
        ("a\r\n", "refused"),
        (&long, "nothing"),
        (&longer, "refused"),
    ] {
        assert_eq!(served(&folder.config(), path, None), expected, "{path:?}");
    }
    let shown = Config { hidden: true, ..folder.config() };
    assert_eq!((served(&shown, ".env", None), served(&shown, "env", None)), ("hidden".into(), "hidden".into()));
    let gone = Config { root: folder.0.join("gone"), ..folder.config() };
    assert_eq!(served(&gone, "a.js", None), "nothing");
}

#[test]
fn a_folder_without_its_slash_is_told() {
    let folder = Folder::new("slash");
    fs::write(folder.0.join("root/sub/index.html"), "sub").expect("a file");
    assert_eq!(
        (served(&folder.config(), "sub", None), served(&folder.config(), "sub/", None)),
        ("slash".into(), "sub".into())
    );
    let root = |slash| folder.config().open(&Way::root(slash), None);
    assert!(matches!(root(false), Found::Slash) && matches!(root(true), Found::File(_)));
    symlink("../../secret.txt", folder.0.join("root/sub/none.html")).expect("a link");
    assert_eq!(served(&folder.config(), "sub/", None), "sub", "an index that leads outside is none");
}

#[test]
fn pipes_are_no_files() {
    let folder = Folder::new("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, folder.0.join("root/pipe"), rustix::fs::FileType::Fifo, 0o644.into(), 0)
        .expect("a pipe");
    assert_eq!(served(&folder.config(), "pipe", None), "nothing");
}

#[test]
fn a_coded_copy_is_served_to_those_who_take_it() {
    let folder = Folder::new("coded");
    let config = Config { precompressed: true, ..folder.config() };
    assert_eq!(served(&config, "a.js", Some(b"gzip, br")), "coded");
    assert_eq!(served(&config, "a.js", Some(b"gzip")), "plain");
    assert_eq!(served(&config, "a.js", Some(b"br;q=0")), "plain");
    assert_eq!(served(&config, "a.js", None), "plain");
    assert_eq!(served(&folder.config(), "a.js", Some(b"br")), "plain");
    symlink("../secret.txt", folder.0.join("root/index.html.gz")).expect("a link");
    assert_eq!(served(&config, "", Some(b"gzip")), "home");
}
