//! `assert_routes { "/admin/**", has = "jwt" }`: what must hold of every route under a path, whoever adds one.

use std::collections::BTreeSet;

use mlua::Lua;
use mlua::Table;
use mlua::Value;
use serde_json::Value as Json;

use super::Session;
use super::here;
use super::read;
use crate::plan::Plan;
use crate::plan::Step;
use crate::primitive::glob::Glob;
use crate::script::diagnose::Anchor;
use crate::script::diagnose::Spot;
use crate::script::options::Check;
use crate::script::options::List;
use crate::script::options::describe;
use crate::script::words;
use crate::script::words::roles;

/// One `assert_routes`.
pub(crate) struct Assertion {
    anchor: Anchor,
    paths: Vec<String>,
    has: Vec<String>,
}

pub(super) fn install(lua: &Lua, globals: &Table) -> mlua::Result<()> {
    globals.raw_set("assert_routes", lua.create_function(assert_routes)?)
}

fn assert_routes(lua: &Lua, table: Value) -> mlua::Result<()> {
    let session = Session::of(lua, "assert_routes")?;
    let anchor = here(lua, "assert_routes", None);
    let Value::Table(table) = table else {
        let said = format!("`assert_routes` needs a table, and got {}", describe(&table));
        session.fault(anchor, said, "write assert_routes { \"/admin/**\", has = \"jwt\" }", "");
        return Ok(());
    };
    let known = words::find("assert_routes").map(|word| word.options.as_slice()).unwrap_or_default();
    let typed = Check::new(lua, &session, &anchor, "`assert_routes`", List::Values).options(&table, known)?;
    let paths: Vec<String> = read::list(&typed).iter().filter_map(|path| path.to_string().ok()).collect();
    let has = match typed.raw_get::<Value>("has")? {
        Value::String(word) => vec![word.to_string_lossy()],
        _ => read::texts(&typed, "has"),
    };
    for path in &paths {
        if let Err(fault) = Glob::new(path) {
            session.fault(anchor.clone(), fault.to_string(), "", "");
        }
    }
    if paths.is_empty() {
        session.fault(
            anchor,
            "`assert_routes` names no path",
            "write assert_routes { \"/admin/**\", has = \"jwt\" }",
            "",
        );
    } else if !has.is_empty() {
        session.asserts.borrow_mut().push(Assertion { anchor, paths, has });
    }
    Ok(())
}

/// Routes that do not have what was asserted of them.
pub(crate) fn judge(session: &Session, plan: &Plan) {
    let mut told = BTreeSet::new();
    for Assertion { anchor, paths, has } in &*session.asserts.borrow() {
        let own: Vec<String> = session.own_words();
        let unknown: Vec<_> = has.iter().filter(|word| !words::is_global(word) && !own.contains(word)).collect();
        for word in &unknown {
            if told.insert((*word).clone()) {
                let label = words::nearest(word, words::globals()).map(|near| format!("did you mean `{near}`?"));
                session.fault(anchor.clone(), format!("no policy `{word}`"), label.unwrap_or_default(), "");
            }
        }
        if !unknown.is_empty() {
            // Nothing is known of the routes before the word is one.
            continue;
        }
        for route in plan.routes.iter().filter(|route| paths.iter().any(|path| covers(path, &route.matcher.path))) {
            let lock = route.steps.iter().position(|step| is_met(step, has));
            let before = &route.steps[..lock.unwrap_or(0)];
            let early = before.iter().find(|step| roles::serves(&step.word));
            if lock.is_some() && early.is_none() {
                continue;
            }
            let (file, line) = &route.place;
            let words = has.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or ");
            let at = Anchor { spot: Spot::Subject, ..anchor.clone() };
            let (said, help) = match early {
                Some(Step { word, place: (at, row), .. }) => (
                    format!(
                        "route `{}` at {file}:{line} may be answered by `{word}` at {at}:{row} before {words}",
                        route.pattern
                    ),
                    "steps run in the order written, outer levels first: write the lock in front of what answers",
                ),
                None => (
                    format!("route `{}` at {file}:{line} has no {words}", route.pattern),
                    "a step with a `when` does not count, nor an `any_of` that lets others in too",
                ),
            };
            session.fault(at, said, "asserted here", help);
        }
    }
}

/// `/admin/**` stands for `/admin` too.
fn covers(glob: &str, path: &str) -> bool {
    let whole = glob.strip_suffix("/**").is_some_and(|front| path == front);
    whole || Glob::new(glob).is_ok_and(|glob| glob.matches(path))
}

/// Whether nobody passes `step` without one of `has`.
fn is_met(step: &Step, has: &[String]) -> bool {
    let options: Json = serde_json::from_str(&step.options).unwrap_or_default();
    if options.get("when").is_some() || options.get("enforce") == Some(&Json::Bool(false)) {
        return false;
    }
    let named = |word: &Json| word.as_str().is_some_and(|word| has.iter().any(|has| has == word));
    let branches = options.as_array().filter(|list| step.word == "any_of" && !list.is_empty());
    has.contains(&step.word) || branches.is_some_and(|list| list.iter().all(named))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(word: &str, options: &str) -> Step {
        Step { word: word.into(), options: options.into(), ..Step::default() }
    }

    #[test]
    fn only_what_nobody_gets_round_counts() {
        let has = ["jwt".to_owned(), "api_key".to_owned()];
        assert!(is_met(&step("jwt", "{}"), &has));
        assert!(!is_met(&step("cors", "{}"), &has));
        assert!(!is_met(&step("jwt", r#"{"when":"function@gateway.lua:1"}"#), &has));
        assert!(!is_met(&step("jwt", r#"{"enforce":false}"#), &has));
        assert!(is_met(&step("any_of", r#"["jwt","api_key"]"#), &has));
        assert!(!is_met(&step("any_of", r#"["jwt","basic_auth"]"#), &has));
        assert!(!is_met(&step("any_of", "[]"), &has));
    }

    #[test]
    fn a_path_and_what_is_below_it() {
        assert!(covers("/admin/**", "/admin") && covers("/admin/**", "/admin/a/{id}"));
        assert!(!covers("/admin/**", "/administrators"));
        assert!(covers("/a", "/a") && !covers("/a", "/a/b"));
    }
}
