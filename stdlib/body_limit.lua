-- How large a body may be on the routes it stands on.

local core = ...

policy "body_limit" {
  doc = "Refuses larger bodies with 413: at once by Content-Length, else where the stream grows too large.",
  options = { [1] = is.size { doc = "most bytes" } },
  step = function(o)
    return function(req) core.body_limit(req, o[1]) end
  end,
}
