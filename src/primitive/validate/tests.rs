//! Rules against bodies and parameters.

use serde_json::json;

use super::format::Format;
use super::*;

fn field(name: &str, rule: Rule) -> Field {
    Field { name: name.into(), rule, required: true, default: None }
}

fn optional(name: &str, rule: Rule) -> Field {
    Field { required: false, ..field(name, rule) }
}

fn filled(name: &str, rule: Rule, default: Value) -> Field {
    Field { default: Some(default), ..optional(name, rule) }
}

fn int(min: f64, max: f64) -> Rule {
    Rule::Int(Bounds { min: Some(min), max: Some(max) })
}

fn text() -> Rule {
    Rule::Text(Text::default())
}

fn list(items: Rule) -> Rule {
    Rule::List(Box::new(List { items, min: Some(1), max: Some(3) }))
}

fn object(fields: Vec<Field>) -> Rule {
    Rule::Object(Object::new(fields, false))
}

fn told(rule: &Rule, text: &str) -> Vec<String> {
    match check(rule, text.as_bytes()) {
        Ok(Checked::Faulty(faults)) => {
            faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect()
        }
        Ok(Checked::Fine) => Vec::new(),
        Ok(Checked::Filled(text)) => vec![String::from_utf8(text).unwrap()],
        Err(fault) => vec![fault.to_string()],
    }
}

