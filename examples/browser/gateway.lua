-- A web app and the API behind it: files with compression and caching, an API that pages of other origins may call,
-- and the fields that make browsers careful, on every answer, errors too.

local pages = { "https://app.example.com", "https://*.preview.example.com" }

gateway {
  security_headers { csp = "default-src 'self'", permissions = "camera=(), microphone=()" },
  compress {},
}

group "/api" {
  -- Preflights are answered before any step asks for credentials.
  cors { origins = pages, credentials = true, expose = { "x-total" }, max_age = "1h" },

  function(req)
    if not req:bearer() then reject(401, "sign in first") end
  end,

  route "GET|PUT /orders/{id:int}" {
    function(req)
      return { json = { id = req.params.id, state = "packed" }, headers = { ["x-total"] = "1" } }
    end,
  },
}

-- Everything else is the app: its files, and index.html for the addresses it makes itself.
route "GET /{rest*}" { static { "public", fallback = "index.html", cache_control = "no-cache" } }
