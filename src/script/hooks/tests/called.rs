//! Whole files: policies, steps that are called, levels, as a user writes them.

use super::*;
use crate::clock::Clock;
use crate::proxy::Worker;
use crate::script::live::Live;
use crate::script::load::LoadOptions;
use crate::script::load::load;
use crate::script::program::Seat;
use crate::telemetry::access::AccessLog;
use crate::telemetry::metrics::Registry;

/// What the first route of a file comes to.
fn first(text: &str) -> String {
    let folder = std::env::temp_dir().join(format!("moongate-called-{}-{:p}", std::process::id(), text));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("gateway.lua"), text).unwrap();
    let clock = Clock::fake(Duration::from_secs(1_800_000_000));
    let options = LoadOptions { clock: clock.clone(), ..LoadOptions::default() };
    let loaded = load(&folder.join("gateway.lua"), &options).unwrap_or_else(|faults| panic!("{faults}"));
    std::fs::remove_dir_all(folder).unwrap();
    let worker = Worker::new(0, 1, clock.clone(), Registry::default(), AccessLog::default());
    let seat = Seat { worker: Rc::clone(&worker), live: Arc::new(Live::default()), control: false, offline: None };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let hooks = runtime.block_on(loaded.program.open(&seat)).unwrap();
    let site = testing::site((**loaded.program.plan()).clone(), Rc::clone(&hooks));
    let peer = crate::downstream::Peer::default();
    let exchange = Exchange::begin(&worker, site, request(), peer);
    exchange.route.set(Some(0));
    let mut future = match hooks.steps(&exchange) {
        Run::Done(verdict) => return shown(verdict),
        Run::Wait(future) => future,
    };
    for _ in 0..100 {
        let waker = std::task::Waker::noop();
        if let Poll::Ready(verdict) = future.as_mut().poll(&mut std::task::Context::from_waker(waker)) {
            return shown(verdict);
        }
        clock.advance(Duration::from_secs(1));
    }
    panic!("it waits for ever");
}

const POLICY: &str = r#"
policy "deny" {
  options = { path = is.string { default = "/users/7" } },
  step = function(o) return function(req)
    if req.path == o.path then return { status = 401, text = "deny", headers = { ["www-authenticate"] = "x" } } end
  end end,
}
policy "forbid" { step = function() return function(req) reject(403, "forbidden") end end }
policy "mark" { step = function() return function(req, next) local res = next() res.headers.marked = "yes" end end }
"#;

/// `setup` makes the steps at the top of the file, `route` is what the route's list holds.
#[track_caller]
fn check(setup: &str, route: &str, want: &str) {
    assert_eq!(first(&format!("{POLICY}\n{setup}\nroute \"/users/{{id}}\" {{ {route} }}")), want, "{setup} {route}");
}

#[test]
fn a_called_steps_refusal_ends_the_request() {
    check("local s = deny {}", "function(req) s(req) return 200 end", "401 deny");
    check("local s = deny { path = '/other' }", "function(req) s(req) return 200 end", "200");
    check("local s = deny {}", "function(req) pcall(function() s(req) end) return 200 end", "401 deny");
    check("local s = forbid {}", "function(req) s(req) return 200 end", "! 403 rejected forbidden");
    check("local s = deny {}", "function(req) table.sort({ 1, 2 }, function() s(req) end) return 200 end", "401 deny");
}

#[test]
fn a_called_step_says_what_its_options_say() {
    check("local s = deny { status = 404 }", "function(req) s(req) return 200 end", "404 deny");
    let nothing = "local s = forbid { status = 404, detail = 'nothing' }";
    check(nothing, "function(req) s(req) return 200 end", "! 404 rejected nothing");
    let dry = "local a, b = deny { enforce = false }, forbid { enforce = false }";
    check(dry, "function(req) a(req) b(req) return 200 end", "200");
    check("local s = deny { when = function() return false end }", "function(req) s(req) return 200 end", "200");
    check("", "deny { status = 404 }, function() return 200 end", "404 deny");
}

#[test]
fn fragments_keep_what_their_steps_say() {
    check(
        "",
        "steps { deny { status = 404 }, when = function() return true end }, function() return 200 end",
        "404 deny",
    );
    check("", "steps { forbid { enforce = false }, deny { enforce = false } }, function() return 200 end", "200");
    check("", "steps { mark {}, when = function() return true end }, function() return 200 end", "200");
    check("local s = steps { deny {} }", "function(req) s(req) return 200 end", "401 deny");
}

#[test]
fn a_wrapping_step_is_called_with_next() {
    check("local s = mark {}", "function(req, next) return s(req, next) end, function() return 204 end", "204");
    let told = "! 500 script.error this step wraps what follows: call it as step(req, next) in a function(req, next)";
    check("local s = mark {}", "function(req) s(req) end", told);
}
