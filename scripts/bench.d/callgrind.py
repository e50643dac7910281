"""User instructions per request under valgrind: slow, and the same on every run and machine."""

import pathlib
import re

import load
from servers import Gateway
from servers import Haproxy
from servers import Nginx

FEW, MANY = 300, 1_300


def totals(make, requests, count, status):
    """Instructions of each thread, by its number, of a server that answered `count` of these requests."""
    server = make(["valgrind", "--tool=callgrind", "--separate-threads=yes", "--callgrind-out-file=callgrind.out"])
    server.start()
    load.counted(server.port, count, requests, status)
    server.process.terminate()
    server.process.wait(120)
    found = {}
    for file in pathlib.Path(server.folder).glob("callgrind.out*"):
        match = re.search(r"(?:totals|summary): (\d+)", file.read_text(errors="replace"))
        if match:
            found[file.name.rpartition("-")[2]] = int(match.group(1))
    server.stop()
    return found


def per_request(make, requests, status=200):
    """What a request adds to the thread that answers; other threads only started, and tick."""
    few, many = totals(make, requests, FEW, status), totals(make, requests, MANY, status)
    return max(many[thread] - few.get(thread, 0) for thread in many) / (MANY - FEW)


def run(workloads, binary, port):
    print(f"user instructions per request (callgrind, {MANY - FEW} requests, one connection)\n")
    print(f"{'workload':<18}{'moongate':>12}{'nginx':>12}{'ratio':>8}")
    for workload in workloads:
        ours = per_request(lambda prefix: Gateway(binary, workload.script(port), prefix=prefix), [workload.request])
        theirs = per_request(lambda prefix: Nginx(workload.locations(port), single=True, prefix=prefix), [workload.request])
        print(f"{workload.name:<18}{ours:>12,.0f}{theirs:>12,.0f}{ours / theirs:>8.2f}", flush=True)


def chains(chains, plain, binary, port):
    print(f"\n{'policies':<22}{'moongate':>12}{'haproxy':>12}{'over plain':>12}")
    base = per_request(lambda prefix: Gateway(binary, plain, prefix=prefix), [b"GET /1k HTTP/1.1\r\nhost: bench\r\n\r\n"])
    for chain in chains:
        ours = per_request(lambda prefix: Gateway(binary, chain.script_for(port), prefix=prefix, up=b"HTTP/1.1 "), chain.requests, chain.status)
        theirs = chain.haproxy and per_request(lambda prefix: Haproxy(chain.haproxy, port, prefix=prefix, up=b"HTTP/1.1 "), chain.requests, chain.status)
        beside = f"{theirs:>12,.0f}" if theirs else f"{'':>12}"
        print(f"{chain.name:<22}{ours:>12,.0f}{beside}{ours - base:>12,.0f}", flush=True)
