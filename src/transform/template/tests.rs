use proptest::prelude::*;

use super::*;

fn parse(text: &str, escape: Escape) -> Template {
    Template::parse(text, escape, &["id".into(), "rest".into()]).expect(text)
}

fn fault(text: &str) -> TemplateError {
    Template::parse(text, Escape::Plain, &["id".into(), "tenant".into()]).expect_err(text)
}

fn fill(text: &str, escape: Escape, values: &[(&str, &str)]) -> Result<String, Unsafe> {
    parse(text, escape).render(&mut |parts| {
        let name = parts.join(".");
        values.iter().find(|(key, _)| *key == name).map(|(_, value)| Cow::Borrowed(*value))
    })
}

#[track_caller]
fn filled(text: &str, escape: Escape, values: &[(&str, &str)]) -> String {
    fill(text, escape, values).expect(text)
}

#[test]
fn names_are_filled_and_absent_ones_are_empty() {
    let values = [("params.id", "7"), ("header.x-shop", "b"), ("json.a.0.b", "deep"), ("user.sub", "u1")];
    let text = "{id}|{params.id}|{header.X-Shop}|{json.a[0].b}|{json.a.0.b}|{user.sub}|{ctx.none}|{ip}";
    assert_eq!(filled(&text.replace('|', "/"), Escape::Plain, &values), "7/7/b/deep/deep/u1//");
}

#[test]
fn doubled_braces_are_braces() {
    let template = parse("{{a}} {{{id}}}", Escape::Plain);
    assert_eq!(template.literal(), None);
    assert_eq!(filled("{{a}} {{{id}}}", Escape::Plain, &[("params.id", "7")]), "{a} {7}");
    assert_eq!(parse("a {{b}}", Escape::Plain).literal(), Some("a {b}"));
    assert_eq!(parse("", Escape::Plain).literal(), Some(""));
}

