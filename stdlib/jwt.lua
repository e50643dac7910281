-- Who calls, by a JSON Web Token.

local core = ...

local texts = { items = is.string }
local function one_or_more(doc) return is.either { is.string, is.array(texts), optional = true, doc = doc } end

policy "jwt" {
  doc = "Lets requests pass whose token is signed by a known key and says what it must; its claims become req.user. Exp is required and a token that names an audience is only taken by whom it names. A token bound to a key (DPoP) or a certificate is only taken with its proof.",
  options = {
    secret = is.any { optional = true, doc = "the shared secret, 32 bytes at least; a list of them; or function(claims, header)" },
    key = is.any {
      optional = true,
      doc = "a public key: PEM, JWK or JWKS as text, or the file it is in; a list of them; or function(claims, header)",
    },
    jwks = is.any {
      optional = true,
      doc = "where the issuer's keys are: \"https://…\" or \"upstream/path\"; a list, { [issuer] = address }, or function(claims, header) that returns one (nil: nobody's token; what claims say is not proven yet, so look it up, do not build an address of it). Fetched in the background, those of a function when first needed; kept 5m or as the answer says, fetched again for an unknown key id (once in 30s), kept through outages",
    },
    discovery = is.either {
      is.string,
      is.array(texts),
      is.func,
      optional = true,
      doc = "the issuer's address (OpenID Connect): its document says where the keys are; or function(claims, header) that returns it",
    },
    issuer = one_or_more("whose tokens are taken: `iss`"),
    audience = is.either {
      is.string,
      is.array(texts),
      is.bool,
      optional = true,
      doc = "who we are: `aud` must name one; false takes tokens for anybody",
    },
    algorithms = one_or_more("narrows what the keys allow: \"RS256\", \"ES256\" …"),
    leeway = is.duration { default = "30s", doc = "how far clocks may differ, for exp, nbf and iat; 5m at most" },
    require = is.any { optional = true, doc = "claims that must be there: { \"sub\", plan = { \"gold\", \"silver\" } }" },
    typ = is.string { optional = true, doc = "what the header's `typ` must be: \"at+jwt\"" },
    from = is.either {
      is.string,
      is.array(texts),
      default = "bearer",
      doc = "where the token stands: \"bearer\", \"header:x-token\", \"cookie:sid\", \"query:t\"; a list is tried in order",
    },
    optional = is.bool { default = false, doc = "a request without a token passes, as nobody; one with a bad token does not" },
    forward = is.map {
      items = is.either { is.template { place = "header" }, is.func },
      optional = true,
      doc = "fields for the service: { [\"x-user\"] = \"{user.sub}\" } or function(user); what the client sent of them goes",
    },
    hide = is.bool { default = false, doc = "the service does not see the token" },
    realm = is.string { default = "api", doc = "the realm of the challenge" },
    resource_metadata = is.string { optional = true, doc = "the address of the resource's metadata (RFC 9728), told in the challenge" },
    dpop = is.either {
      is.bool,
      is.enum { "nonce" },
      default = false,
      doc = "true: only tokens bound to a key are taken (RFC 9449); \"nonce\": their proofs carry a nonce of ours",
    },
    certificate_bound = is.bool { default = false, doc = "only tokens bound to the client's certificate are taken (RFC 8705)" },
  },
  step = function(o)
    local function read(key)
      if type(key) ~= "string" or string.find(key, "-----BEGIN", 1, true) or string.find(key, "^%s*{") then return key end
      return file(key)
    end
    if type(o.key) == "table" then
      local keys = {}
      for at, key in o.key do keys[at] = read(key) end
      o.key = keys
    elseif o.key ~= nil then
      o.key = read(o.key)
    end

    local check, fetched = core.jwt(o)
    local made = {}
    for name, value in o.forward or {} do
      if type(value) == "function" then made[name] = value end
    end
    local makes = next(made) ~= nil

    return function(req)
      if not check(req) then
        fetched(req)
        check(req, true)
      end
      if makes and next(req.user) ~= nil then
        for name, value in made do req.headers[name] = value(req.user) end
      end
    end
  end,
}

core.namespace("jwt", core.jwt_tools())
