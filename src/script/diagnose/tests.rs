use std::sync::Arc;

use super::sketch::Span;
use super::*;

fn sketch(source: &str) -> sketch::Sketch {
    sketches::read(&Arc::from(source)).expect("it parses")
}

#[test]
fn the_frame_looks_as_the_contract_shows_it() {
    let fault = Diagnostic::error("unknown option `strip_perfix` in route `GET /users/{id}`")
        .under("gateway.lua", Span { line: 5, column: 3, width: 12 })
        .label("did you mean `strip_prefix`?");
    let source = |_: &str| Some("\n\n\n\n  strip_perfix = \"/users\",\n".to_owned());
    let text = Faults::new(vec![fault], Vec::new(), &source).render(false);
    assert_eq!(
        text,
        "error: unknown option `strip_perfix` in route `GET /users/{id}`\n --> gateway.lua:5:3\n  |\n5 |   strip_perfix = \"/users\",\n  |   ^^^^^^^^^^^^ did you mean `strip_prefix`?\n"
    );
}

#[test]
fn ten_at_most_in_order_none_twice() {
    let fault = |line| Diagnostic::error("wrong").at("a.lua", line);
    let list = (1..=14).rev().chain([3, 3]).map(fault).collect();
    let faults = Faults::new(list, Vec::new(), &|_| None);
    assert_eq!(faults.list().len(), 10);
    assert_eq!(faults.list()[0].line, 1);
    assert!(faults.render(false).ends_with("and 4 more\n"));
}

#[test]
fn a_column_is_preferred_over_none() {
    let plain = Diagnostic::error("unknown name `x`").at("a.lua", 1);
    let exact = plain.clone().under("a.lua", Span { line: 1, column: 4, width: 1 });
    for list in [vec![plain.clone(), exact.clone()], vec![exact, plain]] {
        let faults = Faults::new(list, Vec::new(), &|_| None);
        assert_eq!(faults.list().len(), 1);
        assert_eq!(faults.list()[0].column, 4);
    }
}

#[test]
fn keys_are_found_through_nested_tables() {
    let sketch = sketch("gateway {\n  limits = { bdoy = \"1MB\" },\n}\n");
    let anchor = Anchor {
        file: "gateway.lua".into(),
        line: 1,
        word: "gateway".into(),
        subject: None,
        path: vec![Segment::Key("limits".into()), Segment::Key("bdoy".into())],
        spot: Spot::Key,
        within: None,
    };
    assert_eq!(resolve(&sketch, &anchor), Some(Span { line: 2, column: 14, width: 4 }));
    let value = Anchor { spot: Spot::Value, ..anchor };
    assert_eq!(resolve(&sketch, &value), Some(Span { line: 2, column: 21, width: 5 }));
}

#[test]
fn unknown_names_are_found_everywhere_at_once() {
    let sketch = sketch(
        "upstrem 'x' {}\nroute 'GET /' { function(req)\n  local a = foo\n  count += 1\n  for i, v in pairs(a) do print(i, v, bar) end\nend }\n",
    );
    let lint = lint("g.lua", &sketch, &[], &[]);
    let lines: Vec<String> =
        lint.faults.iter().map(|fault| format!("{}:{} {}", fault.line, fault.column, fault.line_form())).collect();
    assert_eq!(
        lines,
        [
            "1:1 g.lua:1: unknown name `upstrem`; did you mean `upstream`?",
            "3:13 g.lua:3: unknown name `foo`; declare it with `local`, or is it misspelt?",
            "5:39 g.lua:5: unknown name `bar`; declare it with `local`, or is it misspelt?",
            "4:3 g.lua:4: global `count` is not declared; write `local count`",
        ]
    );
}

#[test]
fn captured_locals_are_seen_through_nested_functions_and_own_ones_are_not() {
    let sketch = sketch(
        "local n = 0\nroute 'GET /' { function(req)\n  local own = 0\n  local function inner() own += 1 n += 1 end\n  inner()\nend }\nlocal t = 0\nlocal function early() t = t + 1 end\nearly()\n",
    );
    let lint = lint("g.lua", &sketch, &[], &[]);
    let names: Vec<&str> =
        lint.warnings.iter().map(|warning| warning.message.split('`').nth(1).expect("a name")).collect();
    assert_eq!(names, ["n"]);
}

#[test]
fn deep_nesting_ends_nothing() {
    let source = format!("local x = {}1{}", "(".repeat(100_000), ")".repeat(100_000));
    assert!(sketches::read(&Arc::from(source)).is_none());
    let source = format!("local x = {}1{}", "(".repeat(900), ")".repeat(900));
    assert!(sketches::read(&Arc::from(source)).is_some());
}

#[test]
fn a_fault_inside_a_text_is_underlined_alone() {
    let sketch = sketch("route \"GET /users/:id\" {}\n");
    let anchor = Anchor {
        line: 1,
        word: "route".into(),
        subject: Some("GET /users/:id".into()),
        spot: Spot::Subject,
        within: Some((11, 3)),
        ..Anchor::default()
    };
    assert_eq!(resolve(&sketch, &anchor), Some(Span { line: 1, column: 19, width: 3 }));
}