#[test]
fn filters_run_in_the_order_written() {
    let values = [("params.id", "Ab?")];
    for (text, expected) in [
        ("{id|lower}", "ab?"),
        ("{id | upper}", "AB?"),
        ("{id|base64url}", "QWI_"),
        ("{id|base64}", "QWI/"),
        (r#"{ip|"none"}"#, "none"),
        (r#"{ip|"No}ne \" |\\"|lower}"#, r#"no}ne " |\"#),
        (r#"{id|"none"}"#, "Ab?"),
        (r#"{ip|""}"#, ""),
    ] {
        assert_eq!(filled(text, Escape::Plain, &values), expected, "{text}");
    }
}

#[test]
fn faults_say_where_and_what_was_meant() {
    for (text, at, says) in [
        ("a {usr.sub}", 3, "unknown name `usr`; did you mean `user`?"),
        ("{tenat}", 1, "did you mean `tenant`?"),
        ("{zzzzzz}", 1, "unknown name `zzzzzz`"),
        ("{params.di}", 1, "no path parameter `di`; did you mean `id`?"),
        ("{header}", 1, "needs a name"),
        ("{header.}", 1, "needs a name"),
        ("{ip.x}", 1, "has no parts"),
        ("{tls.verison}", 1, "did you mean `version`?"),
        ("{response.status.x}", 1, "has no parts"),
        ("{response.header}", 1, "needs a name"),
        ("{error.cod}", 1, "did you mean `code`?"),
        ("{ctx}", 1, "needs a name"),
        ("{json.a[x]}", 1, "an index is a number"),
        ("{json.a[0}", 1, "`[` without `]`"),
        ("{json..b}", 1, "empty part"),
        ("{id|lowre}", 4, "did you mean `lower`?"),
        ("{id|none}", 4, r#"write `|"none"`"#),
        ("{id|}", 4, "missing"),
        (r#"{id|"x" y}"#, 8, "after a default"),
        (r#"{"a": 1}"#, 0, "write `{{`"),
        ("{ }", 0, "write `{{`"),
        ("{id", 0, "`{` without `}`"),
        ("a {id {ip}", 2, "`{` without `}`"),
        ("a } b", 2, "write `}}`"),
        ("é{idd}", 3, "did you mean `id`?"),
    ] {
        let error = fault(text);
        assert!(error.message.contains(says), "{text}: {}", error.message);
        assert_eq!(error.at, at, "{text}: {}", error.message);
    }
}

#[test]
fn a_parameter_hides_a_root_of_its_name() {
    let template = Template::parse("{user} {user.sub}", Escape::Plain, &["user".into()]).expect("a template");
    assert_eq!(template.names().map(|parts| parts.join(".")).collect::<Vec<_>>(), ["params.user", "user.sub"]);
    assert!(template.mentions("user") && template.mentions("params") && !template.mentions("json"));
}

#[test]
fn in_a_url_a_value_is_a_segment_or_a_component() {
    let values = [("params.id", "a/b?c d&é%"), ("params.rest", "x/y z/%2e"), ("query.q", "1&x=2")];
    assert_eq!(filled("/u/{id}", Escape::Url, &values), "/u/a%2Fb%3Fc%20d&%C3%A9%25");
    assert_eq!(filled("/u/{rest*}", Escape::Url, &values), "/u/x/y%20z/%252e");
    assert_eq!(filled("/u/{rest}", Escape::Url, &values), "/u/x%2Fy%20z%2F%252e");
    assert_eq!(filled("/u?q={query.q}&r={rest*}", Escape::Url, &values), "/u?q=1%26x%3D2&r=x%2Fy%20z%2F%252e");
    assert_eq!(filled("catalog/{id|lower}", Escape::Url, &[("params.id", "A:B")]), "catalog/a:b");
}

#[test]
fn dot_segments_from_values_are_refused() {
    for (text, value) in [
        ("/a/{id}/b", ".."),
        ("/a/{id}", "."),
        ("/a/.{id}", "."),
        ("/a/{id}.", "."),
        ("/a/{id}{ip}", ".."),
        ("/a/{rest*}", "x/../../y"),
        ("/a/{rest*}", ".."),
    ] {
        let values = [("params.id", value), ("params.rest", value)];
        assert!(fill(text, Escape::Url, &values).is_err(), "{text} with {value}");
    }
    assert_eq!(filled("/a/{id}", Escape::Url, &[("params.id", "..a")]), "/a/..a");
    assert_eq!(filled("/a?x={id}", Escape::Url, &[("params.id", "..")]), "/a?x=..");
    assert_eq!(filled("../{id}", Escape::Url, &[("params.id", "a")]), "../a");
}

#[test]
fn a_value_never_chooses_another_host() {
    assert!(fill("/{rest*}", Escape::Url, &[("params.rest", "/evil.com")]).is_err());
    assert!(fill("/{id}/{rest*}", Escape::Url, &[("params.rest", "evil.com")]).is_err());
    let host = |value| fill("https://{id}.internal/x/{ip}", Escape::Url, &[("params.id", value)]);
    assert_eq!(host("a-b.c").as_deref(), Ok("https://a-b.c.internal/x/"));
    for value in ["evil.com/", "u@evil.com", "evil.com:80", "a?", "a#", "é", "%2f"] {
        assert_eq!(host(value), Err(Unsafe { name: "id".into() }), "{value}");
    }
    for text in ["{id}", "{rest*}", "{ip}{id}"] {
        let values = [("params.id", "javascript:alert(1)"), ("params.rest", "javascript:alert(1)")];
        assert_eq!(filled(text, Escape::Url, &values), "javascript%3Aalert(1)", "{text}");
    }
    assert!(parse("//{id}/x", Escape::Url).fills_host());
    assert!(parse("{ctx.scheme}://{id}", Escape::Url).fills_host());
    assert!(!parse("https://a.b/{id}", Escape::Url).fills_host());
    for (text, fixed) in [
        ("https://a.b/{id}", true),
        ("orders/of/{id}", true),
        ("https://a.b{path}", false),
        ("http:/{path}", false),
        ("http:{path}", false),
        ("orders{id}/x", false),
        ("{id}/x", false),
    ] {
        assert_eq!(parse(text, Escape::Url).fixes_origin(), fixed, "{text}");
    }
}

#[test]
fn the_request_can_be_sent_to_its_own_host_and_path() {
    let to = |host, path| fill("https://{host}{path}?next={path}", Escape::Url, &[("host", host), ("path", path)]);
    assert_eq!(to("a.com:8443", "/a%20b/c;d").as_deref(), Ok("https://a.com:8443/a%20b/c;d?next=%2Fa%2520b%2Fc%3Bd"));
    assert_eq!(to("[::1]", "/").as_deref(), Ok("https://[::1]/?next=%2F"));
    assert_eq!(
        to("a.com", "/\\evil?#é").as_deref(),
        Ok("https://a.com/%5Cevil%3F%23%C3%A9?next=%2F%5Cevil%3F%23%C3%A9")
    );
    assert!(to("u@evil.com", "/").is_err() && to("a.com", "evil.com").is_err() && to("a.com/x", "/").is_err());
    assert_eq!(filled("/v2{path}", Escape::Url, &[("path", "/a/b")]), "/v2/a/b");
    assert!(fill("{path}", Escape::Url, &[("path", "//evil.com")]).is_err());
    assert!(!parse("https://a.com{path}{id}", Escape::Url).fills_host());
}

#[test]
fn a_field_value_takes_no_line_break() {
    for value in ["a\r\nb", "a\nb", "a\0b", "a\u{1}b"] {
        assert_eq!(fill("v={id}", Escape::Header, &[("params.id", value)]), Err(Unsafe { name: "id".into() }));
    }
    assert_eq!(filled("v={id}", Escape::Header, &[("params.id", "a\tb é")]), "v=a\tb é");
}

#[test]
fn in_json_a_value_is_a_string_or_a_value() {
    let values = [("params.id", r#"a"b\"#), ("query.n", "12"), ("user", r#"{"sub":"u"}"#), ("query.o", r#"{"$gt":1}"#)];
    let text = r#"{{"s":"<{id}>","n":{query.n},"u":{user},"o":{query.o},"none":{ctx.x},"id":{id}}}"#;
    let out = filled(text, Escape::Json, &values);
    let expected = r#"{"s":"<a\"b\\>","n":12,"u":{"sub":"u"},"o":"{\"$gt\":1}","none":null,"id":"a\"b\\"}"#;
    assert_eq!(out, expected);
    let big = [("json.id", "9007199254740993")];
    assert_eq!(filled(r#"[{json.id},"{json.id}"]"#, Escape::Json, &big), r#"[9007199254740993,"9007199254740993"]"#);
}

#[test]
fn in_xml_markup_is_escaped_and_control_characters_are_refused() {
    assert_eq!(filled("<a b='{id}'>", Escape::Xml, &[("params.id", "<&>\"'é")]), "<a b='&lt;&amp;&gt;&quot;&#39;é'>");
    assert!(fill("{id}", Escape::Xml, &[("params.id", "\u{b}")]).is_err());
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "[{}|\"\\\\a-dé.*\\[\\]0 iph]{0,24}") {
        for escape in [Escape::Url, Escape::Header, Escape::Json, Escape::Xml, Escape::Plain] {
            match Template::parse(&text, escape, &["id".into()]) {
                Ok(template) => drop(template.render(&mut |_| Some(Cow::Borrowed("a{/é.")))),
                Err(error) => prop_assert!(error.at <= text.len() && text.is_char_boundary(error.at), "{text} at {}", error.at),
            }
        }
    }

    #[test]
    fn a_value_in_a_path_stays_one_segment(value in "\\PC{0,12}|[./\\\\%?#@:]{0,6}") {
        let text = "/files/{id}/end";
        if let Ok(out) = fill(text, Escape::Url, &[("params.id", &value)]) {
            let segments: Vec<&str> = out.split('/').collect();
            prop_assert_eq!(segments.len(), 4, "{}", out);
            prop_assert!(!out.contains(['?', '#', '\\']));
            let decoded = percent_encoding::percent_decode_str(segments[2]).decode_utf8().expect("UTF-8");
            prop_assert_eq!(&*decoded, &*value);
            let parsed = url::Url::parse("http://h/").and_then(|base| base.join(&out)).expect("a URL");
            prop_assert_eq!(parsed.host_str(), Some("h"));
            prop_assert!(parsed.path().starts_with("/files/") && parsed.path().ends_with("/end"), "{}", parsed);
        } else {
            prop_assert!(value == "." || value == "..");
        }
    }

    #[test]
    fn a_value_never_leaves_the_site(value in "[a-z:/\\\\.@?#%\t ]{0,12}", path in "/[a-z:/\\\\.@?#%\t ]{0,12}") {
        let base = url::Url::parse("http://site/dir/").expect("a URL");
        for text in ["{id}", "{rest*}", "/{id}", "/{rest*}", "{path}", "/x{path}", "/{id}/{rest*}", "?q={id}", "{id}{path}"] {
            let values = [("params.id", &*value), ("params.rest", &value), ("path", &path)];
            if let Ok(out) = fill(text, Escape::Url, &values) {
                let url = base.join(&out).expect("a URL");
                prop_assert_eq!((url.scheme(), url.host_str()), ("http", Some("site")), "{} gave {}", text, out);
            }
        }
    }

    #[test]
    fn a_value_in_json_stays_one_value(value in "\\PC{0,12}|[\"\\\\{}\\[\\]:,0-9 ]{0,8}") {
        let out = filled(r#"{{"a":"{id}","b":{id},"c":1}}"#, Escape::Json, &[("params.id", &value)]);
        let parsed: serde_json::Value = serde_json::from_str(&out).expect("JSON");
        prop_assert_eq!(parsed["a"].as_str(), Some(&*value));
        prop_assert!(!parsed["b"].is_object() && !parsed["b"].is_array());
        prop_assert_eq!(parsed.as_object().map(serde_json::Map::len), Some(3));
    }
}
