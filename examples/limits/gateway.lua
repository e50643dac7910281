-- Limits: plans by user, searches that cost more, a slow service that is never crowded.

gateway { listen = ":8080" }

-- Who asks: here a name in a field; in earnest `api_key`, `jwt` or another step that authenticates.
local people = { ann = { id = "ann", plan = "gold" }, bob = { id = "bob", plan = "free" } }
local function signed_in(req)
  req.user = people[req.headers["x-user"] or ""] or reject(401, "who are you?")
end

-- The rate is chosen for each request; `false` is no limit. What was used stays used when somebody changes plans.
local plans = { free = "2/min", gold = "1000/min" }
local by_plan = rate_limit { { function(req) return plans[req.user.plan] end, by = "user" }, name = "plan" }

-- One budget for several routes: a search takes five of it.
local budget = limiter "budget" { "10/min", window = "sliding" }

group "/v1" {
  signed_in,

  route "GET /orders" { by_plan, function(req) return { json = { left = req.limits.plan.left } } end },

  route "GET /items" { rate_limit { { budget, by = "user" } }, function() return { json = { items = 3 } } end },
  route "GET /search" { rate_limit { { budget, by = "user", cost = 5 } }, function() return { json = { found = 1 } } end },

  -- Charged by what an answer turned out to cost, and only told, not enforced.
  route "GET /report" {
    rate_limit { "100/day", by = "user", count = function(req, res) return res.headers["x-rows"] and 10 or 1 end, enforce = false },
    function() return { json = {}, headers = { ["x-rows"] = "500" } } end,
  },
}

-- A thousand a month for each user, kept across restarts when the gateway runs with --state.
route "GET /export" {
  signed_in,
  quota { "1000/month", by = "user", name = "exports" },
  function(req) return { json = { left = req.limits.exports.left } } end,
}

-- Twenty a second in an even stream, five under way at once, ten more waiting.
route "GET /slow" {
  throttle { "20/s", max_wait = "2s" },
  concurrency { 5, queue = 10, max_wait = "1s" },
  function() return { text = "done" } end,
}
