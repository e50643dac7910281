"""The workloads: what each server is set up with and what is asked of it."""

import dataclasses

import load
from servers import addresses
from servers import proxy_locations

PLAIN = 'upstream "backend" {{ "127.0.0.1:{port}" }}\n'


def hosts(count, port, options=""):
    """The one backend under many addresses: to a gateway they are hosts of their own."""
    listed = ", ".join(f'"{address}:{port}"' for address in addresses(count))
    return f'upstream "backend" {{ {listed}{options} }}\n'


STEP = """
route "/{rest*}" {
  function(req)
    local h = req.headers
    if h["user-agent"] == "nobody" or h["x-absent"] or h["host"] == "nowhere" then return 403 end
    h["x-one"] = "1"
    h["x-two"] = "2"
  end,
  to = "backend",
}
"""


@dataclasses.dataclass
class Workload:
    name: str
    aim: float  # largest ratio to nginx that is asked for; 0: none
    route: str  # of the gateway, after its upstream
    load: object  # seconds → a load
    request: bytes = b"GET /1k HTTP/1.1\r\nhost: bench\r\n\r\n"
    nginx: str = ""  # further locations
    hosts: int = 1

    def script(self, port):
        return hosts(self.hosts, port) + self.route

    def locations(self, port):
        return proxy_locations(port, self.nginx, hosts=self.hosts)


ALL = 'route "/{rest*}" { to = "backend" }\n'
MANY = "".join(f'route "GET /r{n}/{{name}}" {{ rewrite = "/{{name}}", to = "backend" }}\n' for n in range(10_000)) + ALL
MANY_NGINX = "".join(f"location /r{n}/ {{ proxy_pass http://backend/; }}\n" for n in range(10_000))
FEW = "".join(f'route "GET /r{n}/{{name}}" {{ rewrite = "/{{name}}", to = "backend" }}\n' for n in range(10)) + ALL
POST = b"POST /post HTTP/1.1\r\nhost: bench\r\ncontent-length: 10240\r\n\r\n" + b"x" * 10240

WORKLOADS = [
    Workload("1 KB", 0.75, ALL, lambda s: load.wrk("/1k", s)),
    Workload("100 KB", 0.85, ALL, lambda s: load.wrk("/100k", s), b"GET /100k HTTP/1.1\r\nhost: bench\r\n\r\n"),
    Workload("POST 10 KB", 0.75, ALL, lambda s: load.wrk("/post", s, script=load.POST_10K), POST),
    Workload("function step", 0.9, STEP, lambda s: load.wrk("/1k", s)),
    Workload("10 routes", 0, FEW, lambda s: load.wrk("/r7/1k", s), b"GET /r7/1k HTTP/1.1\r\nhost: bench\r\n\r\n",
             "".join(f"location /r{n}/ {{ proxy_pass http://backend/; }}\n" for n in range(10))),
    Workload("10,000 routes", 0, MANY, lambda s: load.wrk("/r1/1k", s, script=load.TEN_THOUSAND),
             b"GET /r7777/1k HTTP/1.1\r\nhost: bench\r\n\r\n", MANY_NGINX),
    Workload("100 hosts", 0, ALL, lambda s: load.wrk("/1k", s), hosts=100),
    Workload("new connection", 1.0, ALL, lambda s: load.wrk("/1k", s, headers=["Connection: close"])),
]
