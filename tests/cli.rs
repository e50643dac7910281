//! The command line: what each command says, and with which exit code it ends.

use std::process::Output;

use crate::support::binary;
use crate::support::binary::Setup;
use crate::support::temp::Dir;

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn ends(dir: &Dir, arguments: &[&str], code: i32) -> String {
    let output = binary::run(dir.path(), arguments);
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {}", text(&output));
    text(&output)
}

#[test]
fn help_explains_and_nonsense_is_exit_2() {
    let dir = Dir::new();
    let help = ends(&dir, &["--help"], 0);
    for command in ["run", "check", "routes", "test", "explain", "diff", "rollback", "types", "init", "docs", "purge"] {
        assert!(help.contains(command), "{command} is not in\n{help}");
        assert!(ends(&dir, &[command, "--help"], 0).len() > 100);
    }
    assert!(ends(&dir, &["--version"], 0).contains(env!("CARGO_PKG_VERSION")));
    ends(&dir, &["rnu"], 2);
    ends(&dir, &["run", "--wrokers", "2"], 2);
    ends(&dir, &["run", "--workers", "none"], 2);
    ends(&dir, &[], 2);
}

#[test]
fn init_writes_a_file_that_runs_at_once_and_never_overwrites() {
    let dir = Dir::new();
    ends(&dir, &["init"], 0);
    let written = dir.read("gateway.lua");
    let lines = written.lines().filter(|line| !line.trim().is_empty()).count();
    assert!((6..=12).contains(&lines), "{lines} lines:\n{written}");
    ends(&dir, &["check"], 0);
    let told = ends(&dir, &["init"], 1);
    assert!(told.contains("gateway.lua"), "{told}");
    assert_eq!(dir.read("gateway.lua"), written);
    let gateway = Setup::again(&std::sync::Arc::new(dir)).start();
    let mut client = gateway.client();
    assert_eq!(client.get("/hello").status, 200, "{}", gateway.output());
}

#[test]
fn check_is_0_or_3_and_shows_place_frame_and_suggestion() {
    let dir = Dir::new();
    dir.write(
        "gateway.lua",
        "route \"GET /users/{id}\" {\n  strip_perfix = \"/users\",\n  to = \"http://127.0.0.1:1\",\n}\n",
    );
    let told = ends(&dir, &["check"], 3);
    for part in ["gateway.lua:2:3", "strip_perfix", "strip_prefix", "^^^^"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let output = binary::run(dir.path(), &["check", "--json"]);
    assert_eq!(output.status.code(), Some(3));
    let json: serde_json::Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)));
    assert!(json.to_string().contains("strip_perfix"), "{json}");
    dir.write("gateway.lua", "route \"GET /\" { to = \"http://127.0.0.1:1\" }");
    ends(&dir, &["check"], 0);
    ends(&dir, &["check", "elsewhere.lua"], 3);
    dir.write("gateway.lua", "upstream \"unused\" { \"127.0.0.1:1\" }\nroute \"GET /\" { function() return 204 end }");
    assert!(ends(&dir, &["check"], 0).contains("unused"));
    let strict = binary::run(dir.path(), &["check", "--strict"]);
    assert_ne!(strict.status.code(), Some(0), "--strict lets a warning pass");
}

