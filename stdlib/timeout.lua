-- A limit on how long what follows may take.

local core = ...

policy "timeout" {
  doc = "The answer's head must be there this long after the request came to this step; else 504.",
  options = { [1] = is.duration { doc = "how long" } },
  waits = false,
  step = function(o)
    return function(req) core.deadline(req, o[1]) end
  end,
}
