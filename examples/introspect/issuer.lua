-- An issuer to try introspect with: it knows two tokens, and tells only the shop about them.

gateway { listen = "127.0.0.1:9000", admin = false }

local tokens = {
  ["t-ann"] = { sub = "ann", scope = "orders:read orders:write" },
  ["t-bob"] = { sub = "bob", scope = "orders:read" },
}

route "POST /introspect" {
  basic_auth { users = { shop = "an%20example%27s%20secret" } }, -- RFC 6749 §2.3.1: form-encoded first
  function(req)
    local user = tokens[req:form().token]
    if not user then return { json = { active = false } } end
    return { json = { active = true, sub = user.sub, scope = user.scope, exp = math.floor(time.now()) + 300 } }
  end,
}
