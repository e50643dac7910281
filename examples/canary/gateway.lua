-- A new release meets its users: a stable share of them is served by it, copies of real requests warm up the one after
-- it, faults are injected where a test asks, and the doors can be closed for a while.

upstream "stable" { "echo:" }
upstream "canary" { "echo:" }
upstream "next" { "echo:" }

gateway {
  maintenance {
    when = function(req) return req.headers["x-closed"] == "yes" end,
    allow = { "10.0.0.0/8" },
    retry_after = "10m",
  },
}

-- The same user gets the same release on every request; a larger share only adds users.
local release = split "release" { stable = 90, canary = 10, by = "{header.x-user}" }

route "/shop/{rest*}" {
  release,
  mirror { to = "next", share = 0.2 },
  transform_request { set = { ["x-release"] = "{ctx.release}" } },
  transform_response { set = { ["x-release"] = "{ctx.release}" } },
  to = function(req) return req.ctx.release end,
}

-- Without a step of its own: by the session, straight to the services.
route "/cart" { to = { stable = 95, canary = 5 }, split_by = "{cookie.sid}" }

route "GET /search" {
  fault { delay = "20ms", status = 503, when = function(req) return req.headers["x-chaos"] ~= nil end },
  to = "stable",
}
