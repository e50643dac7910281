-- The usual security fields on every answer.

local core = ...

local HSTS = "max-age=31536000"

local FIELDS = {
  { option = "hsts", name = "strict-transport-security", usual = HSTS, https = true },
  { option = "content_type", name = "x-content-type-options", usual = "nosniff" },
  { option = "frame", name = "x-frame-options", usual = "SAMEORIGIN" },
  { option = "referrer", name = "referrer-policy", usual = "strict-origin-when-cross-origin" },
  { option = "csp", name = "content-security-policy" },
  { option = "permissions", name = "permissions-policy" },
  { option = "opener", name = "cross-origin-opener-policy", usual = "same-origin" },
  { option = "resource", name = "cross-origin-resource-policy", usual = "same-origin" },
}

local function field(default, doc)
  return is.either { is.bool, is.string { min = 1 }, default = default, doc = doc }
end

local function extra(doc) return is.either { is.bool, is.string { min = 1 }, optional = true, doc = doc } end

policy "security_headers" {
  doc = "Puts the usual security fields on every answer from here on, errors too, where the service has not set them itself, and hides what tells its make. Each field takes a value of your own or false.",
  options = {
    hsts = field(HSTS, "Strict-Transport-Security, only over https"),
    content_type = field("nosniff", "X-Content-Type-Options"),
    frame = field("SAMEORIGIN", "X-Frame-Options"),
    referrer = field("strict-origin-when-cross-origin", "Referrer-Policy"),
    csp = is.string { optional = true, min = 1, doc = "Content-Security-Policy" },
    permissions = is.string { optional = true, min = 1, doc = "Permissions-Policy" },
    opener = extra("Cross-Origin-Opener-Policy; true is same-origin"),
    resource = extra("Cross-Origin-Resource-Policy; true is same-origin"),
    hide = is.either {
      is.bool,
      is.array { items = is.string },
      default = true,
      doc = "fields that go; true: server, x-powered-by and their kin",
    },
    replace = is.bool { default = false, doc = "these fields take the place of the service's own" },
  },
  waits = false,
  step = function(o)
    local set = {}
    for _, known in FIELDS do
      local value = o[known.option]
      if value == true then value = known.usual end
      if value then table.insert(set, { name = known.name, value = value, https = known.https }) end
    end
    local hide = o.hide
    if hide == true then
      hide = { "server", "x-powered-by", "x-aspnet-version", "x-aspnetmvc-version", "x-generator" }
    end
    return core.fields { set = set, hide = hide or nil, replace = o.replace }
  end,
}
