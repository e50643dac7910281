#!/bin/sh
# Makes an authority, a certificate for localhost, and certificates of two callers, in certs/. For trying out only.
set -eu
cd "$(dirname "$0")"
mkdir -p certs
cd certs

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 365 \
  -subj "/CN=Example CA" -keyout ca.key -out ca.pem 2>/dev/null

sign() { # name, subject, extensions
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -subj "$2" -keyout "$1.key" -out "$1.csr" 2>/dev/null
  printf '%s\n' "$3" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -days 90 -extfile "$1.ext" -out "$1.pem" 2>/dev/null
  rm "$1.csr" "$1.ext"
}

sign server "/CN=localhost" "subjectAltName=DNS:localhost,IP:127.0.0.1"
sign orders "/O=Acme/CN=orders" "extendedKeyUsage=clientAuth"
sign stranger "/O=Elsewhere/CN=stranger" "extendedKeyUsage=clientAuth"
