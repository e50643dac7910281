//! The laws of the house: who may know whom, one door a dependency, short files that say what they are for.

use std::path::Path;
use std::path::PathBuf;

/// Rows from the ground up; a module uses rows below its own.
const ROWS: &[&[&str]] = &[
    &["http", "net", "clock", "lru", "questions", "suggest", "telemetry"],
    &["downstream", "route", "primitive", "cache", "transform", "store", "upstream"],
    &["proxy", "plan"],
    &["script"],
    &["gateway"],
    &["cli"],
];

/// The only places that may name a dependency.
const DOORS: &[(&str, &str)] = &[
    ("mlua", "script"),
    ("full_moon", "script"),
    ("h2::server", "downstream/serve_h2"),
    ("h2::client", "upstream/h2"),
    ("clap", "cli"),
    ("notify", "gateway/watch"),
    ("redis", "store/redis"),
    ("tokio_tungstenite", "proxy/websocket/frames"),
];

/// The only places that may be `unsafe`.
const UNSAFE: &[&str] = &["script/handle", "script/watchdog"];

const LONGEST: usize = 400;

#[test]
fn the_house_keeps_its_laws() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut faults = Vec::new();
    for path in rust_files(&root.join("src")) {
        let name = path.strip_prefix(root.join("src")).unwrap().to_string_lossy().into_owned();
        faults.extend(check(&name, &std::fs::read_to_string(&path).unwrap()));
    }
    for path in rust_files(&root.join("tests")) {
        let name = path.strip_prefix(root).unwrap().to_string_lossy().into_owned();
        faults.extend(shape(&name, &std::fs::read_to_string(&path).unwrap()));
    }
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}

#[test]
fn planted_violations_are_seen() {
    let planted = [
        ("net.rs", "use crate::upstream::Config;", "upward"),
        ("upstream/pool.rs", "//! x\nuse crate::downstream::Limits;", "upward"),
        ("upstream/pool.rs", "//! x\nfn f() { crate::proxy::serve() }", "upward"),
        ("proxy/forward.rs", "//! x\nuse crate::script::Live;", "upward"),
        ("plan/diff.rs", "//! x\nuse crate::proxy::Worker;", "upward"),
        ("cache/key.rs", "//! x\nuse super::super::proxy::Worker;", "upward"),
        ("route.rs", "//! x\nuse super::proxy::Worker;", "upward"),
        ("route.rs", "//! x\nuse crate::{proxy, http};", "one `use` a line"),
        ("proxy/forward.rs", "//! x\nuse mlua::Lua;", "door"),
        ("gateway/build.rs", "//! x\nfn f(lua: &mlua::Lua) {}", "door"),
        ("gateway.rs", "//! x\nuse notify::Watcher;", "door"),
        ("gateway/admin.rs", "//! x\nuse ::clap::Parser;", "door"),
        ("downstream.rs", "//! x\nuse h2::server::Builder;", "door"),
        ("upstream.rs", "//! x\nuse h2::client::Builder;", "door"),
        ("store.rs", "//! x\nextern crate redis;", "door"),
        ("net/cidr.rs", "//! x\nfn f() { unsafe { g() } }", "unsafe"),
        ("script/bind.rs", "//! x\nunsafe extern \"C\" fn f() {}", "unsafe"),
        ("net/cidr.rs", "use std::net::IpAddr;", "//!"),
        ("net/cidr.rs", "//!\nuse std::net::IpAddr;", "//!"),
    ];
    for (name, text, law) in planted {
        let faults = check(name, text);
        assert!(faults.iter().any(|fault| fault.contains(law)), "{name}: {text:?} gave {faults:?}, not {law}");
    }
    let long = "//! x\n".to_owned() + &"\n".repeat(LONGEST);
    assert!(check("net/cidr.rs", &long)[0].contains("lines"));
}

#[test]
fn what_is_allowed_passes() {
    let fine = [
        ("net.rs", "//! x\nuse crate::http::Headers;"),
        ("upstream/pool.rs", "//! x\nuse crate::upstream::Config;\nuse crate::clock::Clock;\nuse super::Host;"),
        ("proxy/site.rs", "//! x\nuse crate::plan::Plan;"),
        ("script/bind/json.rs", "//! x\nuse mlua::Lua;\nuse crate::proxy::Exchange;"),
        ("script/handle/raw.rs", "//! x\nunsafe fn f() {}"),
        ("script/watchdog.rs", "//! x\nunsafe fn f() {}"),
        (
            "upstream/retry.rs",
            "//! x\n// `unsafe` and mlua::Lua and crate::proxy in a comment\nlet a = \"unsafe mlua::x crate::proxy\";",
        ),
        ("upstream/retry.rs", "//! x\nlet a = r#\"unsafe \" crate::cli\"#; let b = '\"'; let c: &'static str = \"x\";"),
        ("route.rs", "//! x\nmod tests {\n use super::Table;\n}"),
        ("gateway/watch.rs", "//! x\nuse notify::Watcher;"),
        ("gateway/worker.rs", "//! x\nself.notify.notify_one(); std::unsafe_code;"),
        ("downstream/serve_h2.rs", "//! x\nuse h2::server::Connection;"),
    ];
    for (name, text) in fine {
        assert_eq!(check(name, text), Vec::<String>::new(), "{name}: {text}");
    }
    let long = "//! x\n".to_owned() + &"\n".repeat(2 * LONGEST);
    assert!(check("net/cidr/tests.rs", &long).is_empty());
}

