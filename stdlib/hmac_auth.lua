-- Who is calling, by a signature over the request.

local core = ...

policy "hmac_auth" {
  doc = 'Authenticates by an HMAC over the request: `Authorization: Signature keyId="id",algorithm="hmac-sha256",headers="@request-target host date",signature="base64"`. What is signed has one line `name: value` for each name in headers, in their order, names in lower case, joined by a line feed; @request-target is the method in lower case, a space, and path and query as sent, and must always be signed. A body is signed by `Digest: SHA-256=base64` (or Content-Digest) among the headers. A request passes once. Sets req.user to { sub = id } and req.key to the id.',
  options = {
    keys = is.map { items = is.any, doc = "id and secret (16 bytes at least, text or a secret), or { secret =, user = }" },
    headers = is.array { items = is.string, default = { "date", "host" }, doc = "fields that must be signed besides the request target; `date` or `x-date` is one" },
    algorithm = is.enum { "sha256", "sha384", "sha512", "sha1", default = "sha256", doc = "the hash" },
    skew = is.duration { default = "5m", doc = "how far the date may be off" },
    replay = is.bool { default = true, doc = "whether a signed request is refused the second time" },
    body = is.bool { default = true, doc = "whether a body must be signed; it is then buffered (limits.buffer)" },
    hide = is.bool { default = false, doc = "whether the service does not see the signature" },
    forward = core.forwarded,
  },
  step = function(o)
    local check, finish, told = core.hmac_auth(o)
    o.keys = told
    return core.forwarding(o.forward, function(req)
      if check(req) then finish(req, req:text() or "") end
    end)
  end,
}
