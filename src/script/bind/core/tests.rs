//! The policies of the standard library, in a real machine, without sockets.

use std::rc::Rc;
use std::sync::Arc;

use mlua::Function;
use mlua::Lua;
use mlua::Value;

use crate::clock::Clock;
use crate::http::Body;
use crate::http::Request;
use crate::http::Response;
use crate::proxy::Exchange;
use crate::proxy::Failure;
use crate::script::bind::testing::NOW;
use crate::script::bind::testing::close;
use crate::script::bind::testing::context;
use crate::script::bind::testing::mistakes;
use crate::script::bind::testing::open;
use crate::script::bind::testing::turning;
use crate::script::declare::Session;
use crate::script::driver;
use crate::script::handle;
use crate::script::testing;

/// What a step came to.
struct Played {
    lua: Lua,
    exchange: Rc<Exchange>,
    outcome: Result<Option<Value>, Failure>,
}

impl Played {
    fn header(&self, name: &str) -> Option<String> {
        self.exchange.request.borrow().headers.text(name).map(str::to_owned)
    }

    fn body(&self) -> String {
        let bytes = self.exchange.request.borrow().body.at_hand().map(|bytes| bytes.to_vec());
        String::from_utf8(bytes.unwrap_or_default()).unwrap()
    }

    /// The answer as JSON text.
    fn answer(&self) -> String {
        let value = self.outcome.as_ref().unwrap().clone().unwrap_or(Value::Nil);
        crate::script::bind::json::encode(&value).unwrap()
    }

    fn fault(&self) -> (u16, String) {
        let failure = self.outcome.as_ref().map(|_| ()).unwrap_err();
        (failure.status, failure.code.as_str().to_owned())
    }
}

fn request(body: &str) -> Request {
    let mut request = Request { path: "/a".into(), query: Some("q=1%262&secret=x".into()), ..Request::default() };
    request.headers.set("x-old", "moved");
    request.headers.set("x-there", "mine");
    request.headers.set("content-type", "application/json; charset=utf-8");
    request.host = "shop.dev".into();
    request.body = body.to_owned().into();
    request
}

/// Plays `step` (an expression) with `request`; `res` is what follows answers.
fn play_with(step: &str, request: Request, res: Option<Response>) -> Played {
    let clock = Clock::fake(NOW);
    let lua = open(&clock, &Arc::default());
    let run: Function = lua
        .load(format!("local step = {step} return function(req, res) if res then return step(req, function() return res end) or res end return step(req) end"))
        .set_name("@gateway.lua")
        .eval()
        .unwrap_or_else(|error| panic!("{step}: {error}"));
    assert_eq!(
        Session::of(&lua, "").unwrap().found().iter().map(|f| f.message.clone()).collect::<Vec<_>>(),
        [""; 0],
        "{step}"
    );
    close(&lua);
    let exchange = testing::exchange(&context(&lua), request);
    let req = handle::request(&lua, &exchange);
    let res = res.map(|res| handle::response(&lua, res).unwrap());
    let outcome = turning(&clock, driver::drive(&context(&lua), Some(Rc::clone(&exchange)), &run, (req, res)).get());
    let outcome = outcome.map(|values| values.into_iter().next());
    Played { lua, exchange, outcome }
}

