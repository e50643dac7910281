//! A runaway script costs its own request only: CPU time, memory, recursion, tasks (C-11).

use std::time::Duration;

use crate::support::binary;
use crate::support::gateway;
use crate::support::gateway::Gateway;
use crate::support::wait::Stopwatch;

const HOSTILE: &str = r#"
gateway { limits = { step = "100ms", memory = "48MB" } }
local hostile = {
  loop = function() while true do end end,
  calls = function() local function f() return 1 end while true do f() end end,
  pcall = function() while true do pcall(function() while true do end end) end end,
  xpcall = function() while true do xpcall(function() while true do end end, function() while true do end end) end end,
  coroutine = function() coroutine.wrap(function() while true do end end)() end,
  coroutines = function() while true do coroutine.wrap(function() coroutine.yield() end)() end end,
  find = function() string.find(string.rep("a", 60), string.rep("a?", 60) .. string.rep("a", 60) .. "b") end,
  backtrack = function() string.find(string.rep("a", 5000), ".-.-.-.-b") end,
  gsub = function() local s = string.rep("a", 1000000) while true do s:gsub("a", "b") end end,
  rep = function() while true do string.rep("x", 1000000) end end,
  sort = function() local t = {} for i = 1, 100000 do t[i] = i end while true do table.sort(t, function() return true end) end end,
  sorted = function() local t = {} for i = 1, 1000 do t[i] = i end table.sort(t, function() while true do end end) end,
  metamethod = function() local _ = setmetatable({}, { __index = function() while true do end end }).x end,
  tostring = function() tostring(setmetatable({}, { __tostring = function() while true do end end })) end,
  iterator = function() for _ in function() return 1 end do end end,
  json = function() while true do json.decode(json.encode { a = { 1, 2, 3 } }) end end,
  wrapper = function() fetch "x" while true do end end,
}
local greedy = {
  rep = function() return #string.rep("x", 1000000000) end,
  double = function() local s = "x" while true do s = s .. s end end,
  table = function() local t = {} while true do t[#t + 1] = {} end end,
  concat = function() local t = {} for i = 1, 100000 do t[i] = string.rep("x", 1000) end return #table.concat(t) end,
  buffer = function() local t = {} while true do t[#t + 1] = buffer.create(10000000) end end,
  keep = function() local t = {} for i = 1, 1000000 do t[i] = "k" .. i end return #t end,
}
local function deep(n) return deep(n + 1) + 1 end
route "GET /loop/{how}" { function(req) (hostile[req.params.how] or error "no such")() return { text = "survived" } end }
route "GET /memory/{how}" { function(req) return { text = tostring(greedy[req.params.how]()) } end }
route "GET /deep" { function() return { text = tostring(deep(0)) } end }
route "GET /deep-pcall" { function() local function f() return pcall(f) end f() return 204 end }
route "GET /deep-json" { function(req) return { json = json.decode(string.rep("[", 100000)) } end }
route "GET /spawn" { function() for _ = 1, 100000 do spawn(function() sleep "10s" end) end return 204 end }
route "GET /fine" { function() return { text = "fine" } end }
"#;

fn hostile() -> Gateway {
    gateway::script(HOSTILE).start()
}

#[test]
fn every_runaway_is_stopped_and_its_neighbours_go_on() {
    let gateway = hostile();
    let mut neighbour = gateway.client();
    for how in [
        "loop",
        "calls",
        "pcall",
        "xpcall",
        "coroutine",
        "coroutines",
        "find",
        "backtrack",
        "gsub",
        "rep",
        "sort",
        "sorted",
        "metamethod",
        "tostring",
        "iterator",
        "json",
    ] {
        let mut client = gateway.client();
        let watch = Stopwatch::start();
        client.send(format!("GET /loop/{how} HTTP/1.1\r\nhost: x\r\n\r\n"));
        assert_eq!(neighbour.get("/fine").with(200).text(), "fine");
        let answer = client.answer();
        // Generous: the machine that runs this may be loaded; without a budget it would be for ever.
        assert!(watch.elapsed() < Duration::from_secs(5), "{how} held the worker {:?}", watch.elapsed());
        let code = answer.problem();
        // `sort` notices a comparator that contradicts itself, and says so.
        let codes = if how == "sort" {
            vec!["script.error", "script.timeout"]
        } else {
            vec!["script.timeout", "script.memory"]
        };
        assert!(matches!(answer.status, 500 | 503) && codes.contains(&code.as_str()), "{how}: {answer:?}");
        assert!(!answer.text().contains("gateway.lua"), "{how} told the client about the script");
    }
}

#[test]
fn memory_is_bounded_and_the_worker_serves_on() {
    let gateway = hostile();
    for how in ["rep", "double", "table", "concat", "buffer"] {
        for _ in 0..3 {
            let answer = gateway.get(&format!("/memory/{how}"));
            assert!(matches!(answer.status, 500 | 503), "{how}: {answer:?}");
            assert!(
                matches!(answer.problem().as_str(), "script.memory" | "script.timeout" | "script.error"),
                "{how}: {answer:?}"
            );
            assert_eq!(gateway.get("/fine").with(200).text(), "fine");
        }
    }
}

#[test]
fn a_machine_that_ran_out_does_not_take_those_that_wait_in_it_along() {
    let gateway = gateway::script(&format!(
        "{HOSTILE}\nroute \"GET /wait\" {{ function() sleep \"300ms\" return {{ text = \"waited\" }} end }}"
    ))
    .start();
    let mut waiting = gateway.client();
    waiting.send("GET /wait HTTP/1.1\r\nhost: x\r\n\r\n");
    assert!(gateway.get("/memory/table").status >= 500);
    assert_eq!(waiting.answer().with(200).text(), "waited");
    assert_eq!(gateway.get("/wait").with(200).text(), "waited");
}

#[test]
fn recursion_ends_in_an_error_of_its_own_request() {
    let gateway = hostile();
    for target in ["/deep", "/deep-pcall", "/deep-json"] {
        let answer = gateway.get(target);
        assert!(matches!(answer.status, 204 | 400 | 500 | 503), "{target}: {answer:?}");
        assert_eq!(gateway.get("/fine").with(200).text(), "fine");
    }
    assert!(gateway.get("/deep").status >= 500);
}

#[test]
fn spawned_tasks_are_bounded() {
    let gateway = hostile();
    let answer = gateway.get("/spawn");
    assert!(answer.status >= 500, "a hundred thousand tasks were taken: {answer:?}");
    assert_eq!(gateway.get("/fine").with(200).text(), "fine");
}

#[test]
fn the_log_names_file_and_line_of_a_runaway() {
    let gateway = binary::script("route \"GET /\" {\n  function()\n    while true do end\n  end }").start();
    gateway.client().get("/").refused(500, "script.timeout");
    gateway.logs("gateway.lua:3");
}

#[test]
fn a_step_that_waits_long_is_not_a_runaway() {
    let gateway = gateway::script(r#"gateway { limits = { step = "20ms" } } route "GET /" { function() for _ = 1, 10 do sleep "10ms" end return 204 end }"#).start();
    gateway.get("/").with(204);
}

#[test]
fn a_file_that_never_stops_loading_is_an_error_of_the_load() {
    let error = gateway::script("while true do end").try_start().err().expect("it loads");
    assert!(error.contains("gateway.lua:1"), "{error}");
    for before in ["", "route 'GET /' { function() return 204 end } ", "upstream 'u' { 'echo:' } "] {
        let script = format!("{before}local s = 'x' while true do s = s .. s end");
        let error = gateway::script(&script).try_start().err().expect("it loads");
        assert!(error.contains("memory"), "{before}: {error}");
    }
}
