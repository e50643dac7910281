-- Closed for a while.

local core = ...

policy "maintenance" {
  doc = "Answers 503 with Retry-After to everyone but those it lets in; `when` can ask a flag, so that nobody has to deploy.",
  options = {
    allow = is.array { items = is.string, optional = true, doc = "addresses and networks that pass" },
    retry_after = is.duration { default = "5m", doc = "when clients are told to come back" },
  },
  waits = false,
  step = function(o)
    local allowed = core.networks(o.allow or {})
    local more = { headers = { ["Retry-After"] = tostring(math.ceil(o.retry_after)) } }
    return function(req)
      if not allowed(req) then core.fail("maintenance.on", "closed for maintenance; please come back later", more) end
    end
  end,
}
