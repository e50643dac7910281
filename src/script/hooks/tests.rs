//! Pipelines run for exchanges built by hand, without sockets.

use std::future::Future as _;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

use mlua::Function;
use mlua::Lua;
use mlua::MultiValue;
use mlua::Table;
use mlua::Value;

use super::*;
use crate::proxy::Site;
use crate::script::handle::tests::request;
use crate::script::load::at_once;
use crate::script::pipeline::Level;
use crate::script::pipeline::Pipeline;
use crate::script::pipeline::Step;
use crate::script::testing;
use crate::script::wait;
use crate::script::wait::tests::machine_with;

mod called;
mod cost;
mod failures;
mod wrappers;

/// A machine, its hooks, and the generation they stand in.
pub(super) struct Scene {
    lua: Lua,
    context: Rc<Context>,
    hooks: Rc<dyn Hooks>,
    site: Rc<Site>,
}

/// `text` returns a table: `steps`, `levels`, `when`, `target`, `on_request`. There is a word `nap`, which waits a second.
pub(super) fn scene(text: &str) -> Scene {
    let (lua, context) = machine_with(|lua| {
        let nap = wait::function(lua, "nap", |lua, ()| {
            let sleep = Context::of(lua).clock().sleep(Duration::from_secs(1));
            Ok(Box::pin(async move {
                sleep.await;
                Ok(MultiValue::new())
            }))
        })?;
        lua.globals().set("nap", nap)
    });
    let table: Table = machine::compile(&lua, "gateway.lua", text).unwrap().call(()).unwrap();
    let list = |name: &str| table.get::<Option<Vec<Value>>>(name).unwrap().unwrap_or_default();
    let pipeline = || Pipeline {
        steps: list("steps").into_iter().map(step).collect(),
        when: table.get::<Option<Function>>("when").unwrap().into_iter().collect(),
        cors: None,
        target: table.get("target").unwrap(),
        levels: list("levels")
            .into_iter()
            .zip(["route", "group", "gateway"])
            .map(|(level, name)| self::level(&level, name))
            .collect(),
        socket: None,
    };
    let pipelines = Pipelines {
        on_request: table.get("on_request").unwrap(),
        bare: pipeline(),
        routes: vec![pipeline()],
        timers: Vec::new(),
        access: Access::default(),
        hashers: Default::default(),
    };
    machine::loaded(&lua).unwrap();
    let plan = Arc::new(Plan::default());
    let hooks = at_once(hooks(&lua, &context, pipelines, &plan, async || {})).unwrap();
    let site = testing::site(Plan::default(), Rc::clone(&hooks));
    Scene { lua, context, hooks, site }
}

/// A function, or a table with `call` and what a policy's step says.
fn step(value: Value) -> Step {
    let (call, table) = match value {
        Value::Function(call) => (call, None),
        Value::Table(table) => (table.get("call").unwrap(), Some(table)),
        other => panic!("{other:?}"),
    };
    let option = |name: &str| table.as_ref().map_or(Value::Nil, |table| table.get::<Value>(name).unwrap());
    Step {
        wraps: call.info().num_params >= 2,
        waits: true,
        when: option("when").as_function().cloned(),
        status: option("status").as_integer().map(|status| u16::try_from(status).unwrap()),
        detail: option("detail").as_string().map(|detail| detail.to_string_lossy()),
        enforce: option("enforce") != Value::Boolean(false),
        word: if table.is_some() { "policy" } else { "function" }.into(),
        level: "route",
        place: ("gateway.lua".into(), 1),
        call,
    }
}

fn level(value: &Value, name: &'static str) -> Level {
    let Value::Table(table) = value else { panic!("a level is a table") };
    let mut errors: Vec<_> = table
        .get::<Option<Table>>("errors")
        .unwrap()
        .map_or_else(Vec::new, |errors| errors.pairs::<String, Value>().map(Result::unwrap).collect());
    errors.sort_by(|a, b| a.0.cmp(&b.0));
    Level {
        name,
        on_response: table.get("on_response").unwrap(),
        on_error: table.get("on_error").unwrap(),
        on_log: table.get("on_log").unwrap(),
        errors,
    }
}

impl Scene {
    fn exchange(&self) -> Rc<Exchange> {
        testing::exchange_at(&self.context, request(), Rc::clone(&self.site))
    }

    /// Waits for `run`, turning the clock.
    fn wait<T>(&self, run: Run<T>) -> T {
        let mut future = match run {
            Run::Done(value) => return value,
            Run::Wait(future) => future,
        };
        for _ in 0..100 {
            let waker = std::task::Waker::noop();
            if let Poll::Ready(value) = future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
                return value;
            }
            self.context.clock().advance(Duration::from_secs(1));
        }
        panic!("it waits for ever");
    }

    /// What the steps come to: `continue`, `200 text`, or `! 403 code detail`.
    fn steps(&self) -> String {
        shown(self.wait(self.hooks.steps(&self.exchange())))
    }
}

