-- TLS, and callers that are known by their certificate. Make certificates first, then run it from its folder:
--   sh certs.sh && moongate run
--   curl -k https://localhost:8443/hello
--   curl -k --cert certs/orders.pem --key certs/orders.key https://localhost:8443/orders/7

gateway {
  listen = { ":8443", { ":8080", tls = false } }, -- clear text at 8080 is sent to 8443
  tls = {
    cert = "certs/server.pem", -- watched: renew the files, and new connections get the new certificate
    key = "certs/server.key",
    client_ca = "certs/ca.pem", -- who signs the certificates of callers
    client_cert = "optional", -- `mtls` decides, route by route
    redirect_http = true,
  },
}

upstream "service" { "echo:" } -- built in: answers with the request it got, as JSON

local partner = mtls {
  subjects = { "orders", "billing" }, -- common names
  user = function(cert) return { sub = cert.common_name, until_when = cert.not_after } end,
  forward = true, -- the service gets the certificate as Client-Cert (RFC 9440)
}

route "GET /hello" {
  function(req) return { json = { scheme = req.scheme, tls = req.tls.version, you = req.tls.cert and req.tls.cert.subject } } end,
}

route "/orders/{rest*}" {
  partner,
  transform_request { set = { ["x-caller"] = "{user.sub}" } },
  to = "service",
}
