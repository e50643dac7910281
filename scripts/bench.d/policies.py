"""What identity, limits and validation cost: tokens and a limit beside HAProxy, a browser's POST beside the plain proxy."""

import dataclasses
import json
import pathlib
import socket
import subprocess
import tempfile

import load
import measure
import servers
from workloads import PLAIN

SECRET = "a-secret-of-more-than-thirty-two-bytes"
COLD = 20_000  # distinct tokens: more than any cache of verified tokens keeps


@dataclasses.dataclass
class Policy:
    """One chain of policies, what is asked of it, and what of the field does the same."""

    name: str
    aim: int  # thousands of instructions a request, user and kernel
    script: str  # of the gateway, after its upstream
    requests: list  # heads (and bodies) that are sent in turn
    haproxy: str = ""  # rules of a frontend that does the same; empty: nobody to compare with
    status: int = 200

    def script_for(self, port):
        return PLAIN.format(port=port) + self.script

    def load(self, seconds):
        return load.wrk("/1k", seconds, script=turns(self.requests), status=self.status)


def turns(requests):
    """A wrk script that sends these requests one after the other, read from a file: there are many."""
    file = pathlib.Path(tempfile.mkstemp(prefix="moongate-bench-", suffix=".requests")[1])
    file.write_text("\0".join(request.decode() for request in requests))
    return f"""
local all = {{}}
for one in io.open("{file}"):read("*a"):gmatch("%Z+") do all[#all + 1] = one end
local n = 0
request = function() n = n % #all + 1 return all[n] end
"""


def get(token):
    return f"GET /1k HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {token}\r\n\r\n".encode()


def chains(binary, folder):
    """Every chain; tokens are minted by a gateway of their own before anything is measured."""
    private, public = keys(folder)
    hs = f'secret = "{SECRET}"'
    limit = 'rate_limit { "1000000/s", by = "user" }'
    hs_chain = f'route "/{{rest*}}" {{ jwt {{ {hs}, issuer = "bench", audience = "api" }}, {limit}, to = "backend" }}'
    rs_chain = f'route "/{{rest*}}" {{ jwt {{ key = [[{public.read_text()}]], algorithms = {{ "RS256" }}, issuer = "bench", audience = "api" }}, {limit}, to = "backend" }}'
    hs_tokens = mint(binary, f'{hs}, algorithm = "HS256"')
    rs_tokens = mint(binary, f'key = [[{private.read_text()}]], algorithm = "RS256"')
    forged = [token[:-8] + "AAAAAAAA" for token in hs_tokens[:100]]
    hs_rules, rs_rules = haproxy("HS256", SECRET), haproxy("RS256", public)
    few = slice(0, 64)
    return [
        Policy("HS256 + limit, warm", 75, hs_chain, [get(t) for t in hs_tokens[few]]),
        Policy("HS256 + limit, cold", 90, hs_chain, [get(t) for t in hs_tokens], hs_rules),
        Policy("RS256 + limit, warm", 75, rs_chain, [get(t) for t in rs_tokens[few]]),
        Policy("RS256 + limit, cold", 0, rs_chain, [get(t) for t in rs_tokens], rs_rules),
        Policy("bad token", 55, hs_chain, [get(t) for t in forged], hs_rules, status=401),
        Policy("browser's POST", 85, BROWSER, [BROWSER_POST]),
    ]