fn shown(verdict: Verdict) -> String {
    match verdict {
        Verdict::Continue => "continue".into(),
        Verdict::Answer(response) => show(response),
        Verdict::Fail(failure) => {
            let told = if failure.cause.is_empty() { &failure.detail } else { &failure.cause };
            format!("! {} {} {told}", failure.status, failure.code.as_str())
        }
    }
}

fn show(mut response: Response) -> String {
    let mut body = std::pin::pin!(response.body.collect(1 << 20));
    let waker = std::task::Waker::noop();
    let Poll::Ready(bytes) = body.as_mut().poll(&mut std::task::Context::from_waker(waker)) else {
        panic!("a body that waits")
    };
    format!("{} {}", response.status, String::from_utf8(bytes.unwrap().to_vec()).unwrap()).trim().to_owned()
}

#[track_caller]
fn check(text: &str, want: &str) {
    assert_eq!(scene(&format!("return {{ steps = {{ {text} }} }}")).steps(), want, "{text}");
}

#[test]
fn steps_run_in_order_until_one_answers() {
    check("", "continue");
    check("function(req) end, function(req) req.ctx.x = 1 end", "continue");
    check(
        "function(req) req.ctx.x = 'a' end, function(req) return { text = req.ctx.x } end, function(req) return 500 end",
        "200 a",
    );
    check("function(req) return 204 end", "204");
    check("function(req) nap() return { status = 201, json = { a = 1 } } end", "201 {\"a\":1}");
}

#[test]
fn nothing_waits_where_nothing_waited() {
    let scene = scene("return { steps = { function(req) return 204 end } }");
    assert!(matches!(scene.hooks.steps(&scene.exchange()), Run::Done(Verdict::Answer(_))));
}

#[test]
fn a_step_runs_only_when_its_when_holds() {
    check(
        "{ call = function() return 500 end, when = function(req) return req.path == '/other' end }, function() return 200 end",
        "200",
    );
    check("{ call = function() return 201 end, when = function(req) return req.path == '/users/7' end }", "201");
    check(
        "{ call = function() return 201 end, when = function(req) nap() return true end }",
        "! 500 script.error `nap` cannot wait in `when`",
    );
    check("{ call = function() return 201 end, when = function(req) reject(418, 'no') end }", "! 418 rejected no");
    check("{ call = function() return 201 end, when = function(req) error('x') end }", "! 500 script.error x");
}

#[test]
fn a_rejection_is_a_failure_with_the_step_that_made_it() {
    check("function(req) reject(403, 'not you') end", "! 403 rejected not you");
    check(
        "function(req) nap() pcall(function() reject(402, 'pay', { code = 'quota.exceeded' }) end) end",
        "! 402 quota.exceeded pay",
    );
    check(
        "{ call = function() reject(401, 'who?') end, status = 404, detail = 'nothing here' }",
        "! 404 rejected nothing here",
    );
    check("{ call = function() return { status = 401, text = 'who?' } end, status = 404 }", "404 who?");
    check(
        "{ call = function() return { status = 401, headers = { ['www-authenticate'] = 'x' } } end, detail = 'go' }",
        "! 401 rejected go",
    );
    let scene = scene("return { steps = { function() end, { call = function() reject(401) end } } }");
    let Verdict::Fail(failure) = scene.wait(scene.hooks.steps(&scene.exchange())) else { panic!() };
    assert_eq!((failure.step.as_deref(), failure.level), (Some("policy"), Some("route")));
}

#[test]
fn a_step_that_is_not_enforced_only_says_what_it_would_have_done() {
    check("{ call = function() reject(401) end, enforce = false }, function() return 200 end", "200");
    check("{ call = function() nap() return 429 end, enforce = false }, function() return 200 end", "200");
    check(
        "{ call = function() error('broken') end, enforce = false }, function() return 200 end",
        "! 500 script.error broken",
    );
}

#[test]
fn what_is_no_answer_is_the_scripts_mistake() {
    for (text, told) in [
        ("'text'", "a function returned a text"),
        ("true", "a function returned `true`"),
        ("99", "a status is a whole number from 200 to 599, not 99"),
        ("{ satus = 200 }", "not `satus`"),
        ("{ 1, 2 }", "a list is no answer"),
        ("{ text = 'a', json = {} }", "an answer has one of"),
        ("{ status = '200' }", "a status is a whole number"),
        ("{ text = {} }", "`text`: text expected"),
        ("{ file = '../../etc/passwd' }", "cannot read"),
        ("{ file = '/etc/passwd' }", "cannot read"),
        ("{ json = function() end }", "json:"),
    ] {
        let scene = scene(&format!("return {{ steps = {{ function() return {text} end }} }}"));
        let shown = scene.steps();
        assert!(shown.starts_with("! 500 script.answer") && shown.contains(told), "{text}: {shown}");
    }
    check(
        "function() return { text = 'a', headers = { x = 'a\\r\\nb: c' } } end",
        "! 400 header.unsafe a value with control characters would have become a header",
    );
}

