-- Who may come in, by address.

local core = ...

policy "ip_filter" {
  doc = "Lets in by the client's address (after `trust_proxies`): what `deny` has is refused first, then what `allow`, where there is one, does not have. IPv4 in IPv6 form is IPv4. Files are read while loading and watched.",
  options = {
    allow = is.either {
      is.string,
      is.array { items = is.string },
      optional = true,
      doc = 'only these: "10.0.0.1", "10.0.0.0/8", "10.0.0.1-10.0.0.9" or a file of them, one a line, # comments',
    },
    deny = is.either {
      is.string,
      is.array { items = is.string },
      optional = true,
      doc = "never these, written alike",
    },
  },
  step = function(o) return core.ip_filter(o.allow, o.deny) end,
}
