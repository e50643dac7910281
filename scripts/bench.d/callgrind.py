"""User instructions per request under valgrind: slow, and the same on every run and machine."""

import pathlib
import re

import load
from servers import Gateway
from servers import Nginx

FEW, MANY = 300, 1_300


def totals(make, request, count):
    """Instructions of each thread, by its number, of a server that answered `count` requests."""
    server = make(["valgrind", "--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file=callgrind.out"])
    server.start()
    load.counted(server.port, count, request)
    server.process.terminate()
    server.process.wait(120)
    found = {}
    for file in pathlib.Path(server.folder).glob("callgrind.out*"):
        match = re.search(r"(?:totals|summary): (\d+)", file.read_text(errors="replace"))
        if match:
            found[file.name.rpartition("-")[2]] = int(match.group(1))
    server.stop()
    return found


def per_request(make, request):
    """What a request adds to the thread that answers; other threads only started, and tick."""
    few, many = totals(make, request, FEW), totals(make, request, MANY)
    return max(many[thread] - few.get(thread, 0) for thread in many) / (MANY - FEW)


def run(workloads, binary, port):
    print(f"user instructions per request (callgrind, {MANY - FEW} requests, one connection)\n")
    print(f"{'workload':<18}{'moongate':>12}{'nginx':>12}{'ratio':>8}")
    for workload in workloads:
        ours = per_request(lambda prefix: Gateway(binary, workload.script(port), prefix=prefix), workload.request)
        theirs = per_request(lambda prefix: Nginx(workload.locations(port), single=True, prefix=prefix), workload.request)
        print(f"{workload.name:<18}{ours:>12,.0f}{theirs:>12,.0f}{ours / theirs:>8.2f}", flush=True)
