-- Tells the client the id under which its request is logged.

local core = ...

policy "request_id" {
  doc = "Puts the request id on every answer from here on, errors too, and on the request where the field is another than x-request-id.",
  options = {
    header = is.string { default = "x-request-id", pattern = "^[A-Za-z0-9-]+$", doc = "the field" },
  },
  waits = false,
  step = function(o)
    local tell = core.tell_id(o.header)
    if string.lower(o.header) == "x-request-id" then return tell end
    return function(req)
      req.headers[o.header] = req.id
      tell(req)
    end
  end,
}
