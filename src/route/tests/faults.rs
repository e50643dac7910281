//! What a wrong route is told.

use super::*;

fn faults(routes: &[Config]) -> Vec<RouteFault> {
    let routes: Vec<Config> = (1..)
        .zip(routes)
        .map(|(line, route)| Config { place: ("gateway.lua".into(), line), ..route.clone() })
        .collect();
    Table::build(&routes).expect_err("a fault")
}

#[test]
fn a_tie_names_both_lines() {
    let found = faults(&[config("GET /u/{id}"), config("/u/{any}"), config("GET|POST /u/{name}")]);
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].route, found[0].other), (2, Some(0)));
    assert!(found[0].message.contains("for GET"), "{}", found[0].message);
    assert_eq!(found[0].places, [("gateway.lua".to_owned(), 3), ("gateway.lua".to_owned(), 1)]);
}

#[test]
fn what_differs_in_anything_is_no_tie() {
    let when = Config { when: true, ..config("/a") };
    let condition = Condition { part: Part::Query, name: "q".into(), want: Want::Present };
    let matched = Config { conditions: vec![condition], ..config("/a") };
    let routes = [config("/a"), when.clone(), when, matched, config("/a/"), config("h/a"), config("GET /a")];
    assert!(Table::build(&routes).is_ok());
    let twice = Config { conditions: routes[3].conditions.clone(), ..config("/a") };
    assert_eq!(faults(&[routes[3].clone(), twice]).len(), 1);
}

#[test]
fn every_fault_is_told_at_once() {
    let bad = Condition { part: Part::Query, name: "q".into(), want: Want::Regex("(".into()) };
    let routes = [
        config("/u/:id"),
        config("/fine"),
        config("get /x"),
        config("a.*.b/x"),
        Config { conditions: vec![bad], ..config("/re") },
        config("/fine"),
    ];
    let unnamed = Condition { part: Part::Header, name: "x y".into(), want: Want::Present };
    assert!(faults(&[Config { conditions: vec![unnamed], ..config("/h") }])[0].message.contains("`x y`"));
    let found = faults(&routes);
    assert_eq!(found.iter().map(|fault| fault.route).collect::<Vec<_>>(), [0, 2, 3, 4, 5]);
    assert_eq!(found[0].message, "`/u/:id`: write {id} instead of :id");
    assert!(found[1].message.contains("write GET"), "{}", found[1].message);
    assert!(found.iter().all(|fault| !fault.places.is_empty()));
}

#[test]
fn patterns_of_other_routers_get_ours() {
    for (written, says) in [
        ("/:id", "write {id} instead of :id"),
        ("/a/<id>", "write {id} instead of <id>"),
        ("/a/<int:id>", "write {id} instead of"),
        ("/a/[id]", "write {id} instead of [id]"),
        ("/a/[...slug]", "write {slug*} instead of"),
        ("/a/*", "write {rest*} instead of *"),
        ("/a/**", "write {rest*} instead of **"),
        ("/a/*path", "write {path*} instead of *path"),
        ("/a/{*rest}", "write {rest*} instead of {*rest}"),
        ("/a/{rest...}", "write {rest*} instead of"),
        ("/a/{id?}", "cannot be optional"),
        ("/a/{id:[0-9]+}", "no regular expressions"),
        ("/a/{id:number}", "write {id:int}"),
        ("/a/{id:uid}", "did you mean `uuid`?"),
        ("/a/{id:string}", "write {id}"),
        ("/a/{}", "needs a name"),
        ("/a/{1st}", "no name for a parameter"),
        ("/a/{user-id}", "no name for a parameter"),
        ("/a/{x}/{x}", "stands twice"),
        ("/a/{x}-{y}", "one parameter a segment"),
        ("/a/{rest*}/b", "nothing can follow"),
        ("/a/{rest*}.json", "no text can stand beside it"),
        ("/a/{x", "`{` without `}`"),
        ("/a/x}", "`}` without `{`"),
        ("/a/}{x}", "`}` without `{`"),
        ("/a?q=1", "match = { query"),
        ("/a/%zz", "write %25"),
        ("/a/100%", "write %25"),
        ("/a/../b", "dot segments"),
        ("/a/%2E%2e/b", "dot segments"),
        ("/a\\b", "no backslash"),
        ("users", "write `/users`"),
        ("", "begins with `/`"),
    ] {
        let error = Pattern::parse(written).expect_err(written);
        assert!(error.message.contains(says), "{written}: {}", error.message);
        assert!(error.at <= written.len(), "{written}: {}", error.at);
    }
}

#[test]
fn a_pattern_alone_tells_its_parameters() {
    let pattern = Pattern::parse("/a/{id:int}/{name}.json/{rest*}").expect("a pattern");
    assert_eq!(pattern.names().collect::<Vec<_>>(), ["id", "name", "rest"]);
    let many: String = (0..33).map(|n| format!("/{{p{n}}}")).collect();
    assert!(Pattern::parse(&many).is_err());
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(written in "[/{}:*%a-c0-9<>\\[\\]?.é]{0,24}") {
        if let Err(error) = Pattern::parse(&written) {
            proptest::prop_assert!(error.at <= written.len());
        }
        let _ = host::Host::parse(&written);
    }
}
