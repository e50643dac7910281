-- Services that survive: their hosts are watched, left alone when they fail, tried again by one request, taken out by
-- hand. It runs as it stands: `echo:` is the built-in service, and at 127.0.0.1:1 nobody listens.

gateway {
  errors = { ["upstream.none_healthy"] = { status = 503, json = { sorry = "we are back soon" } } },
}

-- Down before the first request, or found out by it: the backup answers, and no client notices.
local users = upstream "users" {
  "127.0.0.1:1",
  { "echo:", backup = true },
  health = { path = "/healthz", every = "2s" },
  eject = { errors = 2, cooldown = "10s" },
}

-- A session stays with its host, on every gateway; who has none gets one.
local carts = upstream "carts" { "echo:", hash_by = "{ctx.sid}", slow_start = "30s" }

local function session(req, next)
  req.ctx.sid = req.cookies.sid or uuid()
  local res = next()
  if not req.cookies.sid then
    res.headers:add("set-cookie", cookie.format("sid", req.ctx.sid, { path = "/", http_only = true }))
  end
end

on("host_down", function(e) log.warn("page somebody", { upstream = e.upstream, host = e.host, reason = e.reason }) end)
on("host_up", function(e) log.info("all is well", { upstream = e.upstream, host = e.host }) end)

route "/users/{id}" { to = users }
route "/cart" { session, to = carts }
route "GET /hosts" { function(req) return { json = { users = users:hosts(), carts = carts:state() } } end }

-- Also: `moongate drain carts echo:`, and `moongate routes --live` shows every host.
route "POST /carts/closed" { function(req) carts:drain("echo:") return 204 end }
route "POST /carts/open" { function(req) carts:drain("echo:", false) return 204 end }