def keys(folder):
    private, public = folder / "private.pem", folder / "public.pem"
    quiet = {"check": True, "stderr": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", private], **quiet)
    subprocess.run(["openssl", "pkey", "-in", private, "-pubout", "-out", public], **quiet)
    return private, public


def mint(binary, how):
    """Distinct tokens, from a gateway that signs them."""
    script = f"""
route "GET /{{n}}" {{
  function(req)
    return {{ text = jwt.sign({{ iss = "bench", aud = "api", sub = "user-" .. req.params.n, exp = math.floor(time.now()) + 86400 }}, {{ {how} }}) }}
  end,
}}"""
    minter = servers.Gateway(binary, script, name="minter")
    minter.start()
    tokens = []
    with socket.create_connection(("127.0.0.1", minter.port), timeout=30) as client:
        for n in range(COLD):
            client.sendall(f"GET /{n} HTTP/1.1\r\nhost: bench\r\n\r\n".encode())
            tokens.append(load.read_answer(client).decode())
    minter.stop()
    return tokens


def haproxy(algorithm, key):
    return f"""
  stick-table type string len 64 size 1m expire 10s store http_req_rate(1s)
  http-request set-var(txn.bearer) http_auth_bearer
  http-request set-var(txn.alg) var(txn.bearer),jwt_header_query('$.alg')
  http-request set-var(txn.iss) var(txn.bearer),jwt_payload_query('$.iss')
  http-request set-var(txn.aud) var(txn.bearer),jwt_payload_query('$.aud')
  http-request set-var(txn.sub) var(txn.bearer),jwt_payload_query('$.sub')
  http-request set-var(txn.exp) var(txn.bearer),jwt_payload_query('$.exp','int')
  http-request deny deny_status 401 unless {{ var(txn.alg) -m str {algorithm} }}
  http-request deny deny_status 401 unless {{ var(txn.iss) -m str bench }}
  http-request deny deny_status 401 unless {{ var(txn.aud) -m str api }}
  http-request deny deny_status 401 unless {{ var(txn.bearer),jwt_verify(txn.alg,"{key}") 1 }}
  http-request set-var(txn.now) date()
  http-request deny deny_status 401 if {{ var(txn.exp),sub(txn.now) -m int lt 0 }}
  http-request track-sc0 var(txn.sub)
  http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt 1000000 }}
"""


BROWSER = """
route "/{rest*}" {
  cors { origins = { "https://shop.example" }, credentials = true },
  ip_filter { allow = { "127.0.0.0/8", "10.0.0.0/8" }, deny = { "127.6.6.6" } },
  validate {
    body = is.object {
      id = is.uuid, name = is.string { max = 100 }, count = is.int { min = 1, max = 1000 },
      tags = is.array { items = is.string { max = 40 }, max = 20 },
      lines = is.array { items = is.object { sku = is.string { pattern = "^[A-Z0-9-]+$" }, price = is.number { min = 0 }, note = is.string } },
    },
  },
  to = "backend",
}"""

ORDER = json.dumps({
    "id": "018f4e9e-5f3a-7c4b-9d0e-2f6a1b3c4d5e", "name": "An order of ordinary size", "count": 7,
    "tags": ["express", "gift", "fragile"],
    "lines": [{"sku": f"SKU-{n:04}", "price": 19.99 + n, "note": "as small as it comes, in blue, if there is any left of it"} for n in range(9)],
})
BROWSER_POST = (f"POST /post HTTP/1.1\r\nhost: bench\r\norigin: https://shop.example\r\ncontent-type: application/json\r\n"
                f"content-length: {len(ORDER)}\r\n\r\n{ORDER}").encode()


def plain(port):
    return PLAIN.format(port=port) + 'route "/{rest*}" { to = "backend" }\n'


def run(binary, seconds, port, counters, row):
    """Chain by chain: ours and HAProxy's, A B B A."""
    print("\npolicies (aim: thousands of instructions, user and kernel)")
    with tempfile.TemporaryDirectory() as folder:
        for chain in chains(binary, pathlib.Path(folder)):
            any_answer = {"up": b"HTTP/1.1 "}
            one = servers.Gateway(binary, chain.script_for(port), **any_answer)
            compared = [one, servers.Haproxy(chain.haproxy, port, **any_answer)] if chain.haproxy else [one]
            with servers.running(*compared):
                costs = measure.in_turn(compared, chain.load, seconds, counters)
            for server, cost in costs.items():
                row(chain, server, cost, None, counters)
