-- An old service behind a new face: paths, fields and bodies change on their way, streams are rewritten as they pass.
-- Run it with `moongate run examples/transform/gateway.lua`, then:
--   curl localhost:8080/v2/users/7

upstream "legacy" { "echo:" }

group "/v2" {
  -- GET /v2/users/7 becomes GET /cgi/user?id=7, with credentials the caller never sees.
  route "GET /users/{id:int}" {
    transform_request {
      remove = { "cookie" },
      rename = { ["x-request-lang"] = "accept-language" },
      set = { ["x-api-user"] = "gateway" },
      query = { set = { format = "json" } },
    },
    rewrite = "/cgi/user?id={id}",
    to = "legacy",
  },

  -- A body in the new shape is sent in the old one.
  route "POST /users" {
    transform_request {
      body = { user_name = "{json.name}", tags = "{json.tags[0]}", source = "{header.user-agent|\"unknown\"}" },
    },
    rewrite = "/cgi/create",
    to = "legacy",
  },

  -- The answer loses what is nobody's business, and every status has a face.
  route "GET /account" {
    transform_response {
      set = { ["cache-control"] = "no-store" },
      json = { remove = { "$.password_hash" } },
    },
    function()
      return { json = { id = 7, name = "Ann", password_hash = "x", balance = 12 } }
    end,
  },
  route "GET /filtered" {
    transform_response { json = { remove = { "$.headers", "$.body" }, rename = { ["$.path"] = "seen" } } },
    to = "legacy",
  },

  -- Never in memory as a whole: each piece is rewritten as it passes.
  route "GET /loud/{rest*}" {
    function(req, next)
      next():map(function(piece) return piece:upper() end)
    end,
    to = "legacy",
  },

  route "GET /old" { redirect "/v2/users/1" },
}
