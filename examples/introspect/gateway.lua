-- Tokens that only their issuer can judge (RFC 7662). It needs an issuer to ask, which issuer.lua plays:
--   moongate run examples/introspect/issuer.lua
--   moongate run examples/introspect/gateway.lua
--   curl -H 'authorization: Bearer t-ann' http://localhost:8080/me

gateway { listen = ":8080" }

upstream "issuer" { env.ISSUER or "http://127.0.0.1:9000" }

local signed_in = introspect {
  url = "issuer/introspect",
  client_id = "shop",
  client_secret = "an example's secret",
  cache = "30s", -- asked once in this time about each token, however many bring it at once
  forward = { ["x-user"] = "{user.sub}" },
  hide = true,
}

route "GET /me" {
  signed_in,
  function(req) return { json = { id = req.user.sub, scope = req.user.scope } } end,
}

-- The echo service shows what the service gets: x-user is ours, and the token stays here.
route "GET /orders" { signed_in, to = "echo:" }

route "DELETE /orders/{id:int}" {
  signed_in { scope = "orders:write" },
  function(req) return { json = { deleted = req.params.id } } end,
}

-- Who brings no token is nobody here, and may look.
route "GET /catalogue" {
  signed_in { optional = true },
  function(req) return { text = `hello {req.user.sub or "stranger"}` } end,
}
