-- Faults on purpose, to see how clients and services take them.

local core = ...

policy "fault" {
  doc = "Delays a share of the requests, fails them, or both; with `when` only those of a test.",
  options = {
    delay = is.duration { optional = true, doc = "how long a request waits first" },
    status = is.status { optional = true, doc = "what it is answered then; absent: it goes on" },
    share = is.number { min = 0, max = 1, default = 1, doc = "which share of the requests, 0 to 1" },
  },
  step = function(o)
    if not o.delay and not o.status then error("write delay, status or both", 0) end
    local struck = core.chance(o.share)
    return function(req)
      if not struck(req) then return end
      if o.delay then sleep(o.delay) end
      if o.status then core.fail("fault.injected", "a fault was injected on purpose", { status = o.status }) end
    end
  end,
}
