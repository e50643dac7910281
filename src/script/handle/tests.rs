//! Handles, alive and stale, from scripts; exchanges built by hand.

use std::rc::Rc;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Value;

use super::*;
use crate::http::Body;
use crate::http::Headers;
use crate::http::Method;
use crate::http::Request;
use crate::proxy::Run;
use crate::script::context::Context;
use crate::script::driver;
use crate::script::machine;
use crate::script::wait::tests::machine as fresh;

mod bodies;
mod hostile;
mod user;

/// A request as a client might send it.
pub(in crate::script) fn request() -> Request {
    let mut headers = Headers::default();
    headers.add("Accept", "application/json");
    headers.add("X-Tag", "a");
    headers.add("x-tag", "b");
    headers.add("Cookie", "sid=abc; theme=dark");
    headers.add("Authorization", "Bearer t0ken");
    headers.add("Content-Type", "Application/JSON; charset=utf-8");
    Request {
        method: Method::Post,
        path: "/users/7".into(),
        raw_path: Some("/users/%37".into()),
        query: Some("q=one&tag=x&tag=y&sp=a%20b+c".into()),
        host: "api.example".into(),
        headers,
        body: Body::from(r#"{"n":9007199254740993,"list":[]}"#.to_owned()),
        ..Request::default()
    }
}

pub(in crate::script) fn exchange(context: &Rc<Context>, request: Request) -> Rc<Exchange> {
    crate::script::testing::exchange(context, request)
}

/// A machine and an exchange for it.
pub(in crate::script) fn scene() -> (Lua, Rc<Context>, Rc<Exchange>) {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    let exchange = exchange(&context, request());
    (lua, context, exchange)
}

/// Runs `function(req, …)` for the exchange, which must not wait.
fn call(context: &Rc<Context>, exchange: &Rc<Exchange>, function: &Function) -> Result<MultiValue, Rc<Failure>> {
    let req = super::request(&context.lua().unwrap(), exchange);
    let mut run = driver::drive(context, Some(Rc::clone(exchange)), function, req);
    for _ in 0..100 {
        match run {
            Run::Done(outcome) => return outcome.map_err(Rc::new),
            Run::Wait(mut future) => {
                let waker = std::task::Waker::noop();
                run = match future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
                    std::task::Poll::Ready(outcome) => Run::Done(outcome),
                    std::task::Poll::Pending => {
                        context.clock().advance(std::time::Duration::from_secs(1));
                        Run::Wait(future)
                    }
                };
            }
        }
    }
    panic!("it waits for ever");
}

fn function(lua: &Lua, text: &str) -> Function {
    machine::compile(lua, "gateway.lua", &format!("local req = ...\n{text}")).unwrap()
}

/// What `text` returns for the usual request, joined by spaces.
fn eval(text: &str) -> Result<String, Rc<Failure>> {
    let (lua, context, exchange) = scene();
    let values = call(&context, &exchange, &function(&lua, text))?;
    Ok(values.iter().map(|value| value.to_string().unwrap()).collect::<Vec<_>>().join(" "))
}

#[track_caller]
fn check(text: &str, want: &str) {
    assert_eq!(eval(text).unwrap_or_else(|failure| format!("{failure:?}")), want, "{text}");
}

#[track_caller]
fn fails(text: &str, code: &str, cause: &str) {
    let failure = eval(text).expect_err(text);
    assert_eq!(failure.code.as_str(), code, "{text}: {failure:?}");
    let told = format!("{} {}", failure.cause, failure.detail);
    assert!(told.contains(cause), "{text}: {told}");
}

#[test]
fn fields_are_what_the_request_says() {
    check("return req.method, req.path, req.host, req.scheme", "POST /users/7 api.example http");
    check("return req.raw_path, req.version, req.type, req.ip", "/users/%37 1.1 application/json 10.1.2.3");
    check("return req.port, #req.id, req.id == req.id, req.tls, req.route", "4711 36 true nil nil");
    check("return req.params.id, req.params.name, req.params.none, type(req.params.id)", "7 ann nil number");
    check(
        "return req:bearer(), req:accepts('xml', 'json'), req:elapsed() >= 0, req:left() > 0",
        "t0ken json true true",
    );
    check("return tostring(req), req == req", "request: POST /users/7 true");
    fails("return req.pth", "script.error", "a request has no field `pth`");
    fails("return req[1]", "script.error", "a request has no field `1`");
}

