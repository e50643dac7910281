-- Who is calling, by a key.

local core = ...

policy "api_key" {
  doc = "Authenticates by a key: sets req.user to whose it is and req.key to the first digits of its SHA-256. Keys are kept as SHA-256 only and are compared in constant time.",
  options = {
    [1] = is.func { optional = true, doc = "function(key) → user, nil for nobody; may wait" },
    keys = is.any { optional = true, doc = "table from key (plain, secret or sha256:… in hexadecimal) to user: claims, or a name" },
    store = is.any { optional = true, doc = "a store whose keys are sha256:… and whose values are users" },
    from = is.either {
      is.string,
      is.array { items = is.string, min = 1 },
      default = "header:x-api-key",
      doc = 'where it stands: "header:…", "query:…", "cookie:…", "bearer", or a list of which the first that is there counts',
    },
    hide = is.bool { default = true, doc = "whether the service does not see it" },
    forward = core.forwarded,
  },
  step = function(o)
    local find, count = o[1], #o
    for _, name in { "keys", "store" } do
      if o[name] ~= nil then count += 1 end
    end
    if count ~= 1 then error("write one of keys, store and function(key)", 0) end
    if type(o.keys) == "function" then find = o.keys end

    if o.keys ~= nil and not find then
      if type(o.keys) ~= "table" then error('`keys` is a table from keys to users: { ["k-123"] = { sub = "ann" } }', 0) end
      local check, told = core.api_key(o.from, o.hide, o.keys)
      o.keys = told
      return core.forwarding(o.forward, check)
    end

    if o.store ~= nil and type(o.store) ~= "userdata" then error('`store` is a store: store "keys" {}', 0) end
    local take, accept = core.api_key(o.from, o.hide)
    return core.forwarding(o.forward, function(req)
      local key, hash = take(req)
      local user
      if find then user = find(key) else user = o.store:get(hash) end
      accept(req, user, key)
    end)
  end,
}
