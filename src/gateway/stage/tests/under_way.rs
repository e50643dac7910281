//! Several requests of a test at once, on one clock.

use super::fails;
use super::passes;

const SHOP: &str = r#"
upstream "slow" { "10.0.0.1:9000", "10.0.0.2:9000" }
route "GET /cached" { cache { "1m" }, to = "slow" }
route "GET /one" { concurrency { 1, queue = 1, max_wait = "3s" }, to = "slow" }
route "GET /hedged" { to = "slow", hedge = "100ms" }
route "GET /whose" { to = "slow", timeout = "5s" }
"#;

#[test]
fn requests_are_under_way_together() {
    passes(
        SHOP,
        r#"
test("who asks for the same at once is answered by one load", function(gw)
  local slow = gw:mock("slow", { delay = "2s", text = "x", headers = { ["cache-control"] = "max-age=60" } })
  local calls = {}
  for n = 1, 5 do calls[n] = gw:start("GET", "/cached") end
  expect(#slow.calls).is(1)
  expect(calls[1]:done()).is(false)
  for _, call in calls do expect(call:answer().body).is("x") end
  expect(calls[5]:answer().took).is(2)
  expect(#slow.calls).is(1)
end)
test("one at a time, one waits, the next is refused", function(gw)
  gw:mock("slow", { delay = "2s", text = "x" })
  local first, second, third = gw:start("GET", "/one"), gw:start("GET", "/one"), gw:start("GET", "/one")
  expect(first:done()).is(false)
  expect(third:done()).is(true)
  expect(third:answer().code).is("concurrency.full")
  expect(second:answer().took).is(4)
  expect(first:answer().took).is(2)
end)
test("a second attempt is made beside a slow one", function(gw)
  local slow = gw:mock("slow", { { delay = "10s", text = "slow" }, { text = "fast" } })
  local res = gw:get "/hedged"
  expect(res.body).is("fast")
  expect(#slow.calls).is(2)
  expect(res.took).is(0.1)
end)
test("the clock is turned while they are under way, and each keeps who it is", function(gw)
  local slow = gw:mock("slow", { delay = "10s" })
  local calls = {}
  for n = 1, 300 do calls[n] = gw:start("GET", "/whose?n=" .. n, { ip = "10.9.0." .. n % 250 }) end
  gw:advance "4s"
  expect(calls[1]:done()).is(false)
  gw:advance "1s"
  for n, call in calls do
    expect(call:answer().code).is("route.timeout")
    expect(slow.calls[n].query.n).is(tostring(n))
    expect(slow.calls[n].headers["x-forwarded-for"]).is("10.9.0." .. n % 250)
  end
end)
test("others come and go meanwhile", function(gw)
  gw:mock("slow", function(req) return { delay = if req.path == "/whose" then "3s" else "1s", text = req.path } end)
  local call = gw:start("get", "/whose")
  expect(gw:get("/cached").body).is("/cached")
  expect(call:done()).is(false)
  expect(call:answer().body).is("/whose")
  expect(time.now()).is(1893499200 + 3)
end)
"#,
    );
}

#[test]
fn a_start_that_is_wrong_is_told_where_it_stands() {
    let failed = fails(SHOP, "test(\"x\", function(gw)\n  gw:start(\"GET\", \"/whose\")\nend)");
    assert!(failed.message.contains("upstream `slow` was called and has no mock"), "{}", failed.message);
    let failed = fails(SHOP, "test(\"x\", function(gw) gw:start(\"GET\", \"whose\") end)");
    assert!(failed.message.contains("a path (\"/users/7\") or a URL expected"), "{}", failed.message);
    let failed = fails(
        SHOP,
        "test(\"x\", function(gw)\n gw:mock(\"slow\", { delay = \"1s\", status = 204 })\n local call = gw:start(\"GET\", \"/whose\")\n expect(call:answer().status).is(200)\nend)",
    );
    assert!(failed.request.starts_with("GET /whose -> 204"), "{}", failed.request);
}
