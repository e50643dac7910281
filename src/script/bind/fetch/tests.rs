//! What can be said of `fetch` without a socket: what it refuses, and what it would send.

use mlua::FromLua;
use mlua::Lua;
use mlua::Table;
use mlua::Value;

use super::request::Ask;
use crate::script::bind::testing::driven;
use crate::script::bind::testing::machine;
use crate::script::bind::text::Text;
use crate::script::driver::fault;
use crate::script::secret::Secret;

fn ask(lua: &Lua, arguments: &str) -> Result<Ask, String> {
    let secret = Secret::new("KEY", "hunter2").push(lua).unwrap();
    let (target, options): (Value, Option<Table>) =
        lua.load(format!("local key = ... return {arguments}")).call(secret).unwrap();
    let read = Text::from_lua(target, lua).and_then(|target| Ask::read(lua, &target, options.as_ref()));
    read.map_err(|error| match fault::raised(&error) {
        Some(failure) => failure.code.as_str().to_owned(),
        None => fault::message(&error),
    })
}

fn line(arguments: &str) -> String {
    let ask = ask(&machine(), arguments).unwrap_or_else(|error| panic!("{arguments}: {error}"));
    let fields = ask
        .headers
        .iter()
        .map(|(_, name, value)| format!("{}={}", String::from_utf8_lossy(name), String::from_utf8_lossy(value)));
    let fields = fields.collect::<Vec<_>>().join(",");
    format!("{} {} [{fields}] {}", ask.method.as_str(), ask.target, String::from_utf8_lossy(&ask.body))
}

#[test]
fn a_call_is_put_together() {
    for (arguments, expected) in [
        ("'shop/7'", "GET shop/7 [] "),
        ("'shop/7?a=1', { query = { q = 'a&b', n = { 1, 2 } } }", "GET shop/7?a=1&n=1&n=2&q=a%26b [] "),
        ("'https://x.dev/a#top'", "GET https://x.dev/a [] "),
        ("'shop/', { json = { n = 1 } }", r#"POST shop/ [content-type=application/json] {"n":1}"#),
        (
            "'shop/', { method = 'PUT', form = { a = '1 2' } }",
            "PUT shop/ [content-type=application/x-www-form-urlencoded] a=1+2",
        ),
        (
            "'shop/', { body = 'x', headers = { ['Content-Type'] = 'text/csv' } }",
            "POST shop/ [Content-Type=text/csv] x",
        ),
        ("'shop/', { headers = { b = 2, a = { 'x', 'y' }, host = 'h.dev' } }", "GET shop/ [a=x,a=y,b=2,host=h.dev] "),
        ("'shop/', { headers = { authorization = 'Bearer ' .. key } }", "GET shop/ [authorization=Bearer hunter2] "),
        ("'shop/a b\\r\\nGET /x', {}", "GET shop/a%20b%0D%0AGET%20/x [] "),
        ("'shop/ü\\0'", "GET shop/%C3%BC%00 [] "),
    ] {
        assert_eq!(line(arguments), expected, "{arguments}");
    }
}

#[test]
fn what_would_be_more_than_a_value_is_refused() {
    let lua = machine();
    for (arguments, expected) in [
        ("'shop/', { headers = { a = 'x\\r\\nb: c' } }", "header.unsafe"),
        ("'shop/', { headers = { ['a b'] = 'x' } }", "no name for a header field"),
        ("'shop/', { headers = { ['Transfer-Encoding'] = 'chunked' } }", "belongs to the connection"),
        ("'shop/', { headers = { ['content-length'] = '5' } }", "belongs to the connection"),
        ("'shop/', { method = 'GET /x HTTP/1.1' }", "a method such as GET expected"),
        ("'shop/', { method = 'CONNECT' }", "CONNECT is not spoken"),
        ("'shop/', { json = {}, body = 'x' }", "one of json, form and body"),
        ("'shop/', { json = print }", "a function has no JSON form"),
        ("'shop/', { form = 'a=1' }", "a table expected, got string"),
        ("'shop/', { hedaers = {} }", "unknown option `hedaers` in fetch; did you mean `headers`?"),
        ("'shop/', { timeout = 'soon' }", "`timeout` of fetch"),
        ("'shop/', { retry = 50 }", "from 0 to 10"),
        ("'shop/', { redirects = -1 }", "from 0 to 20"),
        ("'shop/', { cache = '5m' }", "not in this version"),
        ("'shop/', { headers = { a = `Bearer {key}` } }", "<secret KEY> was turned to text"),
        ("'shop/', { json = { key = key } }", "<secret KEY> was turned to text"),
        ("`shop/{key}`", "<secret KEY> was turned to text"),
        ("('x'):rep(1e6)", "it takes"),
        ("{}", "text expected, got table"),
    ] {
        let error = ask(&lua, arguments).err().unwrap_or_else(|| panic!("{arguments}: was taken"));
        assert!(error.contains(expected), "{arguments}: {error}");
    }
}

#[test]
fn nothing_is_fetched_without_a_running_gateway_or_where_nothing_can_wait() {
    let failure = driven("fetch 'shop/'").unwrap_err();
    assert!(failure.cause.contains("needs a running gateway"), "{}", failure.cause);
    let failure = driven("table.sort({ 1, 2 }, function() fetch 'shop/' end)").unwrap_err();
    assert!(failure.cause.contains("`fetch` cannot wait"), "{}", failure.cause);
}
