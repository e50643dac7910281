-- Who calls, by the certificate the client showed in its TLS handshake.

local core = ...

policy "mtls" {
  doc = "Authenticates by the client's certificate, which `tls = { client_ca = … }` of the listener asks for and verifies; each list that is written must hold. Without `user`, req.user is { sub = common name, subject, issuer, serial, san, fingerprint }.",
  options = {
    fingerprints = is.array { items = is.string, optional = true, doc = "SHA-256 of accepted certificates, in hex" },
    subjects = is.array {
      items = is.string,
      optional = true,
      doc = 'globs over the subject ("CN=orders,*"), or over the common name where they have no "="',
    },
    san = is.array {
      items = is.string,
      optional = true,
      doc = 'globs over alternative names: hosts ("*.internal"), URIs ("spiffe://acme/*"), addresses, mail addresses',
    },
    user = is.func { optional = true, doc = "function(cert) that returns req.user, or nil to refuse" },
    forward = is.bool { default = false, doc = "send the certificate on as Client-Cert, what came behind it as Client-Cert-Chain (RFC 9440)" },
  },
  step = function(o)
    local user = o.user
    local check = core.mtls(o, user ~= nil, o.forward)
    if not user then return check end
    return function(req)
      local claims = user(check(req))
      if not claims then core.fail("mtls.denied", "this client certificate is not accepted here") end
      core.identify(req, claims)
      if o.forward then core.client_cert(req) end
    end
  end,
}
