-- Bounds of JSON bodies.

local core = ...

policy "json_limit" {
  doc = "Refuses JSON bodies that are nested too deeply, too wide or too long, or that name a member twice: with 400 and a JSON Pointer, before anything else reads them.",
  options = {
    depth = is.int { min = 1, max = 127, default = 32, doc = "most objects and lists inside each other" },
    keys = is.int { min = 0, optional = true, doc = "most members of one object" },
    string = is.int { min = 0, optional = true, doc = "most characters of one string" },
    array = is.int { min = 0, optional = true, doc = "most items of one list" },
    name = is.int { min = 1, default = 256, doc = "most characters of a member's name" },
    duplicates = is.bool { default = false, doc = "true: one object may name a member twice" },
  },
  step = core.json_limit,
}
