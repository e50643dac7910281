//! Origins that are let in, those that only look so, and what browsers are told.

use super::*;

fn config(origins: &[&str]) -> Config {
    let origins = origins.iter().map(|text| Rule::parse(text).expect(text)).collect();
    Config { origins, max_age: 600, ..Config::default() }
}

fn told(cors: &Cors, origin: &str, before: &[(&str, &str)]) -> Vec<String> {
    let mut headers = Headers::of(before);
    cors.decorate(Some(origin.as_bytes()), &mut headers);
    list(&headers)
}

fn list(headers: &Headers) -> Vec<String> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).to_lowercase();
    headers.iter().map(|(_, name, value)| format!("{}: {}", text(name), text(value))).collect()
}

fn lets_in(rules: &[Rule], origin: &str) -> bool {
    Origins::new(rules).expect("rules").has(origin.as_bytes())
}

#[test]
fn origins_are_compared_whole() {
    let rules = |texts: &[&str]| texts.iter().map(|text| Rule::parse(text).expect(text)).collect::<Vec<_>>();
    for (rule, yes, no) in [
        (
            "https://a.dev",
            vec!["https://a.dev"],
            vec!["http://a.dev", "https://a.dev:8443", "https://a.dev.evil.com", "https://A.dev", "null", ""],
        ),
        ("https://a.dev:443", vec!["https://a.dev"], vec!["https://a.dev:443"]),
        ("HTTPS://Bücher.dev", vec!["https://xn--bcher-kva.dev"], vec!["https://bücher.dev"]),
        (
            "https://*.a.dev",
            vec!["https://b.a.dev", "https://c.b.a.dev"],
            vec![
                "https://a.dev",
                "https://evila.dev",
                "https://b.a.dev:81",
                "https://x.a.dev.evil.com",
                "https://evil.com/.a.dev",
                "https://evil.com:1.a.dev",
                "http://b.a.dev",
                "https://.a.dev",
            ],
        ),
        (
            "http://localhost:*",
            vec!["http://localhost:3000"],
            vec!["http://localhost", "http://localhost:3000.evil.com", "http://localhost:x"],
        ),
        ("https://*", vec!["https://any.one"], vec!["http://any.one", "https://", "https://a/b", "https://a@b"]),
        ("https://pr-*.a.dev", vec!["https://pr-7.a.dev"], vec!["https://x.pr-7.b.dev", "https://pr-.a.dev"]),
        ("null", vec!["null"], vec!["https://null", "Null"]),
        ("capacitor://localhost", vec!["capacitor://localhost"], vec!["http://localhost"]),
    ] {
        let rules = rules(&[rule]);
        for origin in yes {
            assert!(lets_in(&rules, origin), "{rule} should let {origin} in");
        }
        for origin in no {
            assert!(!lets_in(&rules, origin), "{rule} should not let {origin} in");
        }
    }
}

#[test]
fn a_regular_expression_meets_the_whole_origin() {
    let rules = [Rule::Regex(r"https://(a|b)\.dev".into())];
    assert!(lets_in(&rules, "https://a.dev") && lets_in(&rules, "https://b.dev"));
    for origin in ["https://a.dev.evil.com", "xhttps://a.dev", "https://a.dev\nhttps://b.dev", "https://axdev"] {
        assert!(!lets_in(&rules, origin), "{origin}");
    }
    let open = [Rule::Regex(r"https://a\.dev|https://b\.dev".into())];
    assert!(!lets_in(&open, "https://a.dev.evil.com"), "an alternative is anchored too");
    assert!(!lets_in(&[Rule::Regex(".*".into())], &format!("https://{}", "a".repeat(600))), "no origin is so long");
    assert!(Origins::new(&[Rule::Regex("(".into())]).is_err());
    assert!(Origins::new(&[Rule::Regex("a)|(b".into())]).is_err(), "it cannot leave its group");
}

#[test]
fn what_is_no_origin_is_told() {
    for (text, hint) in [
        ("a.dev", "\"https://a.dev\""),
        ("//a.dev", "\"https://a.dev\""),
        ("https://a.dev/", "\"https://a.dev\""),
        ("https://a.dev/app?x", "\"https://a.dev\""),
        ("https://me@a.dev/", "\"https://a.dev\""),
        ("https://*a.dev", "\"https://*.a.dev\""),
        ("https://a.*", "strangers"),
        ("*://a.dev", "\"https://*.example.com\""),
        ("https://a.dev:*1", "a port is a number"),
        ("https://a b", "no origin"),
        ("", "no origin"),
    ] {
        let fault = Rule::parse(text).expect_err(text).0;
        assert!(fault.contains(hint), "{text}: {fault}");
    }
}

