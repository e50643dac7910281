-- Requests are checked here; what breaks a rule never reaches the service.

local address = schema "address.json"

route "GET /products/{id}" {
  validate {
    path = { id = is.int { min = 1 } },
    query = {
      page = is.int { min = 1, max = 100, default = 1 },
      tag = is.array { items = is.string { max = 20 }, optional = true },
      sort = is.enum { "price", "name", optional = true },
      extra = false,
    },
  },
  function(req)
    return { json = { id = req.params.id, next = req.query.page + 1, tags = req.query.tag } }
  end,
}

route "POST /orders" {
  json_limit { depth = 8, array = 100 },
  validate {
    headers = { ["idempotency-key"] = is.uuid },
    body = {
      customer = is.object { name = is.string { min = 1 }, mail = is.email, extra = false },
      items = is.array {
        min = 1,
        items = is.object { sku = is.string { pattern = "^[A-Z]{2}-\\d+$" }, count = is.int { min = 1, default = 1 } },
      },
      note = is.string { max = 200, nullable = true, optional = true },
    },
  },
  to = "echo:",
}

route "PUT /addresses/{id:uuid}" {
  validate { body = address },
  to = "echo:",
}

route "GET /stock" {
  validate { response = { left = is.int { min = 0 } } },
  mock { json = { left = -1 } },
}
