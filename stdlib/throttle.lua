-- How fast requests go on.

local core = ...

policy "throttle" {
  doc = "Delays what comes too fast instead of refusing it: turns come evenly, in the order asked. A client that leaves gives its turn to those behind. A wait longer than max_wait is 503 with Retry-After.",
  options = {
    [1] = is.rate { doc = "how fast: \"20/s\" is a turn every 50 ms" },
    max_wait = is.duration { default = "1s", doc = "longest wait for a turn" },
    burst = is.int { default = 1, min = 1, max = 1000000, doc = "so many go at once after a pause" },
    by = core.by(),
    name = is.string { optional = true, min = 1, max = 100, doc = "what reloads know it by" },
  },
  step = function(o) return core.lining(core.throttle, o) end,
}