#[test]
fn an_answers_table_becomes_a_response() {
    let scene = scene(
        "return { steps = { function() return { status = 201, html = '<p>', headers = { ['X-A'] = 1, link = { 'a', 'b' } },
           cookies = { sid = { 'abc', path = '/', http_only = true }, gone = false } } end } }",
    );
    let Verdict::Answer(response) = scene.wait(scene.hooks.steps(&scene.exchange())) else { panic!() };
    assert_eq!(response.headers.text("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(response.headers.text("x-a"), Some("1"));
    assert_eq!(response.headers.all("link").count(), 2);
    let cookies: Vec<_> =
        response.headers.all("set-cookie").map(|field| String::from_utf8_lossy(field).into_owned()).collect();
    assert_eq!(cookies, ["gone=; Path=/; Max-Age=0", "sid=abc; Path=/; HttpOnly"]);
}

#[test]
fn a_stream_is_sent_as_it_is_written() {
    let scene = scene(
        "return { steps = { function() return { stream = function(write) write('a') nap() write('b') for i = 1, 100 do write(('x'):rep(10000)) end end } end } }",
    );
    let Verdict::Answer(mut response) = scene.wait(scene.hooks.steps(&scene.exchange())) else { panic!() };
    let waker = std::task::Waker::noop();
    let (mut total, mut most) = (0, 0);
    loop {
        let Poll::Ready(piece) = response.body.poll_fill(&mut std::task::Context::from_waker(waker)) else {
            scene.context.clock().advance(Duration::from_secs(1));
            continue;
        };
        let length = piece.unwrap().len();
        if length == 0 {
            break;
        }
        (total, most) = (total + length, most.max(length));
        response.body.consume(length);
    }
    assert_eq!((total, most), (1_000_002, 10_000));
}

#[test]
fn when_target_and_on_request_are_asked() {
    let scene = scene(
        "return { when = function(req) return req.query.q == 'one' end, target = function(req) nap() return 'users-' .. req.params.id end,
           on_request = function(req) req.path = '/new' if req.headers.stop then return 503 end end }",
    );
    let exchange = scene.exchange();
    assert!(scene.hooks.when(&exchange, 0).unwrap());
    assert!(scene.hooks.wants_request());
    assert_eq!(shown(scene.wait(scene.hooks.on_request(&exchange))), "continue");
    assert_eq!(exchange.request.borrow().path, "/new");
    exchange.request.borrow_mut().query = None;
    assert!(!scene.hooks.when(&exchange, 0).unwrap());
    assert_eq!(scene.wait(scene.hooks.target(&exchange)).unwrap(), "users-7");
    exchange.request.borrow_mut().headers.set("stop", "1");
    assert_eq!(shown(scene.wait(scene.hooks.on_request(&exchange))), "503");
}

#[test]
fn what_a_request_keeps_fills_templates() {
    let scene = scene(
        "return { steps = { function(req) req.user = { sub = 'u1', roles = { 'a' } } req.ctx.n = 3 req.key = 'k' end } }",
    );
    let exchange = scene.exchange();
    scene.wait(scene.hooks.steps(&exchange));
    let lookup = |names: &[&str]| {
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        scene.hooks.lookup(&exchange, &names)
    };
    assert_eq!(lookup(&["user", "sub"]).as_deref(), Some("u1"));
    assert_eq!(lookup(&["user", "roles", "1"]).as_deref(), Some("a"));
    assert_eq!(lookup(&["ctx", "n"]).as_deref(), Some("3"));
    assert_eq!(lookup(&["key"]).as_deref(), Some("k"));
    assert_eq!(lookup(&["user", "none"]), None);
    assert_eq!(lookup(&["user"]).as_deref(), Some(r#"{"roles":["a"],"sub":"u1"}"#));
    let claims = Arc::new(serde_json::json!({ "sub": "u2" }));
    handle::identify(&scene.lua, &exchange, Some(claims), None).unwrap();
    assert_eq!(lookup(&["user", "sub"]), None, "what is data is read as data");
}

#[test]
fn a_request_that_is_dropped_while_it_waits_leaves_nothing() {
    let scene = scene(
        "local n = 0 return { steps = { function(req) nap() n += 1 end, function(req, next) nap() next() end } }",
    );
    for turns in 0..4 {
        for _ in 0..500 {
            let exchange = scene.exchange();
            let Run::Wait(mut future) = scene.hooks.steps(&exchange) else { panic!() };
            for _ in 0..turns {
                let _ = future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop()));
                scene.context.clock().advance(Duration::from_secs(1));
            }
            drop(future);
            assert_eq!(Rc::strong_count(&exchange), 1);
        }
    }
    assert!(scene.context.clock().next_due().is_none());
    scene.lua.gc_collect().unwrap();
    assert!(scene.lua.used_memory() < 3 << 20, "{}", scene.lua.used_memory());
}
