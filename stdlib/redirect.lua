-- Sends the client elsewhere.

local core = ...

policy "redirect" {
  doc = "Answers with a redirect; names in the address are filled and escaped.",
  options = {
    [1] = is.template { place = "url", doc = "where to" },
    status = is.enum { "301", "302", "303", "307", "308", default = "302", doc = "the kind of redirect" },
  },
  step = function(o)
    local target = core.template(o[1], "url")
    local status = tonumber(o.status)
    return function(req)
      return { status = status, headers = { location = target(req) } }
    end
  end,
}
