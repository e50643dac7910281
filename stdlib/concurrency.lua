-- How many requests may be under way at once.

local core = ...

policy "concurrency" {
  doc = "Lets so many requests be under way at once, over all workers, from here until the answer's last byte (of an upgraded connection, until it closes). Others wait in a line, in the order they came; beyond it 503 with Retry-After.",
  options = {
    [1] = is.int { min = 1, max = 1000000, doc = "most at once" },
    queue = is.int { default = 0, min = 0, max = 1000000, doc = "most that wait" },
    max_wait = is.duration { default = "1s", doc = "longest wait for a place" },
    by = core.by { default = "one count for all requests" },
    name = is.string { optional = true, min = 1, max = 100, doc = "what reloads know it by" },
  },
  step = function(o) return core.lining(core.concurrency, o) end,
}
