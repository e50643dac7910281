-- What a request must look like, told by rules: parameters, fields, body; and what an answer must look like.

local core = ...

policy "validate" {
  doc = "Checks parameters and bodies: what breaks a rule is refused with 400 and every fault with its JSON Pointer (10 at most), before anything reaches the service. Parameters become what they should be (req.query.page is a number), defaults are filled in and sent on (of an OpenAPI document or a schema also into JSON bodies).",
  options = {
    path = is.any { optional = true, doc = "rules by path parameter: { id = is.int }" },
    query = is.any { optional = true, doc = "rules by query parameter; is.array takes all its values; extra = false refuses others" },
    headers = is.any { optional = true, doc = "rules by header field; is.array splits at commas" },
    cookies = is.any { optional = true, doc = "rules by cookie" },
    body = is.any { optional = true, doc = "a rule, a table of rules or a schema for a JSON body, which must then be there unless optional" },
    content_type = is.either {
      is.string,
      is.array { items = is.string },
      optional = true,
      doc = "media types a body may have (application/json with `body`), others are refused with 415; image/* and */* work",
    },
    response = is.any { optional = true, doc = "a rule for JSON answers of 2xx, or rules by status: { [200] = …, [\"4xx\"] = …, [\"*\"] = … }" },
    openapi = is.any {
      optional = true,
      doc = "an OpenAPI document (3.0, 3.1; a file, watched like those it refers to) instead of rules: the operation is found by method and path; response = \"reject\" or \"log\" checks answers too",
    },
    mode = is.enum { "reject", "log", default = "reject", doc = "what a bad answer leads to: 502, or a line in the log" },
  },
  step = function(o)
    local check, checked = core.validate(o)
    if not check and not checked then
      error("write path, query, headers, cookies, body, content_type, response or openapi", 0)
    end
    if not checked then return check end
    return function(req, next)
      local operation = if check then check(req) else nil
      checked(req, next(), operation)
    end
  end,
}