#[test]
fn every_fault_has_its_pointer() {
    let rule = object(vec![
        field("id", int(1.0, 10.0)),
        field("tags", list(text())),
        field("mail", Rule::Text(Text { format: Some(Format::Email), ..Text::default() })),
        optional("a/b", Rule::Bool),
    ]);
    assert_eq!(told(&rule, r#"{"id":3,"tags":["x"],"mail":"a@b.co","a/b":true}"#), [""; 0]);
    assert_eq!(
        told(&rule, r#"{"id":0,"tags":["x",1,"y","z"],"a/b":null,"new":{}}"#),
        [
            "/id: must be a whole number from 1 to 10",
            "/tags/1: must be text",
            "/tags: must be a list of 1 to 3 items",
            "/a~1b: must be true or false",
            "/new: is not expected",
            "/mail: is missing",
        ]
    );
    assert_eq!(told(&rule, "[]"), [": must be an object"]);
    assert_eq!(told(&rule, r#"{"id":1,"id":2,"tags":["x"],"mail":"a@b.co"}"#), ["/id: stands here twice"]);
    assert_eq!(told(&rule, "{"), ["unexpected end where a name should be at offset 1"]);
    assert_eq!(told(&rule, ""), ["unexpected end where a value should be at offset 0"]);
}

#[test]
fn ten_faults_are_enough() {
    let rule = Rule::Map(Box::new(Rule::Bool));
    let members: Vec<String> = (0..50).map(|n| format!("\"{n}\":{n}")).collect();
    assert_eq!(told(&rule, &format!("{{{}}}", members.join(","))).len(), MOST);
}

#[test]
fn numbers_are_compared_exactly() {
    let big = Rule::Int(Bounds { min: Some(9_007_199_254_740_992.0), max: None });
    assert_eq!(told(&big, "9007199254740992"), [""; 0]);
    assert_eq!(told(&big, "9007199254740991").len(), 1);
    assert_eq!(told(&big, "18446744073709551617"), [""; 0]);
    assert_eq!(told(&int(0.0, 5.0), "18446744073709551617").len(), 1);
    assert_eq!(told(&int(0.0, 5.0), "5.0"), [""; 0], "a whole number, however it is written");
    assert_eq!(told(&int(0.0, 500.0), "1e2"), [""; 0]);
    assert_eq!(told(&int(0.0, 5.0), "4.5").len(), 1);
    assert_eq!(told(&int(0.0, 5.0), "1e999").len(), 1);
    let half = Rule::Number(Bounds { min: Some(0.5), max: None });
    assert_eq!((told(&half, "0.50").len(), told(&half, "0.49").len()), (0, 1));
}

#[test]
fn defaults_are_put_in_and_nothing_else_moves() {
    let inner = object(vec![filled("b", int(0.0, 9.0), json!(2)), optional("c", text())]);
    let rule = Rule::Object(Object::new(
        vec![filled("a", text(), json!("x\"y")), field("in", inner), filled("z", Rule::Bool, json!(true))],
        true,
    ));
    assert_eq!(
        told(&rule, r#"{ "in" : {} , "n": 18446744073709551617, "f": 1.10 }"#),
        [r#"{ "in" : {"b":2} , "n": 18446744073709551617, "f": 1.10 ,"a":"x\"y","z":true}"#]
    );
    assert_eq!(told(&rule, r#"{"in":{"b":3},"a":"","z":false}"#), [""; 0]);
}

#[test]
fn one_of_several_rules_is_enough() {
    let pet = object(vec![field("bark", Rule::Bool), filled("legs", int(0.0, 9.0), json!(4))]);
    let rule = Rule::Nullable(Box::new(Rule::Either(vec![pet, Rule::OneOf(vec!["none".into()]), list(Rule::Any)])));
    assert_eq!(told(&rule, "null"), [""; 0]);
    assert_eq!(told(&rule, "\"none\""), [""; 0]);
    assert_eq!(told(&rule, "[{}]"), [""; 0]);
    assert_eq!(told(&rule, "{\"bark\":true}"), ["{\"bark\":true,\"legs\":4}"]);
    assert_eq!(told(&rule, "{\"bark\":1}"), [": must be an object, \"none\" or a list of 1 to 3 items"]);
}

fn reads(params: &Params, query: &[(&str, &str)]) -> (Vec<String>, Vec<String>) {
    let mut faults = Vec::new();
    let get = |field: &Field| query.iter().filter(|pair| *pair.0 == *field.name).map(|pair| pair.1.into()).collect();
    let reads = params.read(get, &mut faults);
    let reads = reads.iter().map(|read| format!("{}={}{}", read.name, read.value, if read.filled { "*" } else { "" }));
    let reads = reads.collect();
    if params.is_closed() {
        query.iter().for_each(|pair| params.stranger(pair.0, &mut faults));
    }
    (reads, faults.iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect())
}

#[test]
fn parameters_are_read_as_what_they_should_be() {
    let params = Params::new(
        "query",
        vec![
            field("page", int(1.0, 100.0)),
            optional("deep", Rule::Bool),
            optional("id", list(Rule::Int(Bounds::default()))),
            filled("limit", int(1.0, 50.0), json!(20)),
            optional("q", Rule::Text(Text { min: Some(2), ..Text::default() })),
            optional("x", Rule::Number(Bounds::default())),
        ],
        false,
    );
    let (values, faults) = reads(
        &params,
        &[("page", "007"), ("deep", "true"), ("id", "18446744073709551617"), ("id", "2"), ("q", "ab"), ("x", "-1.50")],
    );
    assert_eq!(faults, [""; 0]);
    assert_eq!(values, ["deep=true", "id=[18446744073709551617,2]", "limit=20*", "page=7", "x=-1.50"]);
    let (_, faults) =
        reads(&params, &[("deep", "1"), ("id", "x"), ("limit", "51"), ("q", "a"), ("x", "1e"), ("new", "1")]);
    assert_eq!(
        faults,
        [
            "/query/deep: must be true or false",
            "/query/id/0: must be a whole number",
            "/query/limit: must be a whole number from 1 to 50",
            "/query/page: is missing",
            "/query/q: must be text of 2 characters or more",
            "/query/x: must be a number",
            "/query/new: is not expected",
        ]
    );
    assert_eq!(reads(&params, &[("page", "1"), ("page", "2")]).1, ["/query/page: must be given once"]);
    for bad in ["", "-", "1.0", "+1", "1e2", " 1", "٣", "0x1"] {
        assert_eq!(reads(&params, &[("page", bad)]).1.len(), 1, "{bad}");
    }
}

#[test]
fn rules_that_are_tried_in_vain_cost_no_faults() {
    let pair = |a: Rule, b: Rule| Rule::Either(vec![a, b]);
    let rule =
        Rule::List(Box::new(List { items: pair(pair(text(), Rule::Bool), int(0.0, 9.0)), min: None, max: None }));
    let ones = vec!["1"; 200_000].join(",");
    assert_eq!(told(&rule, &format!("[{ones}]")), [""; 0]);
    assert_eq!(
        told(&rule, "[null,1,[]]"),
        [
            "/0: must be text or true or false or a whole number from 0 to 9",
            "/2: must be text or true or false or a whole number from 0 to 9"
        ]
    );
}
