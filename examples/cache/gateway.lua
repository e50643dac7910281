-- Whole answers, parts of answers, and forgetting in time. Run it with `moongate run examples/cache/gateway.lua`, then:
--   curl -i localhost:8080/products/7        twice: `Cache-Status` says miss, then hit
--   curl -X PUT localhost:8080/products/7    what was stored of it is forgotten
--   curl -i localhost:8080/pages/7           the price is asked for every time, the text once an hour

upstream "shop" { "echo:" }

-- Counts how often the service is really asked, so that a reader can see what the cache saves.
local asked = store "asked" {}
local function ask(req, next)
  local res = next()
  res.headers["x-asked"] = tostring(asked:incr(req.path, 1))
end

route "GET /products/{id}" {
  cache { "5m", tags = { "product:{id}", "products" }, stale = "1m", stale_if_error = "1h" },
  ask, -- after `cache`: runs only when an answer is made
  to = "shop",
}

-- A change is an event: whatever was made of this product is stale from now on.
route "PUT /products/{id}" {
  function(req, next)
    next()
    cache.purge(`product:{req.params.id}`, { hard = true })
  end,
  to = "shop",
}

-- Parts of an answer with times of their own.
route "GET /pages/{id}" {
  function(req)
    local product = req.params.id
    local parts = parallel {
      text = function()
        return cache.remember(`text:{product}`, "1h", function()
          return { text = `all about {product}`, made = asked:incr(`text:{product}`, 1) }
        end, { tags = { `product:{product}` }, stale = "10m" })
      end,
      price = function() return fetch(`shop/prices/{product}`):json().path end,
    }
    return { json = { id = product, about = parts.text, price = parts.price } }
  end,
}
