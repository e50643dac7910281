//! Handles in the hands of scripts that keep, share and break them.

use super::*;

#[test]
fn a_request_kept_after_its_end_is_over() {
    let (lua, context) = fresh();
    let text = "local kept, headers, ctx, query
        return function(req) kept, headers, ctx, query = req, req.headers, req.ctx, req.query ctx.secret = 1 end,
               function(req, what) 
                 assert(kept ~= req and headers ~= req.headers)
                 assert(req.ctx.secret == nil, 'ctx of another request')
                 if what == 1 then return kept.path elseif what == 2 then kept.path = '/x' elseif what == 3 then return headers.accept
                 elseif what == 4 then headers.x = 'y' elseif what == 5 then return kept:text() elseif what == 6 then return headers:all('x')
                 elseif what == 7 then return query.q elseif what == 8 then return kept.ctx elseif what == 9 then kept.user = {}
                 elseif what == 10 then for k in headers do end elseif what == 11 then return kept.headers elseif what == 12 then return kept.scheme end
               end";
    let (keep, later): (Function, Function) = machine::compile(&lua, "gateway.lua", text).unwrap().call(()).unwrap();
    machine::loaded(&lua).unwrap();
    for what in 1..=12 {
        let first = exchange(&context, request());
        call(&context, &first, &keep).unwrap();
        drop(first);
        let second = exchange(&context, request());
        let args = (super::super::request(&lua, &second), what);
        let outcome = driver::drive(&context, Some(Rc::clone(&second)), &later, args);
        let Run::Done(Err(failure)) = outcome else { panic!("{what}: it must fail") };
        assert!(failure.cause.contains("the request is over"), "{what}: {failure:?}");
        assert_eq!(failure.place.as_ref().map(|place| &*place.0), Some("gateway.lua"), "{what}: {failure:?}");
    }
}

#[test]
fn slots_are_used_again_and_nothing_leaks() {
    let (lua, context) = fresh();
    machine::loaded(&lua).unwrap();
    let function =
        function(&lua, "req.ctx.x = ('x'):rep(1000) req.user = { sub = req.path } req.headers.a = req.query.q");
    for _ in 0..5_000 {
        let exchange = exchange(&context, request());
        call(&context, &exchange, &function).unwrap();
    }
    lua.gc_collect().unwrap();
    assert!(lua.used_memory() < 2 << 20, "{}", lua.used_memory());
}

#[test]
fn a_response_that_was_taken_is_over() {
    let (lua, context, exchange) = scene();
    let res = response(&lua, Response::new(200)).unwrap();
    held(&lua, &res).unwrap().take().unwrap();
    for text in [
        "return res.status",
        "res.status = 201",
        "return res.headers.x",
        "res.headers.x = 'y'",
        "res.headers:add('x', 'y')",
        "return res:text()",
        "res:set_body('x')",
        "return res.upstream",
    ] {
        let function = machine::compile(&lua, "gateway.lua", &format!("local res = ...\n{text}")).unwrap();
        let run = driver::drive(&context, Some(Rc::clone(&exchange)), &function, &res);
        let outcome = match run {
            Run::Done(outcome) => outcome,
            Run::Wait(mut future) => {
                match future.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) {
                    std::task::Poll::Ready(outcome) => outcome,
                    std::task::Poll::Pending => panic!("{text} waits"),
                }
            }
        };
        assert!(outcome.expect_err(text).cause.contains("the response is over"), "{text}");
    }
}

#[test]
fn nobody_reaches_the_functions_behind_a_handle() {
    check("return getmetatable(req), getmetatable(req.headers)", "false false");
    for text in [
        "local f = req.text f()",
        "local f = req.text f(1)",
        "local f = req.text f({})",
        "local f = req.set_body f(req.headers, 'x')",
        "setmetatable(req, {})",
        "rawset(req, 'x', 1)",
        "rawget(req.headers, 'x')",
        "return req.headers.accept.x.y",
        "return #req",
        "return req + 1",
        "return req()",
        "for k in req do end",
        "return req.headers[{}].x",
        "req.headers[{}] = 1",
        "req[nil] = 1",
        "req.headers[1] = {{}}",
    ] {
        let failure = eval(text).expect_err(text);
        assert_eq!(failure.code.as_str(), "script.error", "{text}: {failure:?}");
    }
}

#[test]
fn a_request_of_another_coroutine_or_task_is_the_same_request() {
    check(
        "local co = coroutine.wrap(function() coroutine.yield(req.path) return req:text():sub(1, 1) end) return co(), co()",
        "/users/7 {",
    );
}

#[test]
fn every_field_survives_a_machine_without_memory() {
    let reads = [
        "req.method",
        "req.path",
        "req.ip",
        "req.id",
        "req.ctx",
        "req.user",
        "req.headers",
        "req.query",
        "req.params",
        "req.headers['x-tag']",
        "req.query.q",
        "req.query.sp",
        "req.cookies.sid",
        "req.params.name",
        "req.scheme",
        "req.headers:all('x-tag')",
        "req:bearer()",
    ];
    let writes = [
        "req.headers.x = ('y'):rep(10)",
        "req.ctx = {}",
        "req.key = 'k'",
        "req.path = '/x'",
        "req.query.q = 'z'",
        "for k, v in req.headers do end",
        "for k, v in req.headers:each() do end",
    ];
    let all = reads.iter().map(|read| format!("local _ = {read}")).chain(writes.iter().map(|&write| write.to_owned()));
    for text in all {
        let (lua, context, _) = scene();
        let function = function(&lua, &text);
        let used = lua.used_memory();
        for more in (0..6000).step_by(24) {
            let exchange = exchange(&context, request());
            lua.set_memory_limit(used + more).unwrap();
            let outcome = call(&context, &exchange, &function);
            lua.set_memory_limit(64 << 20).unwrap();
            if let Err(failure) = outcome {
                assert!(matches!(failure.code.as_str(), "script.memory"), "{text}: {failure:?}");
            }
            lua.gc_collect().unwrap();
        }
        let exchange = exchange(&context, request());
        call(&context, &exchange, &function).expect(&text);
    }
}
