use std::convert::Infallible;

use super::*;
use crate::http::Headers;
use crate::http::Method;

mod conditions;
mod faults;
mod reference;

/// `"GET|POST host/path"` as the script writes it.
fn config(written: &str) -> Config {
    let (methods, rest) = match written.split_once(' ') {
        Some((methods, rest)) => (methods.split('|').map(str::to_owned).collect(), rest),
        None => (Vec::new(), written),
    };
    let slash = rest.find('/').unwrap_or(rest.len());
    let host = (slash > 0).then(|| rest[..slash].to_owned());
    Config { methods, host, path: rest[slash..].to_owned(), ..Config::default() }
}

fn table(routes: &[&str]) -> Table {
    let configs: Vec<Config> = routes.iter().map(|written| config(written)).collect();
    Table::build(&configs).expect("a good table")
}

fn look(table: &Table, method: &str, host: &str, path: &str) -> (Found, Vec<(String, Param)>) {
    let (method, headers, mut params) = (Method::of(method), Headers::default(), Params::default());
    let view = View { method: &method, host, path, query: None, headers: &headers, sni: None, json: Json::Unread };
    let Ok(found) = table.find(&view, &mut params, &mut |_: usize, _: &Params| Ok::<_, Infallible>(true));
    (found, params.list.into_iter().map(|(name, value)| (name.to_string(), value)).collect())
}

fn found(table: &Table, method: &str, path: &str) -> Found {
    look(table, method, "h", path).0
}

fn text(name: &str, value: &str) -> (String, Param) {
    (name.to_owned(), Param::Text(value.to_owned()))
}

#[test]
fn the_most_specific_segment_wins_whatever_the_order_written() {
    let mut routes = ["/u/me", "/u/{id:int}", "/u/{id:uuid}", "/u/v{id}", "/u/{id}", "/u/{rest*}", "/{all*}"];
    let paths = ["/u/me", "/u/7", "/u/01234567-89ab-cdef-0123-456789ABCDEF", "/u/v1", "/u/x", "/u/x/y", "/z"];
    for _ in 0..2 {
        let table = table(&routes);
        for (path, pattern) in paths.iter().zip([0, 1, 2, 3, 4, 5, 6]) {
            let expected =
                ["/u/me", "/u/{id:int}", "/u/{id:uuid}", "/u/v{id}", "/u/{id}", "/u/{rest*}", "/{all*}"][pattern];
            let Found::Route(index) = found(&table, "GET", path) else { panic!("{path} found nothing") };
            assert_eq!(routes[index], expected, "{path}");
        }
        routes.reverse();
    }
}

#[test]
fn a_dead_end_goes_back_to_the_less_specific_branch() {
    let table = table(&["/a/b/c", "/a/{x}/d", "/{y}/b/e", "/{rest*}"]);
    assert_eq!(look(&table, "GET", "h", "/a/b/d"), (Found::Route(1), vec![text("x", "b")]));
    assert_eq!(look(&table, "GET", "h", "/a/b/e"), (Found::Route(2), vec![text("y", "a")]));
    assert_eq!(look(&table, "GET", "h", "/a/b/f"), (Found::Route(3), vec![text("rest", "a/b/f")]));
}

#[test]
fn a_tail_may_be_empty_and_keeps_its_slashes() {
    let table = table(&["/a/{rest*}"]);
    assert_eq!(look(&table, "GET", "h", "/a"), (Found::Route(0), vec![text("rest", "")]));
    assert_eq!(look(&table, "GET", "h", "/a/"), (Found::Route(0), vec![text("rest", "")]));
    assert_eq!(look(&table, "GET", "h", "/a//b/"), (Found::Route(0), vec![text("rest", "/b/")]));
    assert_eq!(found(&table, "GET", "/ab"), Found::None);
    assert_eq!(found(&table, "GET", "*"), Found::None);
    assert_eq!(found(&table, "GET", ""), Found::None);
}

#[test]
fn a_parameter_is_never_empty() {
    let table = table(&["/a/{id}", "/b/{id}:cancel", "/c/{id}.json", "/d/{x}/e"]);
    for path in ["/a/", "/b/:cancel", "/c/.json", "/d//e"] {
        assert_eq!(found(&table, "GET", path), Found::None, "{path}");
    }
    assert_eq!(look(&table, "GET", "h", "/b/7:cancel"), (Found::Route(1), vec![text("id", "7")]));
    assert_eq!(look(&table, "GET", "h", "/c/a.b.json"), (Found::Route(2), vec![text("id", "a.b")]));
}

#[test]
fn typed_parameters_are_values_and_a_mismatch_is_no_match() {
    let table = table(&["/i/{id:int}", "/o/{id:int}:run"]);
    assert_eq!(look(&table, "GET", "h", "/i/-12"), (Found::Route(0), vec![("id".into(), Param::Int(-12))]));
    assert_eq!(look(&table, "GET", "h", "/o/9:run"), (Found::Route(1), vec![("id".into(), Param::Int(9))]));
    for path in ["/i/x", "/i/1.0", "/i/+1", "/i/-", "/i/9223372036854775808", "/i/%31", "/o/x:run"] {
        assert_eq!(found(&table, "GET", path), Found::None, "{path}");
    }
}

