-- Tells the client the id under which its request is logged.

local core = ...

policy "request_id" {
  doc = "Puts the request id on the answer, and on the request where the field is another than x-request-id.",
  options = {
    header = is.string { default = "x-request-id", pattern = "^[A-Za-z0-9-]+$", doc = "the field" },
  },
  step = function(o)
    local own = string.lower(o.header) ~= "x-request-id"
    return function(req, next)
      if own then req.headers[o.header] = req.id end
      local res = next()
      res.headers[o.header] = req.id
    end
  end,
}
