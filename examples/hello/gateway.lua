-- The first gateway. Run it with `moongate run examples/hello/gateway.lua`, then:
--   curl 'http://localhost:8080/hello?name=you'
--   curl http://localhost:8080/echo/1 -d 'a body'

gateway { listen = ":8080" }

upstream "service" { "echo:" } -- built in: answers with the request it got, as JSON

route "GET /hello" {
  function(req)
    return { json = { hello = req.query.name or "world" } }
  end,
}

route "/echo/{rest*}" {
  function(req)
    req.headers["x-greeted-by"] = "moongate"
  end,
  to = "service",
}
