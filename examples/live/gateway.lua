-- Stock levels over a WebSocket: the gateway itself is the end, and answers from a shared store.
-- Run it with `moongate run examples/live/gateway.lua`, then:
--   curl localhost:8080/stock/p1 -X PUT -d 12
--   websocat ws://localhost:8080/live        and type  {"ask":"p1"}

local stock = store "stock" {}

route "PUT /stock/{id}" {
  function(req)
    stock:set(req.params.id, tonumber(req:text()) or reject(422, "how many?"))
    return 204
  end,
}

route "GET /live" {
  websocket = {
    idle = "5m",
    connections = 1000,
    origins = { "http://localhost:*", "https://*.shop.example" },

    open = function(ws)
      ws.ctx.asked = 0
      ws:send(json.encode { hello = ws.req.query.name or "you" })
    end,

    message = function(ws, data)
      local fine, wish = pcall(json.decode, data)
      if not fine or type(wish) ~= "table" then
        return json.encode { error = "write {\"ask\":\"p1\"}" }
      end
      ws.ctx.asked += 1
      return json.encode { product = wish.ask, left = stock:get(tostring(wish.ask)) or 0 }
    end,

    close = function(ws, code)
      log.info("a customer left", { code = code, asked = ws.ctx.asked })
    end,
  },
}