#[test]
fn an_answer_says_who_may_read_it() {
    let cors = Cors::new(&Config {
        credentials: true,
        expose: vec!["x-a".into(), "x-b".into()],
        ..config(&["https://a.dev"])
    });
    let cors = cors.expect("a policy");
    let upstream = [("Access-Control-Allow-Origin", "*"), ("x-a", "1"), ("ACCESS-CONTROL-EXPOSE-HEADERS", "x-c")];
    assert_eq!(
        told(&cors, "https://a.dev", &upstream),
        [
            "x-a: 1",
            "vary: origin",
            "access-control-allow-origin: https://a.dev",
            "access-control-allow-credentials: true",
            "access-control-expose-headers: x-a, x-b",
        ]
    );
    assert_eq!(told(&cors, "https://b.dev", &upstream), ["x-a: 1", "vary: origin"]);
    let mut without = Headers::default();
    cors.decorate(None, &mut without);
    assert_eq!(list(&without), ["vary: origin"]);
    for vary in ["*", "accept, Origin"] {
        let told = told(&cors, "https://b.dev", &[("vary", vary)]);
        assert_eq!(told, [format!("vary: {}", vary.to_lowercase())], "named already");
    }
    let open = Cors::new(&config(&["*"])).expect("a policy");
    assert_eq!(told(&open, "https://b.dev", &[]), ["access-control-allow-origin: *"]);
}

fn asked(fields: &[(&str, &str)]) -> Option<Asked> {
    Asked::of(&Headers::of(fields))
}

#[test]
fn a_preflight_is_recognised_by_all_its_marks() {
    let origin = ("origin", "https://a.dev");
    let method = ("access-control-request-method", "PUT");
    assert_eq!(asked(&[origin, method]).map(|asked| asked.method), Some(Method::Put));
    for fields in [vec![origin], vec![method], vec![], vec![origin, ("access-control-request-method", "a b")]] {
        assert_eq!(asked(&fields), None, "{fields:?}");
    }
    let long = "M".repeat(65);
    assert_eq!(asked(&[origin, ("access-control-request-method", &long)]), None);
}

#[test]
fn a_preflight_is_answered_with_what_it_asked_for() {
    let answer = |config: &Config, fields: &[(&str, &str)]| {
        let cors = Cors::new(config).expect("a policy");
        let mut all = vec![("origin", "https://a.dev"), ("access-control-request-method", "PUT")];
        all.extend(fields);
        let asked = asked(&all).expect("a preflight");
        let mut headers = Headers::default();
        cors.preflight(Some(b"https://a.dev"), &asked, &mut headers);
        list(&headers)
    };
    let names = ("access-control-request-headers", "x-a, Content-Type");
    assert_eq!(
        answer(&config(&["https://a.dev"]), &[names]),
        [
            "vary: origin, access-control-request-method, access-control-request-headers",
            "access-control-allow-origin: https://a.dev",
            "access-control-allow-methods: put",
            "access-control-allow-headers: x-a, content-type",
            "access-control-max-age: 600",
        ]
    );
    let fixed =
        Config { methods: vec!["GET".into(), "PUT".into()], headers: Some(vec!["x-b".into()]), ..config(&["*"]) };
    assert_eq!(
        answer(&fixed, &[names]),
        [
            "access-control-allow-origin: *",
            "access-control-allow-methods: get, put",
            "access-control-allow-headers: x-b",
            "access-control-max-age: 600",
        ]
    );
    assert_eq!(answer(&config(&["https://b.dev"]), &[names]).len(), 1, "a stranger learns nothing");
    for hostile in ["x-a, b c", "x-a,,x-b", "x\u{7f}", &"x-long, ".repeat(1000)] {
        let told = answer(&config(&["*"]), &[("access-control-request-headers", hostile)]);
        assert!(!told.iter().any(|line| line.contains("allow-headers")), "{hostile:?}: {told:?}");
    }
    let private = ("access-control-request-private-network", "true");
    let open = Config { private_network: true, ..config(&["*"]) };
    assert!(answer(&open, &[private]).contains(&"access-control-allow-private-network: true".to_owned()));
    assert!(!answer(&open, &[]).iter().any(|line| line.starts_with("access-control-allow-private")));
    assert!(!answer(&config(&["*"]), &[private]).iter().any(|line| line.contains("private")));
}

#[test]
fn a_star_and_credentials_do_not_go_together() {
    let fault = |config: Config| Cors::new(&Config { credentials: true, ..config }).expect_err("refused").0;
    let star = || vec!["*".to_owned()];
    assert!(fault(config(&["https://a.dev", "*"])).starts_with("`origins`"));
    assert!(fault(Config { methods: star(), ..config(&["https://a.dev"]) }).starts_with("`methods`"));
    assert!(fault(Config { headers: Some(star()), ..config(&["https://a.dev"]) }).starts_with("`headers`"));
    assert!(fault(Config { expose: star(), ..config(&["https://a.dev"]) }).starts_with("`expose`"));
    assert!(Cors::new(&Config::default()).is_err(), "nobody at all is a mistake");
    assert!(Cors::new(&Config { expose: vec!["x a".into()], ..config(&["*"]) }).is_err());
    let small = Cors::new(&Config { methods: vec!["GET".into(), "put".into()], ..config(&["*"]) });
    assert!(small.expect_err("no such method").0.contains("\"PUT\""));
    assert!(Cors::new(&Config { methods: vec!["purge".into()], ..config(&["*"]) }).is_ok(), "a method of its own");
}