#[test]
fn parameters_are_decoded_and_literals_meet_the_canonical_path() {
    let table = table(&["/f/{name}/{rest*}", "/caf\u{e9}", "/a%7eb%2fc"]);
    let params = vec![text("name", "a b\u{e9}/"), text("rest", "x/%\u{fffd}")];
    assert_eq!(look(&table, "GET", "h", "/f/a%20b%C3%A9%2F/x/%25%FF"), (Found::Route(0), params));
    assert_eq!(found(&table, "GET", "/caf%C3%A9"), Found::Route(1));
    assert_eq!(found(&table, "GET", "/a~b%2Fc"), Found::Route(2));
}

#[test]
fn an_exact_host_beats_the_longest_wildcard_beats_any() {
    let table = table(&["/x", "*.example.com/x", "*.b.example.com/x", "a.b.example.com/x", "*.example.com/only"]);
    let at = |host, path| look(&table, "GET", host, path).0;
    assert_eq!(at("a.b.example.com", "/x"), Found::Route(3));
    assert_eq!(at("A.B.Example.COM:8080", "/x"), Found::Route(3));
    assert_eq!(at("z.b.example.com", "/x"), Found::Route(2));
    assert_eq!(at("q.z.b.example.com.", "/x"), Found::Route(2));
    assert_eq!(at("z.example.com", "/x"), Found::Route(1));
    assert_eq!(at("example.com", "/x"), Found::Route(0));
    assert_eq!(at("", "/x"), Found::Route(0));
    assert_eq!(at("a.b.example.com", "/only"), Found::Route(4), "one host never hides another's routes");
    assert_eq!(at("example.com", "/only"), Found::None);
}

#[test]
fn methods_a_named_one_beats_any_and_head_follows_get() {
    let table = table(&["/x", "GET /x", "GET /y", "HEAD /y", "POST|PUT /z", "GET /z", "GET /only", "BREW /pot"]);
    assert_eq!(found(&table, "GET", "/x"), Found::Route(1));
    assert_eq!(found(&table, "HEAD", "/x"), Found::Route(1));
    assert_eq!(found(&table, "POST", "/x"), Found::Route(0));
    assert_eq!(found(&table, "HEAD", "/y"), Found::Route(3));
    assert_eq!(found(&table, "PUT", "/z"), Found::Route(4));
    assert_eq!(found(&table, "BREW", "/pot"), Found::Route(7));
    assert_eq!(
        found(&table, "DELETE", "/z"),
        Found::Method(vec![Method::Get, Method::Head, Method::Post, Method::Put])
    );
    assert_eq!(found(&table, "get", "/only"), Found::Method(vec![Method::Get, Method::Head]));
    assert_eq!(found(&table, "GET", "/nowhere"), Found::None);
}

#[test]
fn a_less_specific_route_of_the_method_is_better_than_405() {
    let table = table(&["POST /a/b", "GET /a/{x}", "h/{rest*}"]);
    assert_eq!(look(&table, "GET", "g", "/a/b").0, Found::Route(1));
    assert_eq!(look(&table, "PUT", "g", "/a/b").0, Found::Method(vec![Method::Get, Method::Head, Method::Post]));
    assert_eq!(look(&table, "PUT", "h", "/a/b").0, Found::Route(2));
}

#[test]
fn a_trailing_slash_is_strict_ignored_or_redirected() {
    let slash = |written: &str, slash| Config { slash, ..config(written) };
    let table = Table::build(&[
        slash("/strict", Slash::Strict),
        slash("/ignore", Slash::Ignore),
        slash("GET /go", Slash::Redirect),
        slash("/back/{id}/", Slash::Redirect),
        slash("/both", Slash::Ignore),
        slash("/both/", Slash::Ignore),
        slash("/", Slash::Redirect),
        slash("//host", Slash::Redirect),
    ])
    .expect("a good table");
    assert_eq!(found(&table, "GET", "/strict/"), Found::None);
    assert_eq!(found(&table, "GET", "/ignore/"), Found::Route(1));
    assert_eq!(found(&table, "GET", "/go/"), Found::Redirect("/go".into()));
    assert_eq!(found(&table, "PUT", "/go/"), Found::Method(vec![Method::Get, Method::Head]));
    assert_eq!(found(&table, "GET", "/back/a%20b"), Found::Redirect("/back/a%20b/".into()));
    assert_eq!(found(&table, "GET", "/both"), Found::Route(4));
    assert_eq!(found(&table, "GET", "/both/"), Found::Route(5));
    assert_eq!(found(&table, "GET", "/"), Found::Route(6));
    assert_eq!(found(&table, "GET", "//host/"), Found::None, "`//host` would lead the client to another host");
}

#[test]
fn ranking_tells_the_runners_up_and_why() {
    let table = table(&["GET /a/{x}", "POST /a/b", "/{rest*}"]);
    let (method, headers) = (Method::Get, Headers::default());
    let view = View {
        method: &method,
        host: "h",
        path: "/a/b",
        query: None,
        headers: &headers,
        sni: None,
        json: Json::Unread,
    };
    let ranking: Vec<(usize, Outcome)> =
        table.ranking(&view).into_iter().map(|candidate| (candidate.route, candidate.outcome)).collect();
    assert_eq!(ranking, [(1, Outcome::Method), (0, Outcome::Takes), (2, Outcome::Takes)]);
}

#[test]
fn ten_thousand_routes_build_at_once() {
    let configs: Vec<Config> =
        (0..10_000).map(|n| config(&format!("GET /svc{}/items/{{id}}/part{n}", n % 100))).collect();
    let table = Table::build(&configs).expect("a good table");
    assert_eq!(look(&table, "GET", "h", "/svc42/items/7/part9942").0, Found::Route(9942));
    assert_eq!(found(&table, "GET", "/svc42/items/7/part9941"), Found::None);
}
