-- The first of several ways to authenticate.

local core = ...

policy "any_of" {
  doc = "Passes where one of its steps carries on; after a 401 the next is tried, any other refusal ends the request. `steps { a, b }` among them means a and b. All refuse: the 401 of the last, with the challenges of all.",
  options = { [1] = is.step { doc = "a step that authenticates, or steps { … }; one whose `when` does not hold lets nobody in" } },
  step = function(o) return core.any_of(o) end,
}
