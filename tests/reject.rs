//! `reject`: leaves from any depth, and nothing in the script can hold it.

use crate::support::gateway;
use crate::support::upstream;

const DEPTHS: &str = r#"
local function deep(n) if n == 0 then reject(403, "deep", { code = "shop.closed" }) end return deep(n - 1) + 1 end
local holds = {
  plain = function() deep(0) end,
  deep = function() deep(50) end,
  pcall = function() pcall(deep, 3) end,
  xpcall = function() xpcall(deep, function() return 1 end, 3) end,
  nested = function() pcall(function() pcall(function() pcall(deep, 1) end) end) end,
  coroutine = function() coroutine.resume(coroutine.create(function() deep(2) end)) end,
  wrap = function() coroutine.wrap(function() pcall(deep, 2) end)() end,
  iterator = function() for _ in function() deep(1) end do end end,
  call = function() setmetatable({}, { __call = function() deep(1) end })() end,
  index = function() local _ = setmetatable({}, { __index = function() deep(1) end }).x end,
  concat = function() local _ = setmetatable({}, { __concat = function() deep(1) end }) .. "x" end,
  gsub = function() string.gsub("aaa", "a", function() pcall(deep, 1) end) end,
  sort = function() table.sort({ 3, 2, 1 }, function() pcall(deep, 1) return true end) end,
  loop = function() while true do pcall(function() string.gsub("a", "a", function() deep(1) end) end) end end,
  parallel = function() parallel { a = function() deep(1) end, b = function() sleep "10s" end } end,
}
route "GET /{how}" {
  function(req) holds[req.params.how]() return { text = "still here" } end,
  function(req) return { text = "went on" } end,
}
"#;

#[test]
fn reject_ends_the_request_from_every_depth() {
    let gateway = gateway::script(DEPTHS).start();
    let mut client = gateway.client();
    for how in [
        "plain",
        "deep",
        "pcall",
        "xpcall",
        "nested",
        "coroutine",
        "wrap",
        "iterator",
        "call",
        "index",
        "concat",
        "gsub",
        "sort",
        "loop",
        "parallel",
    ] {
        let answer = client.get(&format!("/{how}"));
        assert_eq!((answer.status, answer.at("/detail")), (403, "deep".into()), "{how}: {answer:?}");
        assert_eq!(answer.problem(), "shop.closed", "{how}");
    }
    assert_eq!(client.get("/deep").status, 403);
}

#[test]
fn an_error_in_one_step_does_not_leak_into_the_next_request() {
    let gateway = gateway::script(DEPTHS).start();
    let mut client = gateway.client();
    for _ in 0..200 {
        assert_eq!(client.get("/gsub").status, 403);
        assert_eq!(client.get("/pcall").status, 403);
        assert_eq!(client.get("/absent").status, 500);
    }
}

#[test]
fn reject_in_wrappers_hooks_and_streams() {
    let service = upstream::serve(|conn| {
        while conn.request().is_some() {
            conn.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n");
        }
    });
    let gateway = gateway::script(
        r#"
        route "GET /after" { function(req, next) next() reject(409, "after") end, to = "service" }
        route "GET /response" { to = "service", on_response = function(req, res) reject(410, "response") end }
        route "GET /map" { function(req, next)
          next():map(function(chunk) if chunk:find "two" then reject(400) end return chunk end)
        end, to = "service" }
        "#,
    )
    .service("service", &service)
    .start();
    assert_eq!(gateway.get("/after").status, 409);
    assert_eq!(gateway.get("/response").status, 410);
    let mut client = gateway.client();
    client.send("GET /map HTTP/1.1\r\nhost: x\r\n\r\n");
    let raw = String::from_utf8(client.rest()).unwrap();
    let cut = !raw.ends_with("0\r\n\r\n");
    assert!(cut && !raw.contains("two"), "a cut stream was passed off as whole: {raw:?}");
}

#[test]
fn details_and_codes_of_a_reject_reach_the_client_safely() {
    let gateway = gateway::script(
        r#"
        route "GET /r" { function(req) reject(429, 'say "hi"\n' .. req.query.x, { code = "a.b", headers = { ["retry-after"] = "3" } }) end }
        "#,
    )
    .start();
    let answer = gateway.get("/r?x=%3Cscript%3E%0D%0A");
    answer.refused(429, "a.b");
    assert_eq!(answer.at("/detail"), "say \"hi\"\n<script>\r\n");
}
