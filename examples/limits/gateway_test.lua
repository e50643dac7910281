-- Limits, without waiting for a minute, a day or a month: `moongate test examples/limits`.

local ann, bob = { headers = { ["x-user"] = "ann" } }, { headers = { ["x-user"] = "bob" } }

test("the free plan is used up and comes back", function(gw)
  expect(gw:get("/v1/orders").status).is(401)
  expect(gw:get("/v1/orders", bob):json().left).is(1)
  expect(gw:get("/v1/orders", bob):json().left).is(0)
  expect(gw:get("/v1/orders", bob).code).is("rate_limit.exceeded")
  expect(gw:get("/v1/orders", ann):json().left).is(999)
  gw:advance "1m"
  expect(gw:get("/v1/orders", bob).status).is(200)
end)

test("a search takes five of what items take one of", function(gw)
  for _ = 1, 2 do expect(gw:get("/v1/search", ann).status).is(200) end
  expect(gw:get("/v1/items", ann).status).is(429)
  expect(gw:get("/v1/items", bob).status).is(200)
end)

test("an export costs one of a thousand until the month is over", function(gw)
  expect(gw:get("/export", ann):json().left).is(999)
  expect(gw:get("/export", ann):json().left).is(998)
  gw:advance "31d"
  expect(gw:get("/export", ann):json().left).is(999)
end)

test("what is over the day's limit is only told", function(gw)
  for _ = 1, 12 do expect(gw:get("/v1/report", ann).status).is(200) end
  expect(gw:metric("moongate_dry_refusals_total", { step = "rate_limit" })).above(0)
end)

test("a slow service is asked in an even stream", function(gw)
  expect(gw:get("/slow").took).is(0)
  expect(gw:get("/slow").took).above(0)
end)
