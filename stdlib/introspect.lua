-- Who calls, by a token that only its issuer can judge.

local core = ...

local texts = { items = is.string }

policy "introspect" {
  doc = "Asks the issuer whether a token is active (RFC 7662) and remembers the answer; what it says becomes req.user. Without an answer nobody passes (503).",
  options = {
    url = is.string { doc = "the introspection endpoint: \"https://…\" or \"upstream/path\"" },
    client_id = is.any { doc = "who we are there" },
    client_secret = is.any { doc = "our secret there" },
    cache = is.duration { default = "1m", doc = "how long an answer is remembered; never past the token's exp, and 10s where it is not active" },
    scope = is.either { is.string, is.array(texts), optional = true, doc = "scopes the token must have, else 403" },
    timeout = is.duration { default = "5s", doc = "the longest wait for an answer" },
    from = is.either {
      is.string,
      is.array(texts),
      default = "bearer",
      doc = "where the token stands: \"bearer\", \"header:x-token\", \"cookie:sid\", \"query:t\"; a list is tried in order",
    },
    optional = is.bool { default = false, doc = "a request without a token passes, as nobody" },
    forward = is.map {
      items = is.template { place = "header" },
      optional = true,
      doc = "fields for the service: { [\"x-user\"] = \"{user.sub}\" }; what the client sent of them goes",
    },
    hide = is.bool { default = false, doc = "the service does not see the token" },
    realm = is.string { default = "api", doc = "the realm of the challenge" },
    resource_metadata = is.string { optional = true, doc = "the address of the resource's metadata (RFC 9728)" },
  },
  step = core.introspect,
}
