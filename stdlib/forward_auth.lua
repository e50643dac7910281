-- A service is asked whether a request may pass.

local core = ...

local LARGEST = 4096

policy "forward_auth" {
  doc = "Asks an authorizer before the request goes on: GET with X-Forwarded-Method, -Proto, -Host, -Uri, -For and the fields of `send`. Its 2xx carries on, with the fields of `copy` put on the request (what the client sent under these names is removed first); its 3xx and 4xx are the answer; 5xx or none is 500: nobody passes.",
  options = {
    [1] = is.string { doc = 'who is asked: "http://auth.internal/verify" or "upstream/path"' },
    copy = is.array { items = is.string, default = {}, doc = "fields of its answer that go on the request" },
    send = is.array { items = is.string, default = { "authorization", "cookie" }, doc = 'fields of the request it is told; "*" for all' },
    cache = is.duration { optional = true, doc = "how long a 2xx, 401 or 403 holds for all requests of the same `key`; those that come while it is asked wait for that answer" },
    key = is.either {
      is.template { place = "plain" },
      is.func,
      optional = true,
      doc = "what a verdict depends on, text or function(req); absent or empty: the client's address",
    },
    timeout = is.duration { default = "2s", doc = "how long it may take" },
  },
  step = function(o)
    local target = o[1]
    if #o > 1 or type(target) ~= "string" then error("it asks one authorizer: forward_auth \"http://…\" { … }", 0) end
    if o.cache and not o.key then error("`cache` needs `key`: what tells one caller from another, such as \"{header.authorization}\"", 0) end
    if o.key and not o.cache then error("`key` belongs to `cache`", 0) end
    for _, name in o.copy do
      if string.find(name, "*", 1, true) then error(`\`copy\` lists fields by name, not \`{name}\``, 0) end
    end
    local strip = core.edits { remove = o.copy }
    local all = table.find(o.send, "*") ~= nil
    local key_of = if type(o.key) == "string" then core.template(o.key, "plain") else o.key
    local ask, keep, release
    if o.cache then
      ask, keep, release = core.verdicts(json.encode { target, table.concat(o.copy, " "), table.concat(o.send, " ") })
    end

    local function told(req)
      local fields = {}
      if all then
        for name in req.headers:each() do
          name = string.lower(name)
          if not table.find({ "host", "content-length", "expect" }, name) then fields[name] = req.headers[name] end
        end
      else
        for _, name in o.send do fields[name] = req.headers[name] end
      end
      local query = req.raw_query
      fields["x-forwarded-method"] = req.method
      fields["x-forwarded-proto"] = req.scheme
      fields["x-forwarded-host"] = req.host
      fields["x-forwarded-uri"] = if query then `{req.raw_path}?{query}` else req.raw_path
      fields["x-forwarded-for"] = req.ip
      return fields
    end

    local function pass(req, fields)
      core.vouch(req)
      for name, value in fields do req.headers[name] = value end
    end

    return function(req)
      local fields = told(req)
      if strip then strip(req) end
      local question
      if ask then
        local key = key_of(req)
        key = if key == nil or key == "" then `ip {req.ip}` else `key {key}`
        local status, known, body
        question, status, known, body = ask(req, key)
        if status then
          if status < 300 then return pass(req, known) end
          return { status = status, headers = known, body = body }
        end
      end

      local res, fault = try_fetch(target, { headers = fields, timeout = o.timeout })
      if not res or res.status >= 500 then
        local cause = if res then `{target}: {res.status}` else `{target}: {fault.code}`
        if question then release(question, cause) end
        core.fail("forward_auth.unavailable", "whether this may pass cannot be found out now", { cause = cause })
      end
      local small = (core.left(res) or LARGEST + 1) <= LARGEST
      if res.status < 300 then
        local copied = {}
        for _, name in o.copy do copied[string.lower(name)] = res.headers[name] end
        -- What was read to its end leaves a connection for the next.
        if small then res:text() end
        if question then keep(req, question, o.cache, res.status, copied, "") end
        return pass(req, copied)
      end
      if question and small and (res.status == 401 or res.status == 403) and res.headers["set-cookie"] == nil then
        local shown = {}
        for name in res.headers:each() do shown[string.lower(name)] = res.headers[name] end
        shown.date = nil
        local body = res:text()
        keep(req, question, o.cache, res.status, shown, body)
        return { status = res.status, headers = shown, body = body }
      end
      if question then release(question) end
      return res
    end
  end,
}