#[test]
fn headers_are_case_blind_and_joined() {
    check(
        "return req.headers.accept, req.headers['ACCEPT'], req.headers['x-tag'], req.headers.none",
        "application/json application/json a, b nil",
    );
    check("local all = req.headers:all('X-TAG') return #all, all[2], req.headers:get('x-tag')", "2 b a, b");
    check("req.headers['X-New'] = 'v' return req.headers['x-new']", "v");
    check("req.headers['x-tag'] = nil return req.headers['x-tag']", "nil");
    check("req.headers['x-n'] = 12 req.headers:add('x-n', '13') return req.headers['x-n']", "12, 13");
    check("req.headers['x-l'] = { 'a', 'b' } return #req.headers:all('x-l')", "2");
    check("local n = 0 for name, value in req.headers:each() do n += 1 end return n", "6");
    check(
        "local s = '' for name, value in req.headers do s ..= name .. '=' .. value .. ';' end return s",
        "accept=application/json;x-tag=a, b;cookie=sid=abc; theme=dark;authorization=Bearer t0ken;content-type=Application/JSON; charset=utf-8;",
    );
    check("return req.headers.host, req.headers['content-length']", "api.example 32");
    check("req.headers.host = 'Other.example' return req.host", "other.example");
    fails("req.headers.nope()", "script.error", "attempt to call a nil value");
    fails("req.headers:nope()", "script.error", "there is no method `nope` here");
}

#[test]
fn what_could_split_a_head_never_becomes_a_header() {
    for text in [
        "req.headers['x'] = 'a\\r\\nb: c'",
        "req.headers['x'] = 'a\\nb'",
        "req.headers['x'] = 'a\\0b'",
        "req.headers['x y'] = 'a'",
        "req.headers['x:'] = 'a'",
        "req.headers[''] = 'a'",
        "req.headers:add('x', 'a\\rb')",
        "req.headers:set('x\\n', 'a')",
        "req.host = 'a\\r\\nb'",
        "req.host = ''",
        "req.headers.host = 'a b'",
    ] {
        let failure = eval(text).expect_err(text);
        assert_eq!((failure.code.as_str(), failure.status), ("header.unsafe", 400), "{text}: {failure:?}");
    }
    fails("req.headers['content-length'] = '5'", "script.error", "is set by the gateway itself");
    fails("req.headers['Transfer-Encoding'] = 'chunked'", "script.error", "is set by the gateway itself");
    fails("req.headers.x = true", "script.error", "text expected, got boolean");
    check("req.headers.connection = nil return 'fine'", "fine");
    check("return (pcall(function() req.headers.x = 'a\\n' end)), req.headers.x", "false nil");
}

#[test]
fn what_is_written_is_what_is_sent() {
    let (lua, context, exchange) = scene();
    let text = "req.method = 'PUT' req.path = '/a/../b%2fc' ";
    let failure = call(&context, &exchange, &function(&lua, text)).unwrap_err();
    assert_eq!(failure.code.as_str(), "request.path");
    let text = "req.method = 'PUT' req.path = '/a/./b?x=1' req.host = 'H.example:80' req.scheme = 'https'";
    call(&context, &exchange, &function(&lua, text)).unwrap();
    let request = exchange.request.borrow();
    assert_eq!((request.method.as_str(), &*request.path, request.query.as_deref()), ("PUT", "/a/b", Some("x=1")));
    assert_eq!((&*request.host, request.scheme.as_str()), ("h.example:80", "https"));
    for text in
        ["req.method = 'A B'", "req.method = 7", "req.path = 'x'", "req.scheme = 'ftp'", "req.ip = 'x'", "req.user = 7"]
    {
        assert_eq!(eval(text).expect_err(text).code.as_str(), "script.error", "{text}");
    }
}

#[test]
fn the_query_is_a_map_that_changes_only_what_is_changed() {
    check(
        "return req.query.q, req.query.sp, req.query.none, #req.query:all('tag'), req.query.tag",
        "one a b c nil 2 x",
    );
    let (lua, context, exchange) = scene();
    call(&context, &exchange, &function(&lua, "req.query.q = 'two words' req.query.tag = nil")).unwrap();
    assert_eq!(exchange.request.borrow().query.as_deref(), Some("q=two+words&sp=a%20b+c"));
    check("for name in req.query do req.query[name] = nil end return req.query.q", "nil");
    check("return req.query.all, req.query.each", "nil nil");
    check("return req.cookies.sid, req.cookies.theme, req.cookies.none", "abc dark nil");
    fails("req.cookies.sid = 'x'", "script.error", "read-only");
}

#[test]
fn a_request_keeps_what_steps_give_it() {
    check(
        "req.ctx.a = 1 req.user = { sub = 'u1' } req.key = 'k' return req.ctx.a, req.user.sub, req.key, req.limits.x",
        "1 u1 k nil",
    );
    check("return req.user.sub, type(req.user), req.key", "nil table nil");
    check("req.user = { sub = 1 } req.user = nil return req.user.sub", "nil");
    let (lua, context, exchange) = scene();
    call(&context, &exchange, &function(&lua, "req.ctx.seen = 'yes' req.user = { sub = 'u1' }")).unwrap();
    call(&context, &exchange, &function(&lua, "assert(req.ctx.seen == 'yes' and req.user.sub == 'u1')")).unwrap();
    let Some(Value::Table(user)) = kept(&lua, &exchange, "user") else { panic!("the user is kept") };
    assert_eq!(user.get::<String>("sub").unwrap(), "u1");
    assert!(kept(&lua, &exchange, "limits").is_none());
}
