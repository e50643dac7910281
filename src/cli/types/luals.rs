//! Definitions for the Lua language server: `---@meta`.

use std::fmt::Write as _;

use crate::script::docs::Documented;
use crate::script::words;
use crate::script::words::Kind;
use crate::script::words::Opt;
use crate::script::words::Type;
use crate::script::words::Word;

/// The whole file.
pub(super) fn text(policies: &[Documented]) -> String {
    let mut out = String::from("---@meta\n-- Written by `moongate types`; do not edit.\n\n");
    out.push_str(include_str!("values.lua"));
    let known = |kind| words::all().iter().filter(move |word| word.kind == kind);
    for word in known(Kind::Declaration) {
        class(&mut out, word.name, &word.options);
        comment(&mut out, word.doc);
        if word.form.starts_with(&format!("{}.", word.name)) && word.members.is_empty() {
            let _ = writeln!(out, "---@type table<string, string?>\n{} = {{}}\n", word.name);
        } else if has_functions(word) {
            members(&mut out, word.name, &word.members);
        } else if word.options.is_empty() {
            let _ = writeln!(out, "---@return any\nfunction {}(...) end\n", word.name);
        } else if word.form.starts_with(&format!("{} \"", word.name)) {
            let _ = writeln!(
                out,
                "---@param name string\n---@return fun(options: moongate.{0}.options): any\nfunction {0}(name) end\n",
                word.name
            );
        } else {
            let _ = writeln!(
                out,
                "---@param options moongate.{0}.options\n---@return any\nfunction {0}(options) end\n",
                word.name
            );
        }
    }
    for policy in policies {
        class(&mut out, &policy.name, &policy.options);
        comment(&mut out, &policy.doc);
        let members = words::members(&policy.name);
        let own = format!("fun(options?: moongate.{}.options|any, more?: table): moongate.step", policy.name);
        match &members[..] {
            [] => {
                let _ = writeln!(
                    out,
                    "---@param options? moongate.{0}.options|any\n---@param more? table\n---@return moongate.step\nfunction {0}(options, more) end\n",
                    policy.name
                );
            }
            members => {
                let _ = writeln!(out, "---@class moongate.{0}\n---@overload {own}\n{0} = {{}}", policy.name);
                for member in members {
                    let _ = writeln!(out, "function {}.{member}(...) end", policy.name);
                }
                out.push('\n');
            }
        }
    }
    for word in known(Kind::Primitive) {
        comment(&mut out, word.doc);
        if has_functions(word) {
            members(&mut out, word.name, &word.members);
        } else {
            let _ = writeln!(out, "---@return any\nfunction {}(...) end\n", word.name);
        }
    }
    out
}

/// Whether it is a table of functions (`json.encode`), not one function.
pub(super) fn has_functions(word: &Word) -> bool {
    !words::members(word.name).is_empty()
}

/// The options of a word, as a class.
fn class(out: &mut String, name: &str, options: &[Opt]) {
    let _ = writeln!(out, "---@class moongate.{name}.options");
    for option in options.iter().filter(|option| !option.later) {
        let optional = if option.required { "" } else { "?" };
        let name = match option.name.as_ref() {
            "1" => "[integer]".to_owned(),
            name if name.starts_with('(') => "[string]".to_owned(),
            name => format!("{name}{optional}"),
        };
        let default = if option.default.is_empty() { String::new() } else { format!(" (default {})", option.default) };
        let _ = writeln!(out, "---@field {name} {} {}{default}", kind(&option.of), line(&option.doc));
    }
    out.push('\n');
}

/// A namespace, or a word that can be called and has members.
fn members(out: &mut String, name: &str, members: &[(&'static str, &'static str)]) {
    let _ = writeln!(out, "{name} = {{}}\n");
    let mut seen = Vec::new();
    for (form, doc) in members {
        let Some(rest) = form.strip_prefix(name).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let member = rest.split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.').next().unwrap_or(rest);
        if seen.contains(&member) {
            continue;
        }
        seen.push(member);
        for (end, _) in member.match_indices('.') {
            let outer = &member[..end];
            if !seen.contains(&outer) {
                seen.push(outer);
                let _ = writeln!(out, "{name}.{outer} = {{}}");
            }
        }
        comment(out, &format!("`{form}`: {doc}"));
        let _ = writeln!(out, "---@return any\nfunction {name}.{member}(...) end\n");
    }
}

fn comment(out: &mut String, doc: &str) {
    let _ = writeln!(out, "--- {}", line(doc));
}

/// A text in one line.
pub(super) fn line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A type as the server writes it.
fn kind(of: &Type) -> String {
    match of {
        Type::Any | Type::Templates(_) => "any".to_owned(),
        Type::Bool => "boolean".to_owned(),
        Type::Exactly(value) => value.to_string(),
        Type::Text(_) | Type::Template(_) => "string".to_owned(),
        Type::Int(..) | Type::Status => "integer".to_owned(),
        Type::Number(..) => "number".to_owned(),
        Type::Duration | Type::Size => "string|number".to_owned(),
        Type::Rate => "string".to_owned(),
        Type::Function(parameters) => function(parameters),
        Type::OneOf(words) => words
            .iter()
            .map(|word| if word.parse::<f64>().is_ok() { word.to_string() } else { format!("{word:?}") })
            .collect::<Vec<_>>()
            .join("|"),
        Type::List(of, ..) => format!("({})[]", kind(of)),
        Type::Map(of) => format!("table<string, {}>", kind(of)),
        Type::Table(_) => "table".to_owned(),
        Type::Either(types) => types.iter().map(kind).collect::<Vec<_>>().join("|"),
        Type::Step => "moongate.step|moongate.handler".to_owned(),
        Type::Regex => "moongate.regex".to_owned(),
    }
}

/// `fun(req: moongate.req, res: moongate.res): any`
fn function(parameters: &str) -> String {
    let typed = parameters.split(',').map(str::trim).filter(|name| !name.is_empty()).map(|name| {
        let plain: String = name.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        match plain.as_str() {
            "req" => "req: moongate.req".to_owned(),
            "res" => "res: moongate.res".to_owned(),
            "err" => "err: moongate.err".to_owned(),
            "" => "...: any".to_owned(),
            other => format!("{other}: any"),
        }
    });
    format!("fun({}): any", typed.collect::<Vec<_>>().join(", "))
}
