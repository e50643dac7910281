-- Several services, some of them down, one of them late: `moongate test examples/compose`.

test("a page without its reviews is still a page", function(gw)
  gw:mock("catalog", { json = { path = "/products/7" } })
  gw:down "broken"
  local page = gw:get("/page/7"):json()
  expect(page.product).is { path = "/products/7", status = 200 }
  expect(page.reviews).is { missing = "upstream.connect" }
  expect(page.views).is(1)
  expect(gw:logs()).has { level = "info", message = "page shown" }
end)

test("the fastest wins, however late it is", function(gw)
  gw:mock("catalog", { delay = "2s", json = { path = "/fast" } })
  local res = gw:get "/fastest"
  expect(res.body).is("/fast")
  expect(res.took).is(2)
  gw:mock("catalog", { delay = "6s", json = { path = "/fast" } })
  expect(gw:get("/fastest").body).is("slow")
end)

test("no answer ends the request", function(gw)
  gw:mock("broken", { fault = "reset" })
  expect(gw:get("/strict/1").status).is(502)
  gw:mock("broken", "fine")
  expect(gw:get("/strict/1").body).is("fine")
end)

test("what is popular is known at once", function(gw)
  expect(gw:get("/popular"):json()).is { known = true }
end)

test("a countdown takes its time", function(gw)
  local res = gw:get "/countdown"
  expect(res.body).is("3\n2\n1\ngo\n")
  expect(res.took).above(0.02)
end)
