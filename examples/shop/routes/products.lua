-- Single products are answered by the gateway itself.
local products = {
  { id = "p1", name = "bicycle", price = 49900 },
  { id = "p2", name = "bell", price = 990 },
}

route "GET /products/{id}" {
  function(req)
    for _, product in products do
      if product.id == req.params.id then
        return { json = product }
      end
    end
    reject(404, "no such product", { code = "shop.no_product" })
  end,
}
