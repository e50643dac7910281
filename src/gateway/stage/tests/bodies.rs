//! What moves piece by piece, and what is put together of several answers.

use super::passes;

#[test]
fn bodies_streams_events_and_compositions_are_tested_like_the_rest() {
    let script = r#"
upstream "feed" { "10.0.0.1:9000" }
upstream "stock" { "10.0.0.2:9000" }
upstream "reviews" { "10.0.0.3:9000" }
route "GET /events" {
  function(req, next)
    local res = next()
    res:sse(function(event)
      if event.data == "secret" then return nil end
      event.data = event.data:upper()
      return event
    end)
  end,
  to = "feed",
}
route "GET /count" { function() return { stream = function(write) for n = 1, 3 do write(n .. "\n") sleep "1s" end end } end }
route "POST /size" { function(req) local n = 0 for piece in req:chunks() do n += #piece end return { json = n } end }
route "POST /upload" { function(req) local parts = req:multipart() return { json = { parts[1].name, parts[1].filename, parts[1].data or parts[1].body } } end }
route "GET /page/{id}" { compose { stock = { to = "stock", path = "/{id}" }, reviews = { to = "reviews", path = "/{id}", default = { none = true } } } }
route "GET /both" { function()
  local both = parallel { a = function() return fetch("stock/a"):text() end, b = function() return fetch("reviews/b"):text() end }
  return { text = both.a .. both.b }
end }
"#;
    passes(
        script,
        r#"
test("events are rewritten as they come", function(gw)
  gw:mock("feed", { headers = { ["content-type"] = "text/event-stream" }, chunks = { "data: a\n\n", "data: sec", "ret\n\ndata: b\n\n" }, every = "1s" })
  local res = gw:get "/events"
  expect(res.body).is "data: A\n\ndata: B\n\n"
  expect(res.took).is(2)
end)
test("a stream takes its time on the test's clock", function(gw)
  local call = gw:start("GET", "/count")
  gw:advance "2s"
  expect(call:done()).is(false)
  expect(call:answer().body).is "1\n2\n3\n"
  expect(time.now()).is(1893499200 + 3)
end)
test("what is sent is read in pieces or in parts", function(gw)
  expect(gw:post("/size", { body = string.rep("x", 300000) }):json()).is(300000)
  local body = "--b\r\ncontent-disposition: form-data; name=\"pic\"; filename=\"a.png\"\r\n\r\nPNG\r\n--b--\r\n"
  local res = gw:post("/upload", { headers = { ["content-type"] = "multipart/form-data; boundary=b" }, body = body })
  expect(res:json()).is { "pic", "a.png", "PNG" }
end)
test("a page is put together, one part of it with a default", function(gw)
  gw:mock("stock", { json = { left = 3 } })
  gw:mock("reviews", 503)
  expect(gw:get("/page/7"):json()).is { stock = { left = 3 }, reviews = { none = true } }
  gw:down "stock"
  expect(gw:get("/page/7").status).is(502)
end)
test("two calls at once take as long as the longer", function(gw)
  gw:mock("stock", { delay = "2s", text = "a" })
  gw:mock("reviews", { delay = "3s", text = "b" })
  local res = gw:get "/both"
  expect(res.body).is "ab"
  expect(res.took).is(3)
end)
"#,
    );
}
