-- What several policies of the standard library share; not visible to scripts.

local core = ...
local M = table.clone(core)

-- The options of a transformation, with those of one direction.
function M.shared(more)
  local options = {
    remove = is.array { items = is.string, optional = true, doc = "these fields go; x-* means all that begin so" },
    rename = is.map { items = is.string, optional = true, doc = "these fields get another name" },
    set = is.map { items = is.template { place = "header" }, optional = true, doc = "these fields get one value" },
    default = is.map {
      items = is.template { place = "header" },
      optional = true,
      doc = "these fields get a value where they have none",
    },
    add = is.map { items = is.template { place = "header" }, optional = true, doc = "these lines are added" },
    json = is.either {
      is.object {
        keep = is.array { items = is.string, optional = true, doc = "only these places stay" },
        remove = is.array { items = is.string, optional = true, doc = "these places go" },
        rename = is.map { items = is.string, optional = true, doc = "members found there get another name" },
        set = is.map { items = is.any, optional = true, doc = "these places get a value; its texts are templates" },
      },
      optional = true,
      doc = "edits of a JSON body by JSONPath, in this order: keep, remove, rename, set",
    },
    body = is.any {
      optional = true,
      doc = "text, a table (sent as JSON), a function, or one of them by media type",
    },
  }
  for name, rule in more do options[name] = rule end
  return options
end

-- `forward` of a policy that authenticates: an option, and what it does.
M.forwarded = is.map {
  items = is.either { is.template { place = "header" }, is.func },
  optional = true,
  doc = "fields that tell the service who the caller is: template, or function(user); what the client sent under these names is removed",
}

-- `check` with what `forward` says: before it, what a client says of itself is taken away; after it, who the caller is
-- is said.
function M.forwarding(forward, check)
  if forward == nil or next(forward) == nil then return check end
  local names, filled, made = {}, {}, {}
  for name, value in forward do
    table.insert(names, name)
    if type(value) == "function" then made[name] = value else filled[name] = value end
  end
  local before = core.edits { remove = names }
  local fill = if next(filled) ~= nil then core.edits { set = filled } else nil
  return function(req)
    before(req)
    check(req)
    if fill then fill(req) end
    for name, make in made do
      local value = make(req.user)
      if value ~= nil then req.headers[name] = tostring(value) end
    end
  end
end

-- `404`, `"404"` or `"4xx"`.
function M.status_key(status)
  local key = tostring(status)
  if not string.find(key, "^[1-5]%d%d$") and not string.find(key, "^[1-5]xx$") then
    error(`\`on\` takes statuses and classes ("4xx"), not \`{key}\``, 0)
  end
  return key
end

-- Whether any template among these edits needs a body at hand.
function M.reads(edits, what)
  local function any(value)
    if type(value) == "string" then return core.mentions(value, what) end
    if type(value) ~= "table" then return false end
    for _, inner in value do
      if any(inner) then return true end
    end
    return false
  end
  return any(edits.set) or any(edits.default) or any(edits.add) or any(edits.body) or any(edits.query) or any(edits.json and edits.json.set)
end

-- Edits of the query, in the order of those of fields.
function M.query(edits)
  local function compiled(values)
    local made = {}
    for name, value in values or {} do made[name] = core.template(value, "plain") end
    return made
  end
  local set, default, add = compiled(edits.set), compiled(edits.default), compiled(edits.add)
  return function(req)
    local query = req.query
    local values = { set = {}, default = {}, add = {} }
    for name, value in set do values.set[name] = value(req) end
    for name, value in default do values.default[name] = value(req) end
    for name, value in add do values.add[name] = value(req) end
    for _, name in edits.remove or {} do query[name] = nil end
    for from, to in edits.rename or {} do
      local moved = query:all(from)
      if #moved > 0 then
        query[from] = nil
        query[to] = nil
        for _, value in moved do query:add(to, value) end
      end
    end
    for name, value in values.set do query[name] = value end
    for name, value in values.default do
      if query[name] == nil then query[name] = value end
    end
    for name, value in values.add do query:add(name, value) end
  end
end

-- A JSON value whose strings are templates, as a function of the request and the answer.
local function filled(value)
  if type(value) == "string" then return core.template(value, "plain") end
  if type(value) ~= "table" then
    return function() return value end
  end
  local parts = {}
  for name, inner in value do parts[name] = filled(inner) end
  local is_list = next(value) == nil and json.encode(value) == "[]"
  return function(req, res)
    local made = if is_list then json.array {} else {}
    for name, part in parts do made[name] = part(req, res) end
    return made
  end
end

local function by_type(value)
  if type(value) ~= "table" or next(value) == nil then return false end
  for name in value do
    if type(name) ~= "string" or not (name == "*" or string.find(name, "/", 1, true)) then return false end
  end
  return true
end

