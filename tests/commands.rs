//! `tests/golden/commands/*.txt`: files, `----------`, and what commands say about them. `UPDATE_GOLDEN=1` writes what
//! they say now.

use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;

use crate::support::binary;
use crate::support::binary::Binary;
use crate::support::binary::Setup;
use crate::support::temp::Dir;
use crate::support::wait;

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

/// Runs the lines of `script` that begin with `$` among `files`; each with what it said.
fn play(files: &str, script: &str) -> String {
    let mut table = Table { dir: Arc::new(Dir::new()), gateway: None, beside: None };
    for part in files.split("-- FILE ").skip(1) {
        let (name, text) = part.split_once('\n').unwrap();
        table.dir.write(name.trim(), text);
    }
    let mut said = String::new();
    for line in script.lines().filter(|line| line.starts_with("$ ")) {
        said += &format!("{line}\n{}", table.line(&line[2..]));
    }
    said
}

/// Files, and a gateway that may run among them.
struct Table {
    dir: Arc<Dir>,
    gateway: Option<Binary>,
    beside: Option<Child>,
}

impl Table {
    /// What `moongate run` says is no part of it, it reads its files when told to, and `wait` waits for what ends with `&`.
    fn line(&mut self, line: &str) -> String {
        let words = words(line);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        match &words[..] {
            ["moongate", "run"] => {
                self.gateway = Some(Setup::again(&self.dir).argument("--no-watch").start());
                String::new()
            }
            ["moongate", arguments @ .., "&"] => {
                let child = self.command(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
                self.beside = Some(child);
                let mut admin = self.gateway.as_ref().unwrap().admin();
                let orders = |known: serde_json::Value| known["orders"].as_array().is_some_and(|all| !all.is_empty());
                wait::until("the gateway knows of it", || orders(admin.get("/trace").json()));
                String::new()
            }
            ["wait"] => {
                let beside = self.beside.take().expect("a line that ends with `&` comes first");
                self.ended(beside.wait_with_output().unwrap())
            }
            ["moongate", arguments @ .., ">", file] => {
                let output = self.command(arguments).output().unwrap();
                self.dir.write(file, &output.stdout);
                String::new()
            }
            ["moongate", arguments @ ..] => self.ended(self.command(arguments).output().unwrap()),
            ["curl", "-X", method, target] => self.ask(method, target, &[]),
            ["curl", target, fields @ ..] => self.ask("GET", target, fields),
            ["grep", word, file] => {
                let text = self.dir.read(file);
                let found = text.lines().filter(|line| line.contains(word));
                found.map(|line| format!("{line}\n")).collect()
            }
            ["cat", file] => timeless(&self.dir.read(file)),
            ["cp", from, to] => {
                self.dir.replace(to, self.dir.read(from));
                String::new()
            }
            _ => panic!("no command of these tests: {line}"),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = binary::command();
        command.current_dir(self.dir.path()).args(arguments).stdin(Stdio::null());
        if let Some(gateway) = &self.gateway {
            command.env("MOONGATE_ADMIN", gateway.admin_address().to_string());
        }
        command
    }

    /// What the gateway answers, or for `ADMIN/…` its admin listener.
    fn ask(&self, method: &str, target: &str, fields: &[&str]) -> String {
        let fields: Vec<_> = fields.iter().filter_map(|field| field.split_once(": ")).collect();
        let gateway = self.gateway.as_ref().expect("`moongate run` comes first");
        let answer = match target.strip_prefix("ADMIN") {
            Some(target) => gateway.admin().call(method, target, &fields, ""),
            None => gateway.client().host("localhost").call(method, target, &fields, ""),
        };
        format!("{} {}", answer.status, self.plain(answer.text().trim_end()))
    }

    fn ended(&self, output: Output) -> String {
        let text = [output.stdout, output.stderr].concat();
        format!("{}[exit {}]\n", self.plain(&String::from_utf8_lossy(&text)), output.status.code().unwrap())
    }

    /// Without what is another in every run.
    fn plain(&self, text: &str) -> String {
        let mut text = text.replace(&*self.dir.path().to_string_lossy(), "DIR");
        if let Some(gateway) = &self.gateway {
            for (address, name) in [(gateway.address(), "GATEWAY"), (gateway.admin_address(), "ADMIN")] {
                text = text.replace(&address.to_string(), name);
            }
            text = without(&text, BY_CHANCE);
        }
        timeless(&text)
    }
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
    let said = [
        (r"in \d+\.\d\d s\b", "in … s"),
        (r"(time=\W)[\d.]+", "$1…"),
        (r#""seconds":[\d.e-]+"#, "\"seconds\":…"),
        (r"(?m)^  date: .*$", "  date: …"),
        (r"after [\d.e-]+s", "after … s"),
        (r" +[\d.]+ ms +[\d.]+ ms  \|[ =]+\|", "  … ms"),
        (r"in [\d.]+ ms", "in … ms"),
        (r"(?m)^(\S.*\d) +\d+\.\d\d(  \d+ of .*)?$", "$1  …$2"),
    ];
    let text = without(text, &said);
    if text.is_empty() || text.ends_with('\n') { text } else { text + "\n" }
}

/// Names that a gateway makes by chance.
const BY_CHANCE: &[(&str, &str)] = &[
    (r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", "UUID"),
    (r"\b[0-9a-f]{64}\b", "SIGNATURE"),
    (r"\b[0-9a-f]{32}\b", "TRACE"),
    (r"-[0-9a-f]{16}-0", "-SPAN-0"),
    (r"(?m)^trace \d+-\d+,", "trace N,"),
    (r"\(\d+-\d+\)", "(N)"),
];

fn without(text: &str, parts: &[(&str, &str)]) -> String {
    parts.iter().fold(text.to_owned(), |text, (like, instead)| {
        regex::Regex::new(like).unwrap().replace_all(&text, *instead).into_owned()
    })
}
