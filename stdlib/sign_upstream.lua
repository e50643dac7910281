-- Credentials of the gateway's own towards a service.

local core = ...

policy "sign_upstream" {
  doc = "Puts the gateway's credentials on the request in place of the client's: a name and password, a token, or one fetched from an authorization server, kept by all workers and renewed ahead of its end. Without a token the request fails (502).",
  options = {
    basic = is.any { optional = true, doc = "{ name, password }" },
    bearer = is.any { optional = true, doc = "a token, or function(req) that returns one" },
    client_credentials = is.either {
      is.object {
        url = is.string { doc = "the token endpoint: \"https://…\" or \"upstream/path\"" },
        client_id = is.any { doc = "who we are there" },
        client_secret = is.any { doc = "our secret there" },
        scope = is.any { optional = true, doc = "the scopes asked for" },
        audience = is.any { optional = true, doc = "for whom the token shall be" },
        resource = is.any { optional = true, doc = "the resource it is for (RFC 8707)" },
      },
      optional = true,
      doc = "a token from an authorization server (RFC 6749 §4.4): { url, client_id, client_secret, scope }",
    },
    header = is.string { default = "authorization", pattern = "^[A-Za-z0-9-]+$", doc = "the field" },
  },
  step = function(o)
    local ways = 0
    for _, name in { "basic", "bearer", "client_credentials" } do
      if o[name] ~= nil then ways += 1 end
    end
    if ways ~= 1 then error("write one of basic, bearer and client_credentials", 0) end

    if o.client_credentials then
      local sign, fetched = core.client_credentials(o.client_credentials, string.lower(o.header))
      return function(req)
        if not sign(req) then
          fetched(req)
          sign(req, true)
        end
      end
    end
    if type(o.bearer) == "function" then
      return function(req)
        local token = o.bearer(req)
        if token == nil or token == "" then core.fail("sign_upstream.unavailable", "the service cannot be asked for now") end
        req.headers[o.header] = "Bearer " .. token
      end
    end
    local value
    if o.bearer then
      value = "Bearer " .. o.bearer
    else
      if type(o.basic) ~= "table" or o.basic[2] == nil then error("`basic` is { name, password }", 0) end
      value = "Basic " .. base64.encode(o.basic[1] .. ":" .. o.basic[2])
    end
    return function(req) req.headers[o.header] = value end
  end,
}
