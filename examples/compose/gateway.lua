-- One answer from several services, asked at the same time; one that fails costs its part, not the page.
-- Run it with `moongate run examples/compose/gateway.lua`, then:
--   curl localhost:8080/page/7

upstream "catalog" { "echo:" }
upstream "broken" { "127.0.0.1:1", retry = { times = 0 } }

local views = store "views" {}
local popular = every("10s", function()
  return { ids = { 7, 9 }, as_of = time.format(time.now(), "%Y") }
end)

local function product(id)
  local res = fetch("catalog/products/" .. id)
  return { path = res:json().path, status = res.status }
end

local function reviews(id)
  local res, err = try_fetch("broken/reviews/" .. id)
  return res and res:json() or { missing = err.code }
end

route "GET /page/{id:int}" {
  function(req)
    local id = req.params.id
    local page = parallel {
      product = function() return product(id) end,
      reviews = function() return reviews(id) end,
    }
    page.views = views:incr("page/" .. id, 1)
    spawn(function() log.info("page shown", { id = id }) end)
    return { json = page }
  end,
}

-- The fastest of two wins; the other is dropped.
route "GET /fastest" {
  function()
    return { text = race {
      function() sleep "5s" return "slow" end,
      function() return fetch("catalog/fast"):json().path end,
    } }
  end,
}

-- No answer ends the request, unless the script says otherwise.
route "GET /strict/{id}" {
  function(req)
    return fetch("broken/" .. req.params.id)
  end,
}

route "GET /popular" {
  function()
    local value = popular:get()
    return { json = { known = value ~= nil } }
  end,
}

-- A stream written line by line, at the pace of whoever reads it.
route "GET /countdown" {
  function()
    return {
      headers = { ["content-type"] = "text/plain" },
      stream = function(write)
        for n = 3, 1, -1 do
          write(n .. "\n")
          sleep "10ms"
        end
        write "go\n"
      end,
    }
  end,
}