fn play(step: &str) -> Played {
    play_with(step, request(r#"{"id":18446744073709551617,"secret":1,"old":1.10}"#), None)
}

fn answered(step: &str, res: Response) -> Response {
    let played = play_with(step, request(""), Some(res));
    let value = played.outcome.unwrap().unwrap();
    handle::held(&played.lua, &value).expect("a response").take().unwrap()
}

fn text(response: &Response) -> String {
    String::from_utf8(response.body.at_hand().map(|bytes| bytes.to_vec()).unwrap_or_default()).unwrap()
}

#[test]
fn mock_answers_what_is_written() {
    assert_eq!(
        play("mock { status = 202, json = { a = 1 } }").answer(),
        r#"{"body":"{\"a\":1}","headers":{"content-type":"application/json"},"status":202}"#
    );
    assert_eq!(
        play("mock { text = 'hi', headers = { ['x-q'] = '{query.q}' }, delay = '50ms' }").answer(),
        r#"{"body":"hi","headers":{"content-type":"text/plain; charset=utf-8","x-q":"1&2"},"status":200}"#
    );
    assert_eq!(play("mock { status = 204 }").answer(), r#"{"headers":{},"status":204}"#);
}

#[test]
fn redirect_escapes_what_it_fills_in() {
    let answer = play("redirect '/there/{id}?q={query.q}'").answer();
    assert_eq!(answer, r#"{"headers":{"location":"/there/7?q=1%262"},"status":302}"#);
    assert!(play("redirect { 'https://x.dev/', status = '308' }").answer().contains("308"));
}

#[test]
fn a_request_is_edited_in_a_fixed_order() {
    let played = play(
        r#"transform_request {
          remove = { "x-gone" }, rename = { ["x-old"] = "x-new" }, set = { ["x-set"] = "{header.x-old} {query.q}" },
          default = { ["x-there"] = "no", ["x-absent"] = "yes" }, add = { ["x-there"] = "more" },
          query = { remove = { "secret" }, set = { page = "{query.q}" } }, method = "PUT",
        }"#,
    );
    played.outcome.as_ref().unwrap();
    assert_eq!(played.header("x-old"), None);
    assert_eq!(played.header("x-new").as_deref(), Some("moved"));
    assert_eq!(played.header("x-set").as_deref(), Some("moved 1&2"));
    assert_eq!(played.header("x-absent").as_deref(), Some("yes"));
    let request = played.exchange.request.borrow();
    assert_eq!(request.headers.all("x-there").collect::<Vec<_>>(), [b"mine".as_slice(), b"more"]);
    assert_eq!(request.method.as_str(), "PUT");
    drop(request);
    let renamed = play("transform_request { query = { rename = { q = 'p' }, default = { z = '{id}', p = 'no' } } }");
    let query = renamed.exchange.request.borrow().query.clone().unwrap();
    assert!(query.contains("p=1%262") && query.contains("z=7") && !query.contains("q="), "{query}");
}

#[test]
fn json_of_a_request_keeps_every_digit() {
    let step = "transform_request { json = { set = { ['$.n'] = 1 }, remove = { '$.secret' }, rename = { ['$.old'] = 'new' } } }";
    assert_eq!(play(step).body(), r#"{"id":18446744073709551617,"new":1.10,"n":1}"#);
    let broken = play_with(step, request("{"), None);
    assert_eq!(broken.fault(), (400, "body.bad_json".to_owned()));
    let mut other = request("{");
    other.headers.set("content-type", "text/plain");
    assert_eq!(play_with(step, other, None).body(), "{", "what is no JSON is left alone");
}

#[test]
fn a_body_is_replaced_by_text_table_function_or_media_type() {
    assert_eq!(play("transform_request { body = 'id={json.id}' }").body(), "id=18446744073709551617");
    let hostile = play(r#"transform_request { body = { a = "{query.q}\",\"b", list = { 1, "{id}" }, e = {} } }"#);
    assert_eq!(hostile.body(), r#"{"a":"1&2\",\"b","e":{},"list":[1,"7"]}"#);
    assert_eq!(play("transform_request { body = function(req) return req:text():sub(1, 5) end }").body(), r#"{"id""#);
    assert_eq!(
        play("transform_request { body = { ['application/json'] = { j = true }, ['*'] = 415 } }").body(),
        r#"{"j":true}"#
    );
    let other = play("transform_request { body = { ['text/xml'] = 'x', ['*'] = 415 } }");
    assert_eq!(other.answer(), "415", "the status is the answer");
    assert!(play("transform_request { body = { ['*'] = 'pass' } }").body().starts_with("{\"id\""));
}

#[test]
fn a_value_that_would_end_a_field_is_refused() {
    let mut hostile = request("");
    hostile.query = Some("q=a%0D%0Ax-b:1".into());
    let played = play_with("transform_request { set = { ['x-a'] = '{query.q}' } }", hostile, None);
    assert_eq!(played.fault(), (400, "header.unsafe".to_owned()));
    assert_eq!(played.header("x-a"), None);
}

#[test]
fn an_answer_is_edited_by_status() {
    let step = r#"transform_response {
      remove = { "x-internal" }, set = { ["x-said"] = "{response.status} {response.json.a}" },
      json = { remove = { "$.secret" } },
      on = { [404] = { status = 410, body = { gone = true } }, ["5xx"] = { set = { ["x-sorry"] = "yes" } } },
    }"#;
    let res = |status| {
        let mut response = Response::with(status, "application/json", r#"{"a":1,"secret":2}"#.to_owned());
        response.headers.set("x-internal", "1");
        response.headers.set("etag", "\"x\"");
        response
    };
    let fine = answered(step, res(200));
    assert_eq!((text(&fine).as_str(), fine.headers.has("x-internal")), (r#"{"a":1}"#, false));
    assert_eq!((fine.headers.text("x-said"), fine.headers.has("etag")), (Some("200 1"), false));
    let gone = answered(step, res(404));
    assert_eq!((gone.status, text(&gone).as_str()), (410, r#"{"gone":true}"#));
    assert_eq!(answered(step, res(503)).headers.text("x-sorry"), Some("yes"));
    let mut fixed = res(200);
    fixed.headers.set("cache-control", "no-transform");
    assert_eq!(text(&answered(step, fixed)), r#"{"a":1,"secret":2}"#);
}

#[test]
fn a_body_above_the_limit_is_refused() {
    assert_eq!(play("body_limit '10'").fault(), (413, "body.too_large".to_owned()));
    assert!(play("body_limit '1KB'").outcome.is_ok());
    assert!(play_with("body_limit(0)", Request { body: Body::Empty, ..Request::default() }, None).outcome.is_ok());
}

#[test]
fn timeout_only_ever_brings_the_deadline_nearer() {
    let before = play("steps {}").exchange.deadline.get();
    assert!(play("timeout '3s'").exchange.deadline.get() < before);
    assert_eq!(play("timeout '3h'").exchange.deadline.get(), before);
}

#[test]
fn the_request_id_goes_on_and_the_log_gets_more() {
    let played = play_with("request_id { header = 'X-Trace' }", request(""), Some(Response::new(200)));
    assert_eq!(played.header("x-trace").as_deref(), Some(&**played.exchange.id()));
    let step = "access_log { fields = { shop = '{host}', code = function(req, res) return res.status end } }";
    let played = play_with(step, request(""), Some(Response::new(201)));
    let mut noted = played.exchange.record.borrow().noted.clone();
    noted.sort_by(|(a, _), (b, _)| a.cmp(b));
    assert_eq!(noted, [("code".to_owned(), 201.into()), ("shop".to_owned(), "shop.dev".into())]);
    let silent = play_with("access_log(false)", request(""), Some(Response::new(201)));
    assert!(silent.exchange.record.borrow().silent);
}

#[test]
fn mistakes_in_options_are_told_while_loading() {
    let lua = open(&Clock::fake(NOW), &Arc::default());
    for (text, expected) in [
        ("mock { json = 1, text = 'x' }", "write one of json, text, html and file"),
        ("mock { staus = 1 }", "staus"),
        ("redirect {}", "redirect"),
        ("redirect { '/x', status = '200' }", "status"),
        ("redirect '/{nonsense.x}'", "nonsense"),
        ("timeout 'soon'", "timeout"),
        ("body_limit 'big'", "body_limit"),
        ("transform_request { set = { ['bad name'] = 'x' } }", "bad name"),
        ("transform_request { set = { ['content-length'] = '1' } }", "content-length"),
        ("transform_request { json = { remove = { '$[' } } }", "$["),
        ("transform_request { jsn = {} }", "jsn"),
        ("transform_request { body = true }", "body"),
        ("transform_response { on = { abc = {} } }", "abc"),
        ("transform_response { on = { [404] = { sets = {} } } }", "sets"),
        ("request_id { header = 'a b' }", "header"),
        ("access_log { fields = { a = 5 } }", "fields"),
    ] {
        let told = mistakes(&lua, &format!("return {text}"));
        assert!(told.contains(expected), "{text}: {told}");
    }
}
