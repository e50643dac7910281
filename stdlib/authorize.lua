-- What a caller may do, by what was found out about it.

local core = ...

local function one_or_list(doc)
  return is.either { is.string { min = 1 }, is.array { items = is.string { min = 1 }, min = 1 }, optional = true, doc = doc }
end

policy "authorize" {
  doc = "Lets pass whose claims say what is asked for: role, scope and claim must all hold; a list means any of its entries. authorize(function(req) … end, why) asks a function. Who is nobody yet gets 401, who lacks something 403.",
  options = {
    [1] = is.func { optional = true, doc = "function(req) → whether the caller may" },
    why = is.string { optional = true, doc = "what a refusal says" },
    role = one_or_list "a role, in the claim `roles` or `role`",
    scope = one_or_list "scopes that must all be there (spaces between them), in the claim `scope` or `scp`",
    claim = is.map { optional = true, doc = "claims (`a.b` for one within another) and the value each must have, or true: that it is there" },
  },
  step = function(o)
    local may, rules = o[1], o.role ~= nil or o.scope ~= nil or o.claim ~= nil
    if #o > 1 or may ~= nil == rules then error("write either a function or role, scope and claim", 0) end
    if may then
      return function(req)
        if not may(req) then core.denied(req, o.why) end
      end
    end
    if o.why ~= nil then error("`why` belongs to a function; `detail` is what a refusal says instead", 0) end
    return core.authorize(o)
  end,
}
