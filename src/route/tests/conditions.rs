//! `match` and `when`.

use super::*;

fn condition(part: Part, name: &str, want: Want) -> Condition {
    Condition { part, name: name.into(), want }
}

fn equals(part: Part, name: &str, value: &str) -> Condition {
    condition(part, name, Want::Equals(value.into()))
}

fn with(written: &str, conditions: &[Condition]) -> Config {
    Config { conditions: conditions.to_vec(), ..config(written) }
}

fn ask(table: &Table, headers: &Headers, query: Option<&str>, json: Json<'_>) -> Found {
    let (method, mut params) = (Method::Get, Params::default());
    let view = View { method: &method, host: "h", path: "/x", query, headers, sni: Some("a.example.com"), json };
    let Ok(found) = table.find(&view, &mut params, &mut |_: usize, _: &Params| Ok::<_, Infallible>(true));
    found
}

#[test]
fn more_conditions_beat_fewer() {
    let (version, beta) = (equals(Part::Header, "x-version", "2"), equals(Part::Query, "beta", "1"));
    let table =
        Table::build(&[with("/x", &[]), with("/x", std::slice::from_ref(&version)), with("/x", &[version, beta])])
            .expect("a good table");
    let two = Headers::of(&[("X-Version", "2")]);
    assert_eq!(ask(&table, &Headers::default(), Some("beta=1"), Json::None), Found::Route(0));
    assert_eq!(ask(&table, &two, Some("beta=2&beta=1"), Json::None), Found::Route(1), "the first value counts");
    assert_eq!(ask(&table, &two, Some("a=b&beta=%31"), Json::None), Found::Route(2));
}

#[test]
fn every_part_and_every_kind_of_want() {
    let table = |condition: Condition| Table::build(&[with("/x", &[condition])]).expect("a good table");
    let holds = |condition: Condition, headers: &Headers, query: Option<&str>| {
        ask(&table(condition), headers, query, Json::None) == Found::Route(0)
    };
    let cookies = Headers::of(&[("cookie", "a=1; sid=xyz"), ("cookie", "late=2")]);
    assert!(holds(equals(Part::Cookie, "sid", "xyz"), &cookies, None));
    assert!(holds(equals(Part::Cookie, "late", "2"), &cookies, None));
    assert!(!holds(equals(Part::Cookie, "id", "xyz"), &cookies, None));
    assert!(holds(condition(Part::Sni, "", Want::Glob("*.example.com".into())), &cookies, None));
    assert!(holds(equals(Part::Sni, "", "A.Example.Com"), &cookies, None));
    assert!(holds(condition(Part::Query, "q", Want::Present), &cookies, Some("q")));
    assert!(!holds(condition(Part::Query, "q", Want::Present), &cookies, Some("qq=1")));
    let accepts = Headers::of(&[("accept", "text/html"), ("accept", "application/json")]);
    assert!(holds(equals(Part::Header, "Accept", "application/json"), &accepts, None));
    assert!(holds(equals(Part::Header, "accept", "text/html, application/json"), &accepts, None));
    assert!(holds(condition(Part::Header, "accept", Want::Regex("^text/".into())), &accepts, None));
    assert!(!holds(condition(Part::Header, "accept", Want::Regex("^json".into())), &accepts, None));
}

#[test]
fn a_condition_on_the_body_asks_for_it_only_when_all_else_holds() {
    let json = equals(Part::Json, "user.roles[0]", "admin");
    assert!(Table::build(&[with("/x", &[json])]).is_ok_and(|table| table.needs_body()));
    for name in ["user.roles.0", "/user/roles/0", "$.user.roles[0]"] {
        let conditions = [equals(Part::Json, name, "admin"), equals(Part::Header, "x-a", "1")];
        let table = Table::build(&[with("/x", &conditions), with("/x", &[])]).expect("a good table");
        assert!(table.needs_body());
        let body = serde_json::json!({ "user": { "roles": ["admin"] } });
        let a = Headers::of(&[("x-a", "1")]);
        assert_eq!(ask(&table, &a, None, Json::Unread), Found::NeedsBody, "{name}");
        assert_eq!(ask(&table, &Headers::default(), None, Json::Unread), Found::Route(1));
        assert_eq!(ask(&table, &a, None, Json::Value(&body)), Found::Route(0), "{name}");
        assert_eq!(ask(&table, &a, None, Json::None), Found::Route(1));
    }
    let number = equals(Part::Json, "id", "9007199254740993");
    let table = Table::build(&[with("/x", &[number])]).expect("a good table");
    let body: serde_json::Value = serde_json::from_str(r#"{"id":9007199254740993}"#).expect("JSON");
    assert_eq!(ask(&table, &Headers::default(), None, Json::Value(&body)), Found::Route(0));
}

#[test]
fn when_functions_are_asked_in_the_order_written_and_one_without_is_last() {
    let when = |written: &str| Config { when: true, ..config(written) };
    let table = Table::build(&[config("/x/{id}"), when("/x/{name}"), when("/x/{it}")]).expect("a good table");
    let (method, headers, mut params) = (Method::Get, Headers::default(), Params::default());
    let view =
        View { method: &method, host: "h", path: "/x/7", query: None, headers: &headers, sni: None, json: Json::None };
    let mut asked = Vec::new();
    let mut refuse = |route, params: &Params| {
        asked.push((route, params.list[0].0.to_string()));
        Ok::<_, Infallible>(false)
    };
    let Ok(result) = table.find(&view, &mut params, &mut refuse);
    assert_eq!(result, Found::Route(0));
    assert_eq!(asked, [(1, "name".to_owned()), (2, "it".to_owned())]);
    assert_eq!(params.get("id"), Some(&Param::Text("7".into())));
    let Ok(result) = table.find(&view, &mut params, &mut |route: usize, _: &Params| Ok::<_, Infallible>(route == 2));
    assert_eq!(result, Found::Route(2));
    assert_eq!(table.find(&view, &mut params, &mut |_: usize, _: &Params| Err("broken")), Err("broken"));
}

#[test]
fn a_condition_that_fails_tells_no_method() {
    let table = Table::build(&[with("POST /x", &[equals(Part::Header, "x-a", "1")])]).expect("a good table");
    assert_eq!(ask(&table, &Headers::default(), None, Json::None), Found::None);
    assert_eq!(ask(&table, &Headers::of(&[("x-a", "1")]), None, Json::None), Found::Method(vec![Method::Post]));
}

#[test]
fn equally_many_conditions_are_ordered_by_what_they_ask_not_by_place() {
    let exact = with("/x", &[equals(Part::Query, "q", "1")]);
    let glob = with("/x", &[condition(Part::Query, "q", Want::Glob("*".into()))]);
    for (routes, expected) in [([exact.clone(), glob.clone()], 0), ([glob, exact], 1)] {
        let table = Table::build(&routes).expect("no tie");
        assert_eq!(ask(&table, &Headers::default(), Some("q=1"), Json::None), Found::Route(expected));
        assert_eq!(ask(&table, &Headers::default(), Some("q=2"), Json::None), Found::Route(1 - expected));
    }
}
