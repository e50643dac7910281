-- One JSON answer from several services, each part with a cache time of its own.

local core = ...

local OWN = { "when", "status", "detail", "enforce" }

-- What a template or a list of them says for this request.
local function filled(tags)
  if tags == nil then return nil end
  local makers = {}
  for at, tag in if type(tags) == "table" then tags else { tags } do makers[at] = core.template(tag, "plain") end
  return function(req)
    local made = {}
    for at, maker in makers do made[at] = maker(req) end
    return made
  end
end

-- Asks the service of a part; anything but a JSON answer of 2xx raises.
local function ask(part, target, headers)
  local res = fetch(target, { timeout = part.timeout or 2, headers = headers })
  if res.status < 200 or res.status > 299 then error(`{target} answered {res.status}`, 0) end
  local value = res:json()
  if part.pick then value = json.get(value, part.pick) end
  if value == nil then error(`{target} has nothing at {part.pick}`, 0) end
  return value
end

-- A part as a function of the request: its value, or an error.
local function loader(name, part)
  local path, tags, headers = core.template(part.path or "/", "url"), filled(part.tags), {}
  local stale, stale_if_error = part.stale or 0, part.stale_if_error or 3600
  for field, value in part.headers or {} do headers[field] = core.template(value, "header") end
  return function(req)
    local target, sent = part.to .. path(req), {}
    for field, value in headers do sent[field] = value(req) end
    if not part.cache then return ask(part, target, sent) end
    local key = `compose:{name}:{target}:{json.encode(sent)}`
    local more = { tags = tags and tags(req), stale = stale }
    local ok, value = pcall(cache.remember, key, part.cache, function()
      local made = ask(part, target, sent)
      -- What stands in when the service fails for longer than the part is stale.
      cache.set(`{key}:last`, made, stale_if_error, { tags = more.tags })
      return made
    end, more)
    if ok then return value end
    local last = cache.get(`{key}:last`)
    if last == nil then error(value, 0) end
    return last
  end
end

policy "compose" {
  doc = "Asks several services at the same time and joins their JSON into one answer: { name = { to, path, cache, … } }. A part that is slow or fails is its stale value, else its default; without either the answer is 502.",
  options = {},
  rest = is.object {
    to = is.string { doc = "the upstream or address that is asked" },
    path = is.template { place = "url", default = "/", doc = "what it is asked for" },
    headers = is.map { items = is.template { place = "header" }, default = {}, doc = "fields it gets; nothing of the request is passed on unless named here" },
    cache = is.duration { optional = true, doc = "how long its value is kept, for everybody who asks for the same" },
    stale = is.duration { default = "0s", doc = "how much longer it is served while it is asked for anew" },
    stale_if_error = is.duration { default = "1h", doc = "how long a value that was cached stands in for a service that fails" },
    tags = is.either { is.template, is.array { items = is.template }, optional = true, doc = "what its value can be purged by" },
    timeout = is.duration { default = "2s", doc = "how long it may take" },
    pick = is.string { optional = true, doc = "the piece of its answer, by JSONPath" },
    default = is.any { optional = true, doc = "its value when it fails; json.null for null" },
  },
  step = function(o)
    local loaders, defaults = {}, {}
    for name, part in o do
      if type(name) == "string" and not table.find(OWN, name) then
        loaders[name] = loader(name, part)
        defaults[name] = part.default
      end
    end
    if next(loaders) == nil then error('write the parts: { stock = { to = "stock", path = "/{id}" } }', 0) end

    return function(req)
      local calls = {}
      for name, load in loaders do calls[name] = function() return load(req) end end
      local page = {}
      for name, came in parallel.settle(calls) do
        if came.ok then
          page[name] = came.value
        elseif defaults[name] ~= nil then
          log.warn("a part of an answer is its default", { part = name, cause = tostring(came.error) })
          page[name] = defaults[name]
        else
          core.fail("compose.part", `the part {name} of this answer cannot be had`, { cause = tostring(came.error) })
        end
      end
      return { json = page }
    end
  end,
}
