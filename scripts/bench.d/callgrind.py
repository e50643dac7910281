"""User instructions per request under valgrind: slow, and the same on every run and machine."""

import pathlib
import re

import load
from servers import Gateway
from servers import Nginx

FEW, MANY = 300, 1_300


def total(make, request, count):
    """Instructions of the busiest thread of a server that answered `count` requests."""
    server = make(["valgrind", "--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file=callgrind.out"])
    server.start()
    load.counted(server.port, count, request)
    folder = pathlib.Path(server.folder)
    server.process.terminate()
    server.process.wait(120)
    totals = [re.search(r"(?:totals|summary): (\d+)", file.read_text(errors="replace")) for file in folder.glob("callgrind.out*")]
    server.stop()
    return max(int(found.group(1)) for found in totals if found)


def per_request(make, request):
    return (total(make, request, MANY) - total(make, request, FEW)) / (MANY - FEW)


def run(workloads, binary, port):
    print(f"user instructions per request (callgrind, {MANY - FEW} requests, one connection)\n")
    print(f"{'workload':<18}{'moongate':>12}{'nginx':>12}{'ratio':>8}")
    for workload in workloads:
        ours = per_request(lambda prefix: Gateway(binary, workload.script(port), prefix=prefix), workload.request)
        theirs = per_request(lambda prefix: Nginx(workload.locations(port), single=True, prefix=prefix), workload.request)
        print(f"{workload.name:<18}{ours:>12,.0f}{theirs:>12,.0f}{ours / theirs:>8.2f}", flush=True)
