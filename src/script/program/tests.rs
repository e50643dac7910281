use std::cell::Cell;
use std::path::Path;

use super::*;
use crate::clock::Clock;
use crate::script::LoadOptions;
use crate::script::load::load;

/// Loads `files` from a folder of its own, then runs `work` with the program.
fn with(files: &[(&str, &str)], work: impl FnOnce(Arc<Program>)) {
    let folder = std::env::temp_dir().join(format!("moongate-program-{}-{:p}", std::process::id(), files));
    for (name, text) in files {
        let path = folder.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    let loaded = load(&folder.join("gateway.lua"), &LoadOptions { clock: Clock::real(), ..LoadOptions::default() });
    // What workers open is what was read, whatever happens to the files.
    std::fs::remove_dir_all(&folder).unwrap();
    work(loaded.unwrap_or_else(|faults| panic!("{faults}")).program);
}

fn open(program: &Arc<Program>) -> Result<Pipelines, String> {
    run(async {
        let seat = Seat { worker: worker(), live: Arc::default(), control: false, offline: None };
        program.run(&seat).await.map(|opened| opened.pipelines)
    })
}

fn run<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

fn worker() -> Rc<Worker> {
    Worker::new(0, 1, Clock::real(), crate::telemetry::metrics::Registry::default(), Default::default())
}

#[test]
fn every_worker_opens_what_was_loaded() {
    let main = r#"
local auth = require "policies.auth"
policy "tag" { options = { [1] = is.string }, step = function(o) return function(req) req.ctx.tag = o[1] end end }
group "/v1" { auth, include "routes/*.lua" }
"#;
    let auth = "return function(req) if not req.headers['x-key'] then reject(401) end end";
    let routes =
        "route 'GET /a' { tag 'x', to = 'echo:' }\nroute 'GET /b' { function(req, next) next() end, to = 'echo:' }";
    with(&[("gateway.lua", main), ("policies/auth.lua", auth), ("routes/a.lua", routes)], |program| {
        let pipelines = open(&program).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(program.plan().routes.len(), 2);
        assert_eq!(program.plan().routes[0].pattern, "GET /v1/a");
        let words: Vec<&str> = pipelines.routes[0].steps.iter().map(|step| step.word.as_str()).collect();
        assert_eq!(words, ["function", "tag"]);
        assert!(pipelines.routes[1].steps[1].wraps);
        assert_eq!(pipelines.routes[1].steps[0].place, ("policies/auth.lua".to_owned(), 1));
    });
}

#[test]
fn a_file_that_computes_something_else_each_time_is_refused() {
    let main = "local name = tostring({}):gsub('[^%w]', '')\nroute('GET /' .. name) { to = 'echo:' }";
    with(&[("gateway.lua", main)], |program| {
        let error = open(&program).err().expect("addresses differ");
        assert!(error.contains("another plan") && error.contains("gateway.lua:2"), "{error}");
    });
}

#[test]
fn chance_and_time_are_the_same_for_all_workers() {
    let main = "route('GET /' .. math.random(1, 1e9) .. '-' .. os.time()) { to = 'echo:' }";
    with(&[("gateway.lua", main)], |program| assert!(open(&program).is_ok()));
}

#[test]
fn a_long_load_lets_others_run_in_between() {
    let main = "for i = 1, 20000 do route('GET /r' .. i) { to = 'echo:', function(req) return 204 end } end";
    with(&[("gateway.lua", main)], |program| {
        let turns = Rc::new(Cell::new(0));
        run(async {
            let seen = Rc::clone(&turns);
            tokio::task::spawn_local(async move {
                loop {
                    seen.set(seen.get() + 1);
                    tokio::task::yield_now().await;
                }
            });
            let seat = Seat { worker: worker(), live: Arc::default(), control: false, offline: None };
            assert!(program.run(&seat).await.is_ok());
        });
        assert!(turns.get() > 20, "{} turns", turns.get());
    });
}

#[test]
fn a_coroutine_of_the_file_itself_is_not_paused_for_others() {
    let main = r#"
local made = 0
local each = coroutine.wrap(function()
  for i = 1, 200000 do made += 1 end
  coroutine.yield("first")
  return "second"
end)
assert(each() == "first")
assert(each() == "second")
route("GET /" .. made) { to = "echo:" }
"#;
    with(&[("gateway.lua", main)], |program| {
        assert!(open(&program).is_ok());
        assert_eq!(program.plan().routes[0].pattern, "GET /200000");
    });
}

#[test]
fn what_was_read_is_watched() {
    with(
        &[("gateway.lua", "local a = require 'a'\nroute 'GET /' { to = 'echo:' }"), ("a.lua", "return {}")],
        |program| {
            let names: Vec<&str> = program.sources().map(|(name, _)| name).collect();
            assert_eq!(names, ["a.lua", "gateway.lua"]);
            assert!(program.files().iter().any(|path| path.ends_with(Path::new("a.lua"))));
            assert_eq!(program.hash().len(), 32);
        },
    );
}
