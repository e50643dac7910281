-- Which shop is asking: a policy of our own, with an option that is checked and documented like those built in.
return policy "tenant" {
  doc = "Reads the tenant from a header and refuses a request without one.",
  options = { header = is.string { default = "x-tenant" } },
  step = function(options)
    return function(req)
      req.ctx.tenant = req.headers[options.header] or reject(400, "which tenant?", { code = "shop.no_tenant" })
    end
  end,
}
