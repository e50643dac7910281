//! The options of a word, with those of the tables that stand in them.

use std::fmt::Write as _;

use serde_json::Value;
use serde_json::json;

use super::wrapped;
use crate::script::words::Opt;
use crate::script::words::Type;

/// What may be written inside a value of this type: in a table, or in those of a list.
fn parts(of: &Type) -> &[Opt] {
    match of {
        Type::Table(options) => options,
        Type::List(of, ..) | Type::Map(of) => parts(of),
        Type::Either(types) => types.iter().map(parts).find(|options| !options.is_empty()).unwrap_or_default(),
        _ => &[],
    }
}

/// The option at `path` (`health`, `health.every`).
pub(super) fn find<'a>(options: &'a [Opt], path: &str) -> Option<&'a Opt> {
    let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
    let option = options.iter().find(|option| option.name == name)?;
    rest.map_or(Some(option), |rest| find(parts(&option.of), rest))
}

/// One option, whole.
pub(super) fn alone(option: &Opt) -> String {
    let mut out = String::new();
    page(&mut out, std::slice::from_ref(option), "");
    out
}

/// Each with what may stand inside it, one step further in.
pub(super) fn page(out: &mut String, options: &[Opt], indent: &str) {
    let deeper = format!("{indent}    ");
    for option in options.iter().filter(|option| !option.later) {
        let mut facts = option.of.to_string();
        if option.required {
            facts.push_str(", required");
        }
        if !option.default.is_empty() {
            let _ = write!(facts, ", default {}", option.default);
        }
        let name = if option.name == "1" { "(first)" } else { &option.name };
        let _ = writeln!(out, "{}", wrapped(&format!("{name}: {facts}"), indent));
        if !option.doc.is_empty() {
            let _ = writeln!(out, "{}", wrapped(&option.doc, &deeper));
        }
        page(out, parts(&option.of), &deeper);
    }
    let later: Vec<_> = options.iter().filter(|option| option.later).map(|option| &*option.name).collect();
    if !later.is_empty() {
        let _ = writeln!(out, "{indent}not in this version: {}", later.join(", "));
    }
}

pub(super) fn json(option: &Opt) -> Value {
    let mut told = json!({
        "name": option.name,
        "type": option.of.to_string(),
        "default": option.default,
        "required": option.required,
        "later": option.later,
        "doc": option.doc,
    });
    let parts = parts(&option.of);
    if !parts.is_empty() {
        told["options"] = parts.iter().map(json).collect();
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::words;

    #[test]
    fn what_stands_in_a_table_is_told_below_it() {
        let upstream = words::find("upstream").expect("a word");
        let health = alone(find(&upstream.options, "health").expect("an option"));
        assert!(health.starts_with("health: a table"), "{health}");
        assert!(health.contains("\n    every: ") && health.contains("\n    fall: "), "{health}");
        assert!(find(&upstream.options, "health.every").is_some());
        assert!(find(&upstream.options, "health.evry").is_none() && find(&upstream.options, "every").is_none());
        let json = json(find(&upstream.options, "retry").expect("an option"));
        assert!(
            json["options"].as_array().is_some_and(|parts| parts.iter().any(|part| part["name"] == "times")),
            "{json}"
        );
    }

    #[test]
    fn every_option_of_every_word_says_something() {
        fn silent<'a>(options: &'a [Opt], found: &mut Vec<&'a str>) {
            for option in options.iter().filter(|option| !option.later) {
                if option.doc.is_empty() {
                    found.push(&option.name);
                }
                silent(parts(&option.of), found);
            }
        }
        for word in words::all() {
            let mut found = Vec::new();
            silent(&word.options, &mut found);
            assert!(found.is_empty(), "{}: {found:?}", word.name);
        }
    }
}
