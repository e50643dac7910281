-- Which variant of an experiment a user gets.

local core = ...

local OWN = { "by", "when", "status", "detail", "enforce" }

policy "split" {
  doc = "Gives each user one of the variants, the same on every request and every gateway; raising a share only adds users to it. The variant is req.ctx[name] and {ctx.name}.",
  named = true,
  options = {
    [1] = is.string { pattern = "^[A-Za-z_][A-Za-z0-9_-]*$", doc = "the experiment's name" },
    by = is.template { default = "{ip}", doc = "who counts as one user; where it is empty, the client address" },
  },
  rest = is.number { min = 0, doc = "a variant and its share" },
  waits = false,
  step = function(o)
    local name, shares = o[1], {}
    for variant, share in o do
      if type(variant) == "string" and not table.find(OWN, variant) then shares[variant] = share end
    end
    if next(shares) == nil then error("write the variants and their shares: { stable = 90, canary = 10 }", 0) end
    local pick = core.split(name, shares, o.by)
    return function(req) req.ctx[name] = pick(req) end
  end,
}
