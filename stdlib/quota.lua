-- How much somebody may have in an hour, a day, a month.

local core = ...

policy "quota" {
  doc = "Refuses with 429 what goes beyond a quota of the calendar (UTC). It is kept across restarts in a file that is written once a second: a process that is killed loses a second of it; with `store` it is kept there instead.",
  options = core.limits {
    file = is.string {
      optional = true,
      min = 1,
      doc = "where it is kept, from the state directory; quota.journal there when the gateway runs with --state, else in memory only",
    },
  },
  step = function(o)
    o.window = "calendar"
    return core.limiting("quota", o)
  end,
}
