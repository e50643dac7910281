-- Who is calling, by name and password.

local core = ...

policy "basic_auth" {
  doc = "Authenticates by name and password (RFC 7617): req.user is { sub = name }. Hashes are verified beside the workers, a few at a time; who was verified lately is remembered by a keyed hash. A name that nobody has takes as long as one that somebody has.",
  options = {
    [1] = is.func { optional = true, doc = "function(name, password) → user or true, nil for nobody; may wait" },
    users = is.either {
      is.map { items = is.string },
      is.func,
      optional = true,
      doc = "name and password: $2b$… (bcrypt), $argon2…, a secret, or plain (for tests)",
    },
    file = is.string { optional = true, doc = "an htpasswd file with bcrypt, argon2 or {SHA} hashes, read while loading and watched" },
    realm = is.string { default = "restricted", pattern = '^[^"\\\\[:cntrl:]]*$', doc = "what a browser asks the password for" },
    hide = is.bool { default = false, doc = "whether the service does not see them" },
    forward = core.forwarded,
  },
  step = function(o)
    local ask = o[1]
    if type(o.users) == "function" then
      if ask then error("write one function", 0) end
      ask, o.users = o.users, nil
    end
    if #o > 1 or (ask ~= nil) == (o.users ~= nil or o.file ~= nil) then
      error("write users, file or function(name, password)", 0)
    end
    local check
    if ask then
      local take, accept = core.basic_auth(nil, nil, o.realm, o.hide)
      function check(req)
        local name, password = take(req)
        accept(req, ask(name, password), name)
      end
    else
      local told
      check, told = core.basic_auth(o.users, o.file, o.realm, o.hide)
      o.users = told
    end
    return core.forwarding(o.forward, check)
  end,
}
