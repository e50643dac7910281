-- Who may come in: keys, passwords, signatures, an authorizer, addresses; and what they may do.
-- Run it with `moongate run examples/keys/gateway.lua`, then:
--   curl -H 'x-api-key: demo-key' localhost:8080/v1/orders
--   curl -u 'ann:open sesame' localhost:8080/ops

gateway {
  listen = ":8080",
  trust_proxies = { "127.0.0.1" },
  ip_filter { deny = "lists/blocked.txt" },
}

upstream "shop" { "echo:" }
upstream "authorizer" { "echo:" } -- says yes to everybody; yours answers 2xx, or 401 and 403

-- Keys are kept as SHA-256 only, so a file may hold the hash alone. The service never sees one; it is told who calls.
local by_key = api_key {
  keys = {
    ["demo-key"] = { sub = "demo", scope = "orders:read" },
    ["sha256:a4ae87b73fa5645e6aee415a6f72be4dcbd99d057a7b40cb1b867c181d179260"] = { sub = "billing", scope = "orders:read orders:write", roles = { "clerk" } },
  },
  from = { "header:x-api-key", "query:key" },
  forward = { ["x-user"] = "{user.sub}", ["x-key"] = "{key}" },
}

local by_password = basic_auth { file = "operators.htpasswd", realm = "operators", forward = { ["x-user"] = "{user.sub}" } }

group "/v1" {
  by_key,
  route "GET /orders" { authorize { scope = "orders:read" }, to = "shop" },
  route "POST /orders" { authorize { scope = "orders:write", role = "clerk" }, to = "shop" },
  route "DELETE /orders/{id}" { authorize(function(req) return req.user.sub == req.params.id end, "only your own"), to = "shop" },
}

-- Either a password, or a key that belongs to a clerk.
route "GET /ops" { any_of { by_password, steps { by_key, authorize { role = "clerk" } } }, to = "shop" }

-- Partners sign what they send. The first step is what a partner does, so that you can try it without one.
local function as_a_partner_would(req)
  if req.query.sign == nil then return end
  local date = time.format(time.now(), "http")
  local text = `@request-target: get {req.raw_path}?{req.raw_query}\ndate: {date}\nhost: {req.host}`
  local mac = base64.encode(hex.decode(hmac.sha256(req.query.sign, text)))
  req.headers.date = date
  req.headers.authorization = `Signature keyId="acme",algorithm="hmac-sha256",headers="@request-target date host",signature="{mac}"`
end

route "GET /partners/{rest*}" {
  as_a_partner_would,
  hmac_auth { keys = { acme = "a secret of sixteen bytes or more" }, hide = true, forward = { ["x-partner"] = "{key}" } },
  to = "shop",
}

-- A service of yours decides; what it says of a caller holds half a minute.
route "GET /asked" {
  forward_auth "authorizer/verify" { copy = { "content-type" }, cache = "30s", key = "{header.authorization}" },
  to = "shop",
}

-- Only from inside.
route "GET /inside" { ip_filter { allow = { "10.0.0.0/8", "127.0.0.1" }, status = 404, detail = "nothing for you here" }, to = "shop" }
