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
    -- A path that begins with two slashes would name another host.
    local stays = type(o[1]) ~= "string" or string.sub(o[1], 1, 2) ~= "//"
    return function(req)
      local to = target(req)
      if stays and string.sub(to, 1, 2) == "//" then to = "/." .. to end
      return { status = status, headers = { location = to } }
    end
  end,
}
