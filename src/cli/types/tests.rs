use super::*;
use crate::script::words;
use crate::script::words::Kind;

#[test]
fn every_word_has_a_type_in_both_files() {
    let policies = crate::cli::docs::policies();
    let (luals, luau) = (luals::text(&policies), luau::text(&policies));
    assert!(policies.len() > 20);
    let words = words::all().iter().filter(|word| matches!(word.kind, Kind::Declaration | Kind::Primitive));
    for name in words.map(|word| word.name).chain(policies.iter().map(|policy| policy.name.as_str())) {
        let known = [format!("function {name}("), format!("{name} = {{}}"), format!("declare {name}:")];
        for text in [&luals, &luau] {
            assert!(known.iter().any(|form| text.lines().any(|line| line.contains(form.as_str()))), "{name}");
        }
    }
    for option in ["strip_prefix?", "rewrite?"] {
        assert!(luals.contains(&format!("---@field {option} string ")), "{option}");
    }
}

/// What the reference tells of `req` and `res` is what editors know.
#[test]
fn the_values_that_functions_meet_are_whole() {
    let luals = include_str!("values.lua");
    for text in [include_str!("../docs/req.txt"), include_str!("../docs/res.txt")] {
        let methods = text.split_whitespace().filter_map(|word| word.strip_prefix(':')?.split('(').next());
        for method in methods.filter(|method| !matches!(*method, "upper" | "map")) {
            assert!(luals.contains(&format!(":{method}(")), "{method}");
        }
    }
}

#[test]
fn what_tests_may_call_is_known_to_editors() {
    let luals = include_str!("values.lua");
    let told = include_str!("../docs/test.txt");
    let named = told.split_whitespace().filter_map(|word| word.strip_prefix("gw:"));
    let names: Vec<_> =
        named.filter_map(|word| word.split(['(', '"', ' ']).next()).filter(|name| !name.is_empty()).collect();
    assert!(names.len() > 10 && names.contains(&"websocket"));
    for name in names {
        assert!(luals.contains(&format!("function gw:{name}(")), "{name}");
    }
}

#[test]
fn an_editor_is_set_up_once_and_its_settings_stay() {
    let folder = crate::gateway::scratch::Scratch::new();
    let written = write(folder.path()).unwrap();
    assert_eq!(written.len(), 3);
    std::fs::write(folder.path().join(".luarc.json"), "{}").unwrap();
    assert_eq!(write(folder.path()).unwrap().len(), 2);
    assert_eq!(std::fs::read_to_string(folder.path().join(".luarc.json")).unwrap(), "{}");
    let settings: serde_json::Value = serde_json::from_str(SETTINGS).unwrap();
    assert!(settings["workspace.library"].is_array());
}
