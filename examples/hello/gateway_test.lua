-- The first test: `moongate test examples/hello`.

test("hello knows your name", function(gw)
  expect(gw:get("/hello?name=you"):json()).is { hello = "you" }
  expect(gw:get("/hello"):json().hello).is("world")
end)

test("the service is greeted", function(gw)
  local service = gw:mock("service", { status = 201 })
  expect(gw:post("/echo/1", { body = "a body" }).status).is(201)
  expect(service.calls[1].headers["x-greeted-by"]).is("moongate")
  expect(service.calls[1].body).is("a body")
end)
