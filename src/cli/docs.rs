//! `moongate docs`: the reference, from the same table that checks scripts.

mod options;

use std::fmt::Write as _;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::cli::Exit;
use crate::cli::fail;
use crate::cli::say;
use crate::proxy::Code;
use crate::script;
use crate::script::diagnose::LINTS;
use crate::script::docs::Documented;
use crate::script::words;
use crate::script::words::Kind;
use crate::script::words::Word;

/// Print the reference: all words, or one with its options
///
/// Prints the reference that this binary was built with.
#[derive(Args)]
pub(super) struct Docs {
    /// A word such as `route` or `mock`, an option (`upstream.health`) or a failure code (`jwt.invalid`); `req`, `res`, `err`, `templates`, `test` or `admin`; `codes` for every failure code; `lints` for every warning of check; none for the list of words
    #[arg(value_name = "WORD")]
    word: Option<String>,
    /// As JSON
    #[arg(long)]
    json: bool,
}

impl Docs {
    pub(super) fn run(self) -> Exit {
        match self.word.as_deref() {
            None => {
                let policies = policies();
                let all = || words::all().iter().map(word_json).chain(policies.iter().map(policy_json)).collect();
                self.print(|| index(&policies), || Value::Array(all()))
            }
            Some("codes") => self.print(codes, codes_json),
            Some("lints") => self.print(lints, lints_json),
            Some(name) if topic(name).is_some() => {
                let text = topic(name).unwrap_or_default();
                self.print(|| text.to_owned(), || json!({ "topic": name, "text": text }))
            }
            Some(name) => self.one(name),
        }
    }

    fn one(&self, name: &str) -> Exit {
        if let Some(code) = Code::ALL.iter().find(|(code, ..)| *code == name) {
            return self.print(|| code_line(code, code.0.len()), || code_json(code));
        }
        let policies = policies();
        let (first, path) = name.split_once('.').unwrap_or((name, ""));
        let policy = policies.iter().find(|policy| policy.name == first);
        let word = words::find(first);
        let listed = policy.map(|policy| &policy.options).or_else(|| word.map(|word| &word.options));
        if let (Some(listed), false) = (listed, path.is_empty())
            && let Some(option) = options::find(listed, path)
        {
            return self.print(|| options::alone(option), || options::json(option));
        }
        let is_member = |(form, _): &(&str, &str)| form.split(['(', ' ']).any(|part| part == name);
        match (policy, word) {
            (Some(policy), _) if path.is_empty() || words::functions(first).iter().any(is_member) => {
                self.print(|| policy_page(policy), || policy_json(policy))
            }
            (_, Some(word)) if path.is_empty() || word.members.iter().any(is_member) => {
                self.print(|| page(word), || word_json(word))
            }
            _ => fail(Exit::Usage, &format!("no word `{name}`{}", hint(name, &policies))),
        }
    }

    fn print(&self, text: impl FnOnce() -> String, json: impl FnOnce() -> Value) -> Exit {
        if self.json {
            say(format_args!("{}\n", json()));
        } else {
            say(format_args!("{}", text()));
        }
        Exit::Fine
    }
}

/// Where what is no word may be found.
fn hint(name: &str, policies: &[Documented]) -> String {
    let of_policies = policies.iter().map(|policy| (policy.name.as_str(), &policy.options));
    let of_words = words::all().iter().map(|word| (word.name, &word.options));
    let holders = of_words.chain(of_policies).filter(|(_, listed)| options::find(listed, name).is_some());
    let holders: Vec<_> = holders.map(|(word, _)| format!("`moongate docs {word}.{name}`")).collect();
    if !holders.is_empty() {
        return format!("; an option has this name: {}", holders.join(", "));
    }
    words::nearest(name, words::globals()).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default()
}

/// What is no word but has a page: the values that functions meet.
fn topic(name: &str) -> Option<&'static str> {
    TOPICS.iter().find(|(topic, _)| *topic == name).map(|(_, text)| *text)
}

const TOPICS: &[(&str, &str)] = &[
    ("req", include_str!("docs/req.txt")),
    ("res", include_str!("docs/res.txt")),
    ("err", include_str!("docs/err.txt")),
    ("templates", include_str!("docs/templates.txt")),
    ("test", include_str!("docs/test.txt")),
    ("admin", include_str!("docs/admin.txt")),
];

/// What the standard library declares; without it the reference still has every other word.
pub(super) fn policies() -> Vec<Documented> {
    script::docs::policies().unwrap_or_else(|error| {
        eprintln!("warning: the standard library cannot be read: {error}");
        Vec::new()
    })
}

/// All words, by kind.
fn index(policies: &[Documented]) -> String {
    let mut out = String::new();
    let of = |kind| words::all().iter().filter(move |word| word.kind == kind);
    let told = |kind| of(kind).map(|word| (word.name, word.doc)).collect::<Vec<_>>();
    listed(&mut out, "Declarations", &told(Kind::Declaration));
    let steps: Vec<_> = policies.iter().map(|policy| (policy.name.as_str(), policy.doc.as_str())).collect();
    listed(&mut out, "Policies (steps)", &steps);
    listed(&mut out, "Callable from any function", &told(Kind::Primitive));
    for (kind, title) in [(Kind::Language, "Luau"), (Kind::Later, "Not in this version")] {
        let names: Vec<_> = of(kind).map(|word| word.name).collect();
        let _ = writeln!(out, "{title}\n{}\n", wrapped(&names.join(" "), "  "));
    }
    out.push_str(
        "`moongate docs WORD` tells one of them, `moongate docs codes` every failure code, `lints` every warning;\n",
    );
    out.push_str("the values that functions meet are told by `moongate docs req`, `res`, `err` and `templates`, what tests may call by `test`,\nwhat the admin listener answers by `admin`.\n");
    out
}

