-- More in the access log, or nothing, for the routes it stands on.

local core = ...

policy "access_log" {
  doc = "Adds fields to the access log lines of these routes; access_log(false) writes none. Where they go is the gateway's `log.access`.",
  options = {
    [1] = is.bool { default = true, doc = "false: no line" },
    fields = is.map {
      items = is.either { is.template { place = "plain" }, is.func },
      optional = true,
      doc = "name and template, or function(req, res)",
    },
  },
  step = function(o)
    local fields = {}
    for name, value in o.fields or {} do
      fields[name] = if type(value) == "function" then value else core.template(value, "plain")
    end
    return function(req, next)
      if not o[1] then core.silence(req) end
      local res = next()
      for name, value in fields do core.note(req, name, value(req, res)) end
    end
  end,
}