/// Every fault of one file; `name` is its path below `src`.
fn check(name: &str, text: &str) -> Vec<String> {
    let mut faults = shape(name, text);
    for (index, line) in code_only(text).lines().enumerate() {
        let mut fault = |what: String| faults.push(format!("{name}:{}: {what}", index + 1));
        if word_at(line, "unsafe").next().is_some() && !within(name, UNSAFE) {
            fault("unsafe outside script/handle and script/watchdog".into());
        }
        for &(dependency, door) in DOORS {
            if names(line, dependency) && !within(name, &[door]) {
                fault(format!("`{dependency}` has one door, {door}"));
            }
        }
        for module in modules(line) {
            if module == "{" {
                fault("one `use` a line".into());
            } else if !may_know(home(name), module) {
                fault(format!("upward or sideways: {} must not know {module}", home(name)));
            }
        }
    }
    faults.extend(climbs(name, text));
    faults
}

/// First line and length; `tests.rs` belongs to the file it tests, whose sentence speaks for both.
fn shape(name: &str, text: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let first = text.lines().next().unwrap_or_default();
    let tests = name.ends_with("/tests.rs");
    if !tests && first.strip_prefix("//!").is_none_or(|rest| rest.trim().is_empty()) {
        faults.push(format!("{name}: opens without a `//!` sentence"));
    }
    let lines = text.lines().count();
    if lines > LONGEST && !tests {
        faults.push(format!("{name}: {lines} lines, {LONGEST} at most"));
    }
    faults
}

/// The top-level module a file belongs to.
fn home(name: &str) -> &str {
    name.split('/').next().unwrap_or(name).trim_end_matches(".rs")
}

fn row(module: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.contains(&module))
}

fn may_know(home: &str, other: &str) -> bool {
    match (row(home), row(other)) {
        _ if home == other => true,
        (Some(0), Some(0)) => true,
        (Some(2), Some(2)) => home == "proxy",
        (Some(mine), Some(theirs)) => theirs < mine,
        _ => true,
    }
}

/// `super` chains that reach the crate's root, where every module can be had.
fn climbs(name: &str, text: &str) -> Option<String> {
    let depth = name.split('/').count();
    let code = code_only(text);
    let outside_tests = code.split("mod tests {").next().unwrap_or_default();
    let root = |code: &str, steps: usize| code.contains(&"super::".repeat(steps));
    (root(&code, depth + 1) || (root(outside_tests, depth) && !matches!(name, "lib.rs" | "main.rs")))
        .then(|| format!("{name}: upward through `super`; write the path from `crate`"))
}

/// The module after each `crate::` of a line.
fn modules(line: &str) -> impl Iterator<Item = &str> {
    word_at(line, "crate").filter_map(|at| {
        let rest = line[at + "crate".len()..].strip_prefix("::")?;
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
        Some(if end == 0 { &rest[..1.min(rest.len())] } else { &rest[..end] })
    })
}

/// Whether a line names a dependency (or a module of it) as the start of a path or in `use` and `extern crate`.
fn names(line: &str, dependency: &str) -> bool {
    word_at(line, dependency).any(|at| {
        let before = line[..at].trim_end();
        let before = before.strip_suffix("::").map_or(before, str::trim_end);
        let inside_a_path = line[..at].ends_with("::") && before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let leading = before.is_empty() || before.ends_with("use") || before.ends_with("crate");
        let path = line[at + dependency.len()..].starts_with("::");
        let through_use = before.ends_with("use") || before.ends_with("extern crate");
        (path && (!inside_a_path || leading)) || through_use
    })
}

/// Where `word` stands in `line` as a word of its own.
fn word_at<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    let part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).map(|(at, _)| at).filter(move |&at| {
        !line[..at].ends_with(part) && !line[..at].ends_with('.') && !line[at + word.len()..].starts_with(part)
    })
}

fn within(name: &str, places: &[&str]) -> bool {
    places
        .iter()
        .any(|place| name.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '.', '_'])))
}

/// The text with comments, strings and character literals blanked out, lines kept.
fn code_only(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |at| at + 2)
        } else if let Some(length) = raw_string(rest, &out) {
            length
        } else if c == '"' {
            quoted(rest, '"')
        } else if c == '\'' && is_char(rest) {
            quoted(rest, '\'')
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
            continue;
        };
        out.extend(rest[..skipped].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[skipped..];
    }
    out
}

fn raw_string(rest: &str, before: &str) -> Option<usize> {
    let body = rest.strip_prefix('r')?;
    let hashes = body.bytes().take_while(|&byte| byte == b'#').count();
    if !body[hashes..].starts_with('"') || before.ends_with(|c: char| c.is_alphanumeric() && c != 'b' || c == '_') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let start = 1 + hashes + 1;
    Some(rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len()))
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `'x'` and `'\n'`, not the lifetime `'a`.
fn is_char(rest: &str) -> bool {
    let mut chars = rest.chars().skip(1);
    matches!((chars.next(), chars.next()), (Some('\\'), _) | (Some(_), Some('\'')))
}

pub(crate) fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}
