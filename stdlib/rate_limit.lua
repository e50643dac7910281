-- How often somebody may ask.

local core = ...

policy "rate_limit" {
  doc = "Refuses with 429 what comes too often. Several limits are one decision: tried in the order written, the first exhausted answers, nothing is charged unless all have room. A limit is a rate, a declared limiter, or function(req) that returns a rate, { rate, burst = n } or false; in a table it has its own by, cost, window and burst.",
  options = core.limits {
    burst = is.int { optional = true, min = 1, doc = "most at one instant; makes the window a bucket" },
    window = is.enum {
      "sliding",
      "fixed",
      "bucket",
      "calendar",
      optional = true,
      doc = "sliding (the default): never more than the rate in any stretch of its time; fixed: it begins with the first use; bucket: it fills evenly; calendar: hours, days, months of UTC",
    },
  },
  step = function(o) return core.limiting("rate_limit", o) end,
}
