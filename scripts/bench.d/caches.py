"""What a cache hit costs, beside nginx's proxy_cache and varnish."""

import dataclasses

import load
import measure
import servers
from servers import Gateway
from servers import Nginx
from servers import Varnish
from workloads import PLAIN


@dataclasses.dataclass
class Hit:
    """An answer of this size, asked for again and again."""

    name: str
    aim: float  # largest ratio to nginx that is asked for
    path: str

    @property
    def request(self):
        return f"GET {self.path} HTTP/1.1\r\nhost: bench\r\n\r\n".encode()

    def script(self, port):
        return PLAIN.format(port=port) + 'route "/{rest*}" { cache "1h", to = "backend" }\n'

    def locations(self, port):
        return f"proxy_cache_path $FOLDER/cache keys_zone=hits:10m inactive=1h;\n{servers.proxy_locations(port, '', CACHED)}"

    def load(self, seconds):
        # The host is part of a key: the same as that of `request`.
        return load.wrk(self.path, seconds, headers=["Host: bench"])


CACHED = "proxy_cache hits; proxy_cache_valid 200 1h; proxy_cache_lock on;"
HITS = [Hit("hit of 1 KB", 0.75, "/1k"), Hit("hit of 100 KB", 1.2, "/100k")]


def run(binary, seconds, counters, row):
    """Ours, nginx's and varnish's, A B C C B A. Their backend is gone by then: what is no hit is an error."""
    print("\ncache hits (ratios to nginx)")
    for hit in HITS:
        backend = servers.backend()
        port = backend.port
        compared = [Gateway(binary, hit.script(port)), Nginx(hit.locations(port)), Varnish(port)]
        with servers.running(backend, *compared):
            for server in compared:
                load.counted(server.port, 2, [hit.request])
            backend.stop()
            costs = measure.in_turn(compared, hit.load, seconds, counters)
        figures = {server: cost.figure(counters) for server, cost in costs.items()}
        for server, cost in costs.items():
            row(hit, server, cost, figures[server] / figures[compared[1]] if server is compared[0] else None, counters)