#[test]
fn routes_lists_as_text_and_as_json() {
    let dir = Dir::new();
    dir.write("gateway.lua", "upstream \"users\" { \"127.0.0.1:1\" }\nroute \"GET /users/{id}\" { name = \"user\", to = \"users\" }\nroute \"POST a.dev/x\" { function() return 204 end }");
    let told = ends(&dir, &["routes"], 0);
    for part in ["/users/{id}", "users", "a.dev", "gateway.lua:2"] {
        assert!(told.contains(part), "{part} is not in\n{told}");
    }
    let output = binary::run(dir.path(), &["routes", "--json"]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let list = json.as_array().cloned().or_else(|| json["routes"].as_array().cloned()).expect("a list");
    assert_eq!(list.len(), 2, "{json}");
    dir.write("gateway.lua", "broken (");
    ends(&dir, &["routes"], 3);
}

#[test]
fn docs_tell_every_word_and_know_what_is_close() {
    let dir = Dir::new();
    for word in ["route", "gateway", "upstream", "fetch", "codes", "transform_request", "store"] {
        assert!(ends(&dir, &["docs", word], 0).len() > 80, "{word}");
    }
    for topic in ["req", "res", "err", "templates"] {
        let page = ends(&dir, &["docs", topic], 0);
        let (_, example) = page.split_once("Example\n").expect("an example");
        dir.write("gateway.lua", example);
        ends(&dir, &["check"], 0);
        let json = binary::run(dir.path(), &["docs", topic, "--json"]);
        assert!(serde_json::from_slice::<serde_json::Value>(&json.stdout).is_ok());
    }
    assert!(ends(&dir, &["docs", "codes"], 0).contains("upstream.connect"));
    assert!(ends(&dir, &["docs", "lints"], 0).contains("unused-upstream"));
    assert!(ends(&dir, &["docs"], 0).contains("route"));
    let output = binary::run(dir.path(), &["docs", "upstrem"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(text(&output).contains("upstream"), "{}", text(&output));
}

/// The example of the reference, against a gateway as it describes it.
#[test]
fn the_test_that_the_reference_shows_passes() {
    let dir = Dir::new();
    let page = ends(&dir, &["docs", "test"], 0);
    let (_, example) = page.split_once("Example\n").expect("an example");
    dir.write("gateway_test.lua", example);
    let script = r#"
upstream "legacy" { "10.0.0.1:80" }
route "GET /v1/orders/{id}" { jwt { secret = secret "KEY" }, rate_limit { "60/min", by = "user" }, to = "legacy" }"#;
    dir.write("gateway.lua", script);
    assert!(ends(&dir, &["test"], 0).contains("1 passed"));
}

#[test]
fn results_are_told_to_programs_too() {
    let dir = Dir::new();
    dir.write("gateway.lua", "route \"GET /\" { mock {} }");
    dir.write("gateway_test.lua", "test(\"a <b>\", function(gw) expect(gw:get(\"/\").status).is(201) end)");
    let output = binary::run(dir.path(), &["test", "--json", "--junit", "out.xml", "--lcov", "out.info"]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((json["passed"].as_u64(), json["failed"].as_u64()), (Some(0), Some(1)), "{json}");
    assert_eq!(json["files"][0]["tests"][0]["failed"]["message"], "expected 201, got 200");
    let xml = std::fs::read_to_string(dir.join("out.xml")).unwrap();
    assert!(xml.contains("<testcase name=\"a &lt;b&gt;\"") && xml.contains("expected 201, got 200"), "{xml}");
    assert!(std::fs::read_to_string(dir.join("out.info")).unwrap().contains("SF:gateway.lua\nDA:1,"));
}

#[test]
fn init_sets_an_editor_up() {
    let dir = Dir::new();
    ends(&dir, &["init"], 0);
    for file in [".luarc.json", ".moongate/types.lua", ".moongate/types.d.luau"] {
        assert!(dir.join(file).exists(), "{file}");
    }
    assert!(ends(&dir, &["types", "--print", "luals"], 0).contains("---@field strip_prefix? string"));
    assert!(ends(&dir, &["types", "--print", "luau"], 0).contains("declare function route(name: string)"));
}

#[test]
fn the_config_is_found_by_argument_environment_or_place() {
    let dir = Dir::new();
    ends(&dir, &["run"], 3);
    dir.write("other.lua", "route \"GET /other\" { function() return 204 end }");
    dir.write("gateway.lua", "route \"GET /here\" { function() return 204 end }");
    assert!(ends(&dir, &["routes"], 0).contains("/here"));
    assert!(ends(&dir, &["routes", "other.lua"], 0).contains("/other"));
    let output =
        binary::command().current_dir(dir.path()).env("MOONGATE_CONFIG", "other.lua").arg("routes").output().unwrap();
    assert!(text(&output).contains("/other"));
}

#[test]
fn ten_mistakes_are_told_at_once_and_not_more() {
    let dir = Dir::new();
    let mistakes: String =
        (0..20).map(|n| format!("route \"GET /{n}\" {{ tto = \"x\", function() return 204 end }}\n")).collect();
    dir.write("gateway.lua", mistakes);
    let told = ends(&dir, &["check"], 3);
    assert_eq!(told.matches("unknown option").count(), 10, "{told}");
}