/// Words with the first sentence of each.
fn listed(out: &mut String, title: &str, words: &[(&str, &str)]) {
    let width = words.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let _ = writeln!(out, "{title}");
    for (name, doc) in words {
        let first = doc.split_inclusive(". ").next().unwrap_or_default().trim();
        let _ = writeln!(out, "  {name:width$}  {first}");
    }
    out.push('\n');
}

/// A policy, whole.
fn policy_page(policy: &Documented) -> String {
    let mut out = format!("{} {{ … }}\n\n{}\n", policy.name, wrapped(&policy.doc, "  "));
    if !policy.options.is_empty() {
        out.push_str("\nOptions\n");
        options::page(&mut out, &policy.options, "  ");
    }
    let functions = words::functions(&policy.name);
    if !functions.is_empty() {
        out.push_str("\nFunctions\n");
        members(&mut out, functions);
    }
    out.push_str("\nAs any policy it takes when = function(req) → boolean; one that decides also status, detail and\n");
    out.push_str("enforce = false.\n");
    out
}

/// One word, whole.
fn page(word: &Word) -> String {
    let mut out = format!("{}\n\n{}\n", word.form, wrapped(word.doc, "  "));
    if !word.options.is_empty() {
        out.push_str("\nOptions\n");
        options::page(&mut out, &word.options, "  ");
    }
    if !word.members.is_empty() {
        out.push('\n');
        members(&mut out, &word.members);
    }
    if !word.example.is_empty() {
        out.push_str("\nExample\n");
        for line in word.example.lines() {
            let _ = writeln!(out, "  {line}");
        }
    }
    out
}

fn members(out: &mut String, members: &[(&str, &str)]) {
    for (form, doc) in members {
        let _ = writeln!(out, "  {form}\n{}", wrapped(doc, "      "));
    }
}

fn codes() -> String {
    let width = Code::ALL.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    Code::ALL.iter().map(|code| code_line(code, width)).collect()
}

fn code_line((name, status, doc): &(&str, u16, &str), width: usize) -> String {
    format!("{name:width$}  {status}  {}\n", doc.trim())
}

fn lints() -> String {
    let width = LINTS.iter().map(|(id, _)| id.len()).max().unwrap_or(0);
    let mut out = String::from(
        "What `moongate check` warns of. A comment silences one: `-- moongate: allow ID`, at the end of the line\nit is told of, or on a line of its own above. `check --strict` takes those that are left for mistakes.\n\n",
    );
    for (id, doc) in LINTS {
        let _ = writeln!(out, "  {id:width$}  {doc}");
    }
    out
}

fn lints_json() -> Value {
    LINTS.iter().map(|(id, doc)| json!({ "id": id, "doc": doc })).collect()
}

fn codes_json() -> Value {
    Code::ALL.iter().map(code_json).collect()
}

fn code_json((name, status, doc): &(&str, u16, &str)) -> Value {
    json!({ "code": name, "status": status, "doc": doc.trim() })
}

fn policy_json(policy: &Documented) -> Value {
    json!({
        "name": policy.name,
        "kind": Kind::Policy.as_str(),
        "doc": policy.doc,
        "options": policy.options.iter().map(options::json).collect::<Vec<_>>(),
        "members": members_json(words::functions(&policy.name)),
    })
}

fn members_json(members: &[(&str, &str)]) -> Value {
    members.iter().map(|(form, doc)| json!({ "form": form, "doc": doc })).collect()
}

fn word_json(word: &Word) -> Value {
    json!({
        "name": word.name,
        "kind": word.kind.as_str(),
        "form": word.form,
        "doc": word.doc,
        "options": word.options.iter().map(options::json).collect::<Vec<_>>(),
        "members": members_json(&word.members),
        "example": word.example,
    })
}

/// `text` in lines of a page's width, each after `indent`.
fn wrapped(text: &str, indent: &str) -> String {
    let mut out = String::from(indent);
    let mut column = indent.len();
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if column > indent.len() && column + 1 + length > WIDTH {
            let _ = write!(out, "\n{indent}");
            column = indent.len();
        } else if column > indent.len() {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
    }
    out
}

const WIDTH: usize = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_a_page_that_says_something() {
        for word in words::all().iter().filter(|word| matches!(word.kind, Kind::Declaration | Kind::Primitive)) {
            let page = page(word);
            assert!(page.starts_with(word.form) && page.lines().count() > 2, "{}:\n{page}", word.name);
            assert!(page.lines().all(|line| line.chars().count() <= 140), "{page}");
        }
    }

    #[test]
    fn the_index_names_what_comes_later_as_such() {
        let index = index(&[]);
        let later = index.split("Not in this version").nth(1).expect("a section of later words");
        assert!(later.contains("soap"));
        assert!(index.contains("\n  route "));
    }

    #[test]
    fn codes_come_with_their_status() {
        assert!(codes().lines().any(|line| line.starts_with("route.none") && line.contains("404")));
        assert_eq!(codes_json().as_array().map(Vec::len), Some(Code::ALL.len()));
    }

    #[test]
    fn what_has_no_page_is_found_where_it_is_an_option() {
        assert_eq!(hint("health", &[]), "; an option has this name: `moongate docs upstream.health`");
        assert_eq!(hint("rout", &[]), "; did you mean `route`?");
    }

    #[test]
    fn long_texts_are_wrapped() {
        let text = wrapped(&"word ".repeat(50), "    ");
        assert!(text.lines().all(|line| line.len() <= WIDTH && line.starts_with("    word")), "{text}");
    }
}
