//! Documents against requests.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

fn api(document: Value) -> Api {
    Api::new(document).unwrap_or_else(|error| panic!("{error}"))
}

/// A document of 3.0 with one operation, `get /x/{id}`, and these parameters.
fn with_params(params: Value) -> Api {
    api(json!({ "openapi": "3.0.3", "paths": { "/x/{id}": { "get": { "operationId": "x", "parameters": params } } } }))
}

fn given(api: &Api, query: &str, fields: &[(&str, &str)]) -> Result<Vec<String>, Vec<String>> {
    let find = |name: &str| fields.iter().find(|field| field.0 == name).map(|field| field.1.to_owned());
    let facts = Facts { path: &find, query, header: &find, cookie: &find };
    let shown = |given: Given| format!("{}={}{}", given.name, given.value, if given.filled { "*" } else { "" });
    match api.params(0, &facts) {
        Ok(given) => Ok(given.into_iter().map(shown).collect()),
        Err(faults) => Err(faults.into_iter().map(|fault| format!("{}: {}", fault.pointer, fault.message)).collect()),
    }
}

#[test]
fn parameters_are_read_by_their_style() {
    let ints = json!({ "type": "array", "items": { "type": "integer" } });
    let object = json!({ "type": "object", "properties": { "a": { "type": "integer" }, "b": { "type": "boolean" } } });
    for (style, explode, schema, query, read) in [
        ("form", true, &ints, "p=1&q=9&p=2", "[1,2]"),
        ("form", false, &ints, "p=1,2", "[1,2]"),
        ("spaceDelimited", false, &ints, "p=1%202", "[1,2]"),
        ("pipeDelimited", false, &ints, "p=1|2", "[1,2]"),
        ("deepObject", true, &object, "p[a]=1&p[b]=true", r#"{"a":1,"b":true}"#),
        ("form", true, &object, "a=1&b=false", r#"{"a":1,"b":false}"#),
        ("form", false, &object, "p=a,1,b,true", r#"{"a":1,"b":true}"#),
        ("form", true, &json!({ "type": "integer" }), "p=18446744073709551617", "18446744073709551617"),
    ] {
        let api =
            with_params(json!([{ "name": "p", "in": "query", "style": style, "explode": explode, "schema": schema }]));
        assert_eq!(given(&api, query, &[]), Ok(vec![format!("p={read}")]), "{style} {explode} {query}");
    }
    for (style, explode, schema, text, read) in [
        ("simple", false, &ints, "1,2", "[1,2]"),
        ("label", true, &ints, ".1.2", "[1,2]"),
        ("matrix", false, &ints, ";id=1,2", "[1,2]"),
        ("matrix", true, &ints, ";id=1;id=2", "[1,2]"),
        ("simple", true, &object, "a=1,b=true", r#"{"a":1,"b":true}"#),
    ] {
        let api = with_params(
            json!([{ "name": "id", "in": "path", "required": true, "style": style, "explode": explode, "schema": schema }]),
        );
        assert_eq!(given(&api, "", &[("id", text)]), Ok(vec![format!("id={read}")]), "{style} {explode} {text}");
    }
}

#[test]
fn parameters_are_checked_wherever_they_stand() {
    let api = with_params(json!([
        { "name": "id", "in": "path", "required": true, "schema": { "type": "integer", "minimum": 0, "exclusiveMinimum": true } },
        { "name": "limit", "in": "query", "schema": { "type": "integer", "maximum": 50, "default": 20 } },
        { "name": "X-Day", "in": "header", "required": true, "schema": { "type": "string", "format": "date" } },
        { "name": "sid", "in": "cookie", "schema": { "type": "string", "pattern": "^[a-f]+$" } },
        { "name": "filter", "in": "query", "content": { "application/json": { "schema": { "type": "object", "required": ["a"] } } } },
        { "name": "Authorization", "in": "header", "required": true, "schema": { "type": "string" } },
        { "name": "none", "in": "query", "schema": { "type": "string", "nullable": true, "enum": ["x"] } },
    ]));
    let fine = [("id", "7"), ("X-Day", "2026-01-31"), ("sid", "abc")];
    assert_eq!(
        given(&api, "filter=%7B%22a%22:1%7D", &fine),
        Ok(vec!["id=7".into(), "limit=20*".into(), r#"filter={"a":1}"#.into()])
    );
    let faults =
        given(&api, "limit=51&filter=%7B%7D&none=y", &[("id", "0"), ("X-Day", "today"), ("sid", "xyz")]).unwrap_err();
    let places: Vec<&str> = faults.iter().map(|fault| fault.split(':').next().unwrap()).collect();
    assert_eq!(places, ["/path/id", "/query/limit", "/headers/X-Day", "/cookies/sid", "/query/filter", "/query/none"]);
    assert_eq!(given(&api, "filter=x", &[("id", "7")]).unwrap_err().len(), 2);
}

#[test]
fn bodies_are_checked_by_their_type() {
    let pet = json!({
        "type": "object", "required": ["id", "name"], "additionalProperties": false,
        "properties": {
            "id": { "type": "integer", "readOnly": true }, "name": { "type": "string" }, "secret": { "type": "string", "writeOnly": true },
            "tag": { "type": "string", "nullable": true }, "age": { "type": "integer" }, "next": { "$ref": "#/components/schemas/Pet" },
        },
    });
    let of_pet = json!({ "schema": { "$ref": "#/components/schemas/Pet" } });
    let api = api(json!({
        "openapi": "3.0.0",
        "paths": { "/pets": { "post": {
            "requestBody": { "required": true, "content": { "application/json": of_pet, "application/x-www-form-urlencoded": of_pet, "image/*": {}, "text/plain": { "schema": { "type": "string", "maxLength": 3 } } } },
            "responses": { "200": { "content": { "application/json": of_pet } }, "4XX": { "description": "no" }, "default": { "content": { "application/json": { "schema": { "type": "object" } } } } },
        } } },
        "components": { "schemas": { "Pet": pet } },
    }));
    let body = |media: &str, text: &str| match api.body(0, media, text.as_bytes()) {
        Ok(_) => Vec::new(),
        Err(Refusal::Faults(faults)) => faults.into_iter().map(|fault| fault.pointer).collect(),
        Err(other) => vec![format!("{other:?}")],
    };
    assert_eq!(
        body("application/json", r#"{"name":"Rex","tag":null,"next":{"name":"Max"}}"#),
        [""; 0],
        "the id is read only"
    );
    assert_eq!(
        body("application/json", r#"{"name":1,"next":{"name":"Max","x":1}}"#),
        ["/next", "/name"].map(str::to_owned).into_iter().rev().collect::<Vec<_>>()
    );
    assert_eq!(body("application/x-www-form-urlencoded", "name=Rex&age=3"), [""; 0]);
    assert_eq!(body("application/x-www-form-urlencoded", "name=Rex&age=x"), ["/age"]);
    assert_eq!(
        body("application/x-www-form-urlencoded", &format!("name=Rex{}", "&x=1".repeat(1001))),
        [""],
        "none goes unseen"
    );
    assert_eq!(body("text/plain", "abcd"), [""]);
    assert!(body("application/json", &"[".repeat(100_000))[0].contains("deeply"));
    assert!(body("application/xml", "<a/>")[0].starts_with("Type(\"application/json, "));
    assert_eq!(
        (api.takes(0, "image/png"), api.takes(0, "application/json"), api.needs_body(0)),
        (Ok(false), Ok(true), true)
    );

    api.prepare_answers().unwrap();
    let answer = |status, text: &str| api.answer(0, status, "application/json", text.as_bytes());
    assert_eq!(answer(200, r#"{"id":1,"name":"Rex"}"#), Ok(()));
    assert!(answer(200, r#"{"name":"Rex"}"#).is_err(), "an answer has the id");
    assert!(answer(503, "[]").is_err(), "by default");
    assert_eq!(api.answers(0, 404, "text/html", false), Ok(false), "no content said");
    assert!(api.answers(0, 200, "text/html", false).is_err());
}

#[test]
fn requests_find_their_operation() {
    let none = json!({});
    let api = api(json!({
        "openapi": "3.1.0", "servers": [{ "url": "https://api.example.org/v1/" }, { "url": "/v2" }],
        "paths": { "/a/b": { "get": none }, "/a/{x}": { "get": none, "post": none }, "/a/{x}.json": { "get": none }, "/{y}/c": { "put": none } },
    }));
    let found = |method: &str, path: &str| {
        api.find(method, path).map(|(index, params)| format!("{} {params:?}", api.operations()[index].id))
    };
    assert_eq!(found("GET", "/a/b"), Ok("GET /a/b []".into()));
    assert_eq!(found("POST", "/a/b"), Ok(r#"POST /a/{x} [("x", "b")]"#.into()), "the next that fits");
    assert_eq!(found("GET", "/a/b%20c.json"), Ok(r#"GET /a/{x}.json [("x", "b c")]"#.into()));
    assert_eq!(found("HEAD", "/v1/a/b"), Ok("GET /a/b []".into()));
    assert_eq!(found("PUT", "/v2/a/c"), Ok(r#"PUT /{y}/c [("y", "a")]"#.into()));
    assert_eq!(found("DELETE", "/a/b"), Err(vec!["GET".into(), "GET".into(), "POST".into()]));
    assert_eq!((found("GET", "/a"), found("GET", "/a/"), found("GET", "/")), (Err(vec![]), Err(vec![]), Err(vec![])));
}

#[test]
fn examples_make_answers() {
    let api = api(json!({
        "openapi": "3.0.0",
        "paths": {
            "/a": { "get": { "responses": { "404": {}, "200": { "content": { "application/json": { "example": { "n": 1 } } } } } } },
            "/b": { "get": { "responses": { "201": { "content": { "application/json": { "examples": { "one": { "value": [1] } } } } } } } },
            "/c": { "get": { "responses": { "default": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/C" } } } } } } },
            "/d": { "delete": { "responses": { "204": {} } } },
        },
        "components": { "schemas": { "C": { "allOf": [
            { "type": "object", "properties": { "id": { "type": "string", "format": "uuid" }, "kind": { "enum": ["cat"] } } },
            { "type": "object", "properties": { "list": { "type": "array", "items": { "type": "integer", "minimum": 3 } }, "self": { "$ref": "#/components/schemas/C" } } },
        ] } } },
    }));
    let mock = |index| api.mock(index);
    assert_eq!(mock(0), Mock { status: 200, media: Some("application/json".into()), body: r#"{"n":1}"#.into() });
    assert_eq!((mock(1).status, mock(1).body), (201, "[1]".into()));
    assert!(
        mock(2)
            .body
            .starts_with(r#"{"id":"123e4567-e89b-12d3-a456-426614174000","kind":"cat","list":[3],"self":{"id""#),
        "{}",
        mock(2).body
    );
    assert_eq!(mock(3), Mock { status: 204, media: None, body: String::new() });
}

#[test]
fn what_cannot_be_served_is_said() {
    for (document, said) in [
        (json!({ "swagger": "2.0" }), "Swagger 2.0 is not read"),
        (json!({ "openapi": "4.0.0" }), "OpenAPI 4.0.0 is not read"),
        (json!([]), "no OpenAPI document"),
        (json!({ "openapi": "3.0.0", "paths": { "x": {} } }), "does not begin with `/`"),
        (
            json!({ "openapi": "3.0.0", "paths": { "/x": { "get": { "parameters": [{ "$ref": "#/nowhere" }] } } } }),
            "`#/nowhere` at /paths/~1x/get/parameters/0 leads nowhere",
        ),
        (json!({ "openapi": "3.0.0", "paths": { "/x": { "$ref": "other.yaml#/x" } } }), "leads out of the document"),
        (
            json!({ "openapi": "3.0.0", "paths": { "/x": { "get": { "operationId": "a" }, "put": { "operationId": "a" } } } }),
            "two operations are named `a`",
        ),
        (
            json!({ "openapi": "3.0.0", "paths": { "/x": { "get": { "parameters": [{ "name": "q", "in": "query", "schema": { "pattern": "(?=a)" } }] } } } }),
            "regex",
        ),
        (
            json!({ "openapi": "3.1.0", "paths": { "/x": { "get": { "parameters": [{ "name": "q", "in": "query", "schema": { "$ref": "#/components/schemas/No" } }] } } } }),
            "leads nowhere",
        ),
        (
            json!({ "openapi": "3.1.0", "paths": { "/x": { "get": { "parameters": [{ "name": "q", "in": "body" }] } } } }),
            "cannot stand in `body`",
        ),
    ] {
        let error = Api::new(document.clone()).expect_err("it was read").to_string();
        assert!(error.contains(said), "{document}: {error}");
    }
}

/// Thousands of operations whose schemas refer to each other.
#[test]
fn long_documents_are_read_in_reasonable_time() {
    let schema = |n: usize| {
        json!({ "type": "object", "required": ["id"], "properties": {
            "id": { "type": "integer" }, "name": { "type": "string", "maxLength": 50, "pattern": "^[a-z]+$" },
            "next": { "$ref": format!("#/components/schemas/S{}", (n + 1) % 1000) }, "far": { "$ref": format!("#/components/schemas/S{}", n * 7 % 1000) },
        } })
    };
    let body = |n: usize| json!({ "content": { "application/json": { "schema": { "$ref": format!("#/components/schemas/S{}", n % 1000) } } } });
    let path = |n: usize| {
        let params = json!([{ "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } }, { "$ref": "#/components/parameters/Limit" }]);
        json!({ "parameters": params, "get": { "operationId": format!("get{n}"), "responses": { "200": body(n) } }, "put": { "operationId": format!("put{n}"), "requestBody": body(n), "responses": { "200": body(n) } } })
    };
    let document = json!({
        "openapi": "3.0.3",
        "paths": (0..1500).map(|n| (format!("/things{n}/{{id}}"), path(n))).collect::<serde_json::Map<_, _>>(),
        "components": {
            "parameters": { "Limit": { "name": "limit", "in": "query", "schema": { "type": "integer" } } },
            "schemas": (0..1000).map(|n| (format!("S{n}"), schema(n))).collect::<serde_json::Map<_, _>>(),
        },
    });
    let clock = crate::clock::Clock::real();
    let begun = clock.now();
    let api = api(document);
    api.prepare_answers().unwrap();
    let took = clock.now().since(begun);
    println!("3000 operations: {took:?}");
    assert_eq!(api.operations().len(), 3000);
    assert!(took < std::time::Duration::from_secs(20), "{took:?}");
    let fine = format!("{}{{\"id\":1}}{}", "{\"id\":1,\"next\":".repeat(5), "}".repeat(5));
    assert_eq!(api.body(1, "application/json", fine.as_bytes()), Ok(None));
    let (find, _) = api.find("PUT", "/things700/5").unwrap();
    assert!(api.body(find, "application/json", br#"{"id":"x"}"#).is_err());
}

#[test]
fn parts_of_a_form_are_members() {
    let schema = json!({
        "type": "object", "required": ["name", "photo"], "additionalProperties": false,
        "properties": {
            "name": { "type": "string", "maxLength": 5 },
            "age": { "type": "integer" },
            "tags": { "type": "array", "items": { "type": "string" }, "maxItems": 2 },
            "owner": { "type": "object", "required": ["id"], "properties": { "id": { "type": "integer" } } },
            "photo": { "type": "string", "format": "binary", "maxLength": 4 },
        },
    });
    let api = api(json!({ "openapi": "3.0.0", "paths": { "/": { "post": { "requestBody": { "content": {
        "multipart/form-data": { "schema": schema, "encoding": { "photo": { "contentType": "image/png, image/gif" } } },
    } } } } } }));
    let part = |head: &str, body: &str| format!("--b\r\ncontent-disposition: form-data; name={head}\r\n\r\n{body}\r\n");
    let photo = part("photo; filename=\"a.png\"\r\ncontent-type: image/png", "1234");
    let sent = |parts: &[String]| {
        let body = format!("{}{photo}--b--", parts.concat());
        match api.body(0, "Multipart/Form-Data; boundary=b", body.as_bytes()) {
            Ok(_) => BTreeSet::new(),
            Err(Refusal::Faults(faults)) => faults.into_iter().map(|fault| fault.pointer).collect::<BTreeSet<_>>(),
            Err(other) => [format!("{other:?}")].into(),
        }
    };
    let name = || part("name", "Rex");
    let told = |pointers: &[&str]| pointers.iter().map(|pointer| (*pointer).to_owned()).collect::<BTreeSet<_>>();
    assert!(api.takes(0, "multipart/form-data").unwrap(), "it is looked at");
    assert_eq!(sent(&[name(), part("age", "3"), part("owner", "{\"id\":1}")]), told(&[]));
    assert_eq!(sent(&[name(), part("tags", "a"), part("tags", "b")]), told(&[]));
    assert_eq!(sent(&[name(), part("tags", "a"), part("tags", "b"), part("tags", "c")]), told(&["/tags"]));
    assert_eq!(sent(&[]), told(&[""]), "the name is missing");
    assert_eq!(sent(&[part("name", "too long"), part("age", "old")]), told(&["/name", "/age"]));
    assert_eq!(sent(&[name(), part("owner\r\ncontent-type: application/json", "{}")]), told(&["/owner"]));
    assert_eq!(sent(&[name(), part("owner", "{")]), told(&["/owner"]), "no JSON");
    for second in [part("owner", "{}"), part("owner\r\ncontent-type: text/plain", "{}")] {
        assert_eq!(sent(&[name(), part("owner", "{\"id\":1}"), second]), told(&["/owner"]), "one of them");
    }
    assert_eq!(sent(&[name(), part("other", "1")]), told(&[""]), "nobody asked for it");
    assert_eq!(sent(&[name(), part("photo; filename=x\r\ncontent-type: text/html", "1")]), told(&["/photo"]));
    assert_eq!(sent(&[name(), part("photo; filename=x", "1")]), told(&["/photo"]), "of no type");
    for broken in ["", "--b", "--b\r\nx", "--b\r\ncontent-disposition: form-data; name=a\r\n\r\nno end"] {
        let refused = api.body(0, "multipart/form-data; boundary=b", broken.as_bytes());
        assert!(matches!(refused, Err(Refusal::Form(_))), "{broken:?} {refused:?}");
    }
    assert!(matches!(api.body(0, "multipart/form-data", b"--b--"), Err(Refusal::Form(_))));
}

#[test]
fn json_bodies_get_the_defaults_they_lack() {
    let api = api(json!({
        "openapi": "3.1.0",
        "paths": { "/": { "post": { "requestBody": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Pet" } } } } } } },
        "components": { "schemas": { "Pet": { "type": "object", "properties": {
            "kind": { "type": "string", "default": "dog" }, "id": { "type": "integer" }, "mate": { "$ref": "#/components/schemas/Pet" },
        } } } },
    }));
    let filled = |text: &str| api.body(0, "application/json; charset=utf-8", text.as_bytes()).unwrap();
    assert_eq!(filled(r#"{"id": 18446744073709551617, "kind": "cat"}"#), None, "as it came");
    let made = filled(r#"{"id": 18446744073709551617, "mate": {"kind": "cat"}}"#);
    assert_eq!(made.as_deref(), Some(r#"{"id":18446744073709551617,"mate":{"kind":"cat"},"kind":"dog"}"#));
    assert!(api.body(0, "application/json", br#"{"kind":1}"#).is_err());
}