-- How values are escaped in a text that becomes a body: as its look says, else (nil) as the media type says.
local function look(text)
  if string.find(text, "^%s*{{.*}}%s*$") or string.find(text, "^%s*%[.*%]%s*$") then return "json" end
  if string.find(text, "^%s*<.*>%s*$") then return "xml" end
  return nil
end

local function written(text)
  local known = look(text)
  if known then
    local fill = core.template(text, known)
    return function(req, subject) subject:set_body(fill(req, if req == subject then nil else subject)) end
  end
  local plain, as_json, as_xml = core.template(text, "plain"), core.template(text, "json"), core.template(text, "xml")
  return function(req, subject)
    local fill, media = plain, M.media_type(subject)
    if M.is_json(media) then
      fill = as_json
    elseif string.find(media, "[/+]x?html") or string.find(media, "[/+]xml") then
      fill = as_xml
    end
    subject:set_body(fill(req, if req == subject then nil else subject))
  end
end

-- What a body is replaced with: `make(req, subject)`, where the subject is the request or the answer.
function M.body(value)
  if by_type(value) then
    local makers = {}
    for media, inner in value do
      if inner == "pass" then
        makers[media] = function() end
      elseif type(inner) == "number" then
        makers[media] = function() return inner end
      else
        makers[media] = M.body(inner)
      end
    end
    return function(req, subject)
      local media = M.media_type(subject)
      local maker = makers[media] or makers["*"]
      if maker then return maker(req, subject) end
      return nil
    end
  end
  if type(value) == "function" then
    return function(req, subject)
      local made = if req == subject then value(req) else value(req, subject)
      if type(made) == "table" then
        subject:set_json(made)
      elseif made ~= nil then
        subject:set_body(made)
      end
    end
  end
  if type(value) == "string" then return written(value) end
  if type(value) ~= "table" then error("`body` must be text, a table or a function", 0) end
  local make = filled(value)
  return function(req, subject) subject:set_json(make(req, if req == subject then nil else subject)) end
end

function M.media_type(subject)
  local field = subject.headers["content-type"]
  if not field then return "" end
  return string.lower((string.gsub(string.match(field, "^[^;]*"), "%s", "")))
end

function M.is_json(field)
  local media = string.lower(string.match(field or "", "^[^;%s]*"))
  return media == "application/json" or string.sub(media, -5) == "+json"
end

-- Whom a policy counts.
function M.by(without)
  local doc = "whom it counts: \"ip\" (IPv6 by /64), \"user\" (id or sub), \"key\", a template or function(req); what is absent is the client address"
  if without then
    return is.either { is.template, is.func, optional = true, doc = `{doc}. Without it: {without.default}` }
  end
  return is.either { is.template, is.func, default = "ip", doc = doc }
end

-- A step that may wait in a line.
function M.lining(make, o)
  local go, reads = make(o)
  if not reads then return go end
  return function(req)
    req:text()
    go(req)
  end
end

-- What every policy that counts takes.
function M.limits(more)
  local options = {
    [1] = is.any { doc = "the limits: \"60/min\", { \"5/s\", by = \"user\" }, a limiter, a function" },
    by = M.by(),
    cost = is.either { is.int { min = 0 }, is.func, default = 1, doc = "what a request takes, or function(req)" },
    count = is.func {
      optional = true,
      doc = "function(req, res): what is charged after the answer instead; a request needs room for one",
    },
    keys = is.int { default = 1000000, min = 1, max = 10000000, doc = "most keys remembered; the least recently used go" },
    name = is.string {
      optional = true,
      min = 1,
      max = 100,
      doc = "what fields, req.limits and reloads know it by; policies of one name share counters",
    },
    headers = is.bool { default = true, doc = "whether answers carry RateLimit and RateLimit-Policy" },
    store = is.any {
      optional = true,
      doc = "the store, or its name, in which several gateways count together: store \"shared\" { redis = \"redis://…\" }; each decision then asks it",
    },
    sync = is.duration {
      optional = true,
      doc = "count here and bring counts together so often (0.1s to 1h) instead of asking each time: costs nothing per request; between two exchanges each gateway may let through what was left at the last one",
    },
    on_store_error = is.enum {
      "local",
      "allow",
      "deny",
      optional = true,
      doc = "while the store does not answer within 25 ms: each gateway counts for itself (the default), everybody passes, or nobody (503)",
    },
  }
  for name, rule in more do options[name] = rule end
  return options
end

-- The step of such a policy.
function M.limiting(word, o)
  local check, charge, reads = core.limit(word, o)
  local count = o.count
  if count then
    return function(req, next)
      if reads then req:text() end
      check(req)
      local res = next()
      charge(req, count(req, res))
    end
  end
  if reads then
    return function(req)
      req:text()
      check(req)
    end
  end
  return check
end

return table.freeze(M)
