-- Who calls, by a token. Run it: moongate run examples/tokens

-- A real gateway writes jwt { discovery = "https://id.example", audience = "shop" } and needs no key here.
local key = "an example's secret, known to everybody who reads this"

local signed_in = jwt {
  secret = key,
  issuer = "https://id.example",
  audience = "shop",
  require = { "sub" },
  forward = { ["x-user"] = "{user.sub}", ["x-plan"] = function(user) return string.upper(user.plan) end },
  hide = true,
}

-- The echo service shows what the service gets: x-user is ours, whatever the client wrote, and the token stays here.
route "GET /orders" { signed_in, to = "echo:" }

route "GET /me" {
  signed_in,
  function(req) return { json = { id = req.user.sub, plan = req.user.plan } } end,
}

route "GET /gold" {
  signed_in { require = { plan = { "gold", "silver" } } },
  function() return { text = "welcome" } end,
}

-- Towards a partner the gateway has a name of its own.
route "GET /partner" { signed_in, sign_upstream { basic = { "shop", "a password" } }, to = "echo:" }

-- Tokens of our own, for five minutes, and what one says.
route "POST /token" {
  function(req)
    local token = jwt.sign({ iss = "https://id.example", aud = "shop", sub = "guest" }, { secret = key, expires = "5m" })
    local claims = jwt.verify(token, { secret = key, audience = "shop" })
    return { json = { sub = claims.sub, lives = claims.exp - claims.iat, parts = #string.split(token, ".") } }
  end,
}
