//! Definitions for luau-lsp and luau-analyze: `declare`.

use std::fmt::Write as _;

use super::luals::has_functions;
use super::luals::line;
use crate::script::docs::Documented;
use crate::script::words;
use crate::script::words::Kind;
use crate::script::words::Opt;
use crate::script::words::Type;

/// The whole file.
pub(super) fn text(policies: &[Documented]) -> String {
    let mut out = String::from("-- Written by `moongate types`; do not edit.\n\n");
    out.push_str(include_str!("values.d.luau"));
    let known = |kind| words::all().iter().filter(move |word| word.kind == kind);
    for word in known(Kind::Declaration) {
        comment(&mut out, word.doc);
        let options = table(&word.options);
        if word.form.starts_with(&format!("{}.", word.name)) && word.members.is_empty() {
            let _ = writeln!(out, "declare {}: {{ [string]: string? }}\n", word.name);
        } else if has_functions(word) {
            members(&mut out, word.name);
        } else if word.options.is_empty() {
            let _ = writeln!(out, "declare function {}(...: any): any\n", word.name);
        } else if word.form.starts_with(&format!("{} \"", word.name)) {
            let _ = writeln!(out, "declare function {}(name: string): (options: {options}) -> any\n", word.name);
        } else {
            let _ = writeln!(out, "declare function {}(options: {options}): any\n", word.name);
        }
    }
    for policy in policies {
        comment(&mut out, &policy.doc);
        // What is called and has members too is no function of Luau's.
        if !words::members(&policy.name).is_empty() {
            let _ = writeln!(out, "declare {}: any\n", policy.name);
        } else {
            let _ = writeln!(out, "declare function {}(options: any?, more: any?): Step\n", policy.name);
        }
    }
    for word in known(Kind::Primitive) {
        comment(&mut out, word.doc);
        if has_functions(word) {
            members(&mut out, word.name);
        } else {
            let _ = writeln!(out, "declare function {}(...: any): any\n", word.name);
        }
    }
    out
}

/// The options of a word; further keys and the list part are open, since policies and steps stand there.
fn table(options: &[Opt]) -> String {
    let named = options.iter().filter(|option| !option.later && is_name(&option.name));
    let fields = named.map(|option| {
        let mark = if option.required { "" } else { "?" };
        format!("{}: {}{mark}", option.name, wrapped(&option.of))
    });
    let fields: Vec<_> = fields.chain(["[any]: any".to_owned()]).collect();
    format!("{{ {} }}", fields.join(", "))
}

fn is_name(name: &str) -> bool {
    name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.starts_with(|c: char| c.is_ascii_digit())
}

fn members(out: &mut String, name: &str) {
    let mut names: Vec<&str> = Vec::new();
    for member in words::members(name) {
        if !names.contains(&member) {
            names.push(member);
        }
    }
    let fields: Vec<_> = names.iter().map(|member| format!("{member}: any")).collect();
    let _ = writeln!(out, "declare {name}: {{ {}, [any]: any }}\n", fields.join(", "));
}

fn comment(out: &mut String, doc: &str) {
    let _ = writeln!(out, "-- {}", line(doc));
}

fn wrapped(of: &Type) -> String {
    let text = kind(of);
    if text.contains('|') || text.contains("->") { format!("({text})") } else { text }
}

/// A type as Luau writes it.
fn kind(of: &Type) -> String {
    match of {
        Type::Bool => "boolean".to_owned(),
        Type::Exactly(value) => value.to_string(),
        Type::Text(_) | Type::Template(_) | Type::Rate => "string".to_owned(),
        Type::Int(..) | Type::Status | Type::Number(..) => "number".to_owned(),
        Type::Duration | Type::Size => "string | number".to_owned(),
        Type::Function(_) => "(...any) -> any".to_owned(),
        Type::OneOf(words) if words.iter().all(|word| word.parse::<f64>().is_err()) => {
            words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" | ")
        }
        Type::List(of, ..) => format!("{{ {} }}", wrapped(of)),
        Type::Map(of) => format!("{{ [string]: {} }}", wrapped(of)),
        Type::Either(types) => types.iter().map(wrapped).collect::<Vec<_>>().join(" | "),
        Type::Any | Type::Templates(_) | Type::OneOf(_) | Type::Table(_) | Type::Step | Type::Regex => "any".to_owned(),
    }
}
