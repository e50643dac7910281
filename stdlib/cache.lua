-- Answers that are asked for once and served many times. Steps before `cache` run for every request, steps after it
-- only when an answer is made.

local core = ...

-- `"{user.sub}"` or fn(req, res), as a function of both.
local function text_of(value, place)
  if type(value) == "function" then return value end
  return core.template(value, place)
end

-- What `tags` says of an answer, as a list.
local function tags_of(tags)
  if tags == nil then return nil end
  if type(tags) == "table" then
    local makers = {}
    for at, tag in tags do makers[at] = text_of(tag, "plain") end
    return function(req, res)
      local made = {}
      for at, maker in makers do made[at] = maker(req, res) end
      return made
    end
  end
  local maker = text_of(tags, "plain")
  return function(req, res)
    local made = maker(req, res)
    if type(made) == "table" then return made end
    return if made == nil then {} else { made }
  end
end

-- What functions of the script decide about an answer: its time, whether it is kept, its tags.
local function decide(o)
  local ttl = type(o[1]) == "function" and o[1]
  local tags = tags_of(o.tags)
  if not ttl and not o.keep and not tags then return nil end
  return function(req, res)
    local keep = nil
    if o.keep then keep = if o.keep(req, res) then true else false end
    return if ttl then ttl(req, res) else nil, keep, if tags then tags(req, res) else nil
  end
end

policy "cache" {
  doc = "Serves stored answers by RFC 9111 as a shared cache; one request at a time asks for a missing one, the others wait for it. Steps before it run for every request, steps after it only when an answer is made. Where a step found out who the caller is, an answer is stored only if its own Cache-Control permits it, or with `private`.",
  options = {
    [1] = is.either {
      is.duration,
      is.func,
      optional = true,
      doc = "how long answers are fresh that do not say so themselves; or fn(req, res) → duration",
    },
    key = is.either { is.template, is.func, optional = true, doc = "what stands for path and query; nil from a function: not cached" },
    vary = is.array { items = is.string, optional = true, doc = "fields of the request by which answers differ" },
    tags = is.either {
      is.template,
      is.array { items = is.template },
      is.func,
      optional = true,
      doc = "what answers can be purged by; besides Surrogate-Key and Cache-Tag of the service",
    },
    stale = is.duration { optional = true, doc = "how long a stale answer is served while it is refreshed" },
    stale_if_error = is.duration { optional = true, doc = "how long a stale answer stands in for a service that fails" },
    keep = is.func { optional = true, doc = "fn(req, res) → boolean: whether to store it; true stores what is private or sets cookies, too" },
    methods = is.array { items = is.enum { "GET", "QUERY" }, optional = true, doc = "GET (with HEAD) unless told" },
    status = is.array { items = is.status, optional = true, doc = "further statuses to which the time applies: negative caching" },
    max_size = is.size { default = "1MB", doc = "larger answers are passed on and not stored" },
    override = is.bool { default = false, doc = "the time rules over what the answer says" },
    private = is.bool { default = false, doc = "each user has answers of their own" },
    refresh = is.either {
      is.enum { "ignore", "allow" },
      is.func,
      default = "ignore",
      doc = "whether a client's no-cache reaches the service; or fn(req) → boolean",
    },
    space = is.string { optional = true, doc = "another space than the common one, made by cache.space" },
  },
  step = function(o)
    local key = nil
    if o.key ~= nil then
      local own = text_of(o.key, "plain")
      key = function(req)
        local made = own(req)
        return if made == "" then req.ip else made
      end
    end
    local cache = core.cache {
      ttl = if type(o[1]) == "number" then o[1] else nil,
      key = key,
      decide = decide(o),
      vary = o.vary,
      stale = o.stale,
      stale_if_error = o.stale_if_error,
      methods = o.methods or { "GET" },
      status = o.status,
      max_size = o.max_size,
      override = o.override,
      private = o.private,
      refresh = o.refresh,
      space = o.space,
    }
    return function(req, next) return cache(req, next) end
  end,
}

core.namespace("cache", core.cache_tools())
