use crate::proxy::Code;
use crate::script::bind::testing::driven;
use crate::script::bind::testing::fault;

/// What `script` comes to; every line of it begins with the time in milliseconds since it started.
fn timed(script: &str) -> String {
    driven(&format!("local t0 = time.ms() local function ms() return time.ms() - t0 end {script}")).unwrap()
}

#[test]
fn functions_wait_at_the_same_time() {
    let text = timed(
        r#"local r = parallel {
          a = function() sleep "100ms" return 1 end,
          b = function() sleep "200ms" return 2 end,
          c = function() return 3 end,
          d = function() end,
          function() return "first" end,
        }
        return ms(), r.a, r.b, r.c, r.d == nil, r[1]"#,
    );
    assert_eq!(text, "200 1 2 3 true first");
}

#[test]
fn the_first_error_cancels_the_rest_and_raises_as_it_was() {
    let text = timed(
        r#"local late = false
        local ok, err = pcall(parallel, {
          function() sleep "100ms" error({ code = 7 }) end,
          function() sleep "200ms" late = true end,
        })
        sleep "500ms"
        return ok, err.code, late"#,
    );
    assert_eq!(text, "false 7 false");
    let text = timed("local ok, err = pcall(parallel, { function() error 'no' end }) return err");
    assert_eq!(text, "gateway.lua:1: no");
}

#[test]
fn an_uncaught_error_fails_the_request_with_its_line() {
    let failure = driven("parallel {\n function() error 'no' end }").unwrap_err();
    assert_eq!(failure.code, Code::ScriptError);
    assert_eq!((failure.cause.as_str(), failure.place.clone()), ("no", Some(("gateway.lua".to_owned(), 2))));
}

#[test]
fn a_rejection_in_a_branch_ends_the_request_and_no_pcall_stops_it() {
    for script in [
        "pcall(parallel, { function() sleep '10ms' reject(418, 'teapot') end, function() sleep '1s' end }) return 'went on'",
        "parallel.settle { function() pcall(reject, 418, 'teapot') end } return 'went on'",
        "race { function() reject(418, 'teapot') end, function() return 1 end } return 'went on'",
    ] {
        let failure = driven(script).unwrap_err();
        assert_eq!((failure.status, failure.detail.as_str()), (418, "teapot"), "{script}");
    }
}

#[test]
fn settle_keeps_results_and_errors() {
    let text = timed(
        r#"local r = parallel.settle {
          a = function() sleep "10ms" return 1 end,
          b = function() error("no", 0) end,
        }
        return r.a.ok, r.a.value, r.b.ok, r.b.error"#,
    );
    assert_eq!(text, "true 1 false no");
}

#[test]
fn the_first_to_finish_wins_a_race() {
    let text = timed(
        r#"local late = false
        local value, name = race {
          slow = function() sleep "200ms" late = true return "slow" end,
          quick = function() sleep "50ms" return "quick" end,
        }
        local at = ms()
        sleep "500ms"
        return value, name, at, late"#,
    );
    assert_eq!(text, "quick quick 50 false");
    assert_eq!(timed("return pcall(race, { function() error('no', 0) end, function() sleep '1s' end })"), "false no");
}

#[test]
fn they_nest_and_run_in_a_coroutine_of_the_scripts_own() {
    let text = timed(
        r#"local co = coroutine.wrap(function()
          local r = parallel { a = function() return parallel { b = function() sleep "30ms" return 5 end }.b end }
          return r.a
        end)
        return co(), ms()"#,
    );
    assert_eq!(text, "5 30");
    assert_eq!(timed("local r = parallel {} return next(r) == nil"), "true");
}

#[test]
fn nesting_without_end_fails_and_ends_no_process() {
    let text =
        timed("local function f() parallel { f } end local ok, err = pcall(f) return ok, (err:gsub('^.-: ', ''))");
    assert_eq!(text, "false parallel within parallel, more than 16 deep");
    let text = timed(
        "local function f(n) sleep '1ms' if n == 0 then return 'deep' end return race { function() return f(n - 1) end } end return f(16), pcall(f, 17)",
    );
    assert!(text.starts_with("deep false"), "{text}");
    let text = timed(
        "for _ = 1, 50 do parallel { function() sleep '1ms' end, function() parallel { function() end } end } end return 'fine'",
    );
    assert_eq!(text, "fine");
}

#[test]
fn an_endless_branch_is_stopped() {
    // The test machine's budget is long; a deep recursion ends by itself.
    let text = timed("local function f() return 1 + f() end local ok = pcall(parallel, { f }) return ok");
    assert_eq!(text, "false");
}

#[test]
fn misuse_is_named_at_the_callers_line() {
    for (script, expected) in [
        ("parallel(5)", "gateway.lua:1: parallel: a table of functions expected, got number"),
        ("parallel { a = 5 }", "gateway.lua:1: parallel: `a` is a number, not a function"),
        ("race {}", "no function to run"),
        ("local t = {} for i = 1, 300 do t[i] = print end parallel(t)", "more than the 256 at once"),
        ("sleep 'soon'", "soon"),
        ("sleep(-1)", "duration"),
        ("sleep {}", "a duration expected"),
    ] {
        let failure = driven(script).unwrap_err();
        let (file, line) = failure.place.clone().unwrap_or_default();
        let text = format!("{file}:{line}: {}", failure.cause);
        assert!(text.contains(expected), "{script}: {text}");
    }
    assert!(fault("table.sort({ 1, 2 }, function() sleep '1s' end)").contains("`sleep` cannot wait"));
}
