"""Runs every workload on moongate and nginx in turns, A B B A, and prints what a request costs."""

import argparse
import pathlib
import resource
import statistics
import tempfile

import caches
import callgrind
import extras
import measure
import policies
import secure
import servers
from servers import Gateway
from servers import Nginx
from workloads import ALL
from workloads import WORKLOADS
from workloads import hosts


def main():
    options = arguments()
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(20_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]),) * 2)
    chosen = [w for w in WORKLOADS if w.name in options.only] if options.only else WORKLOADS
    if options.hosts and not options.only:
        chosen = [w for w in WORKLOADS if w.name in ("1 KB", "100 hosts")]
    elif (options.policies or options.caches or options.tls) and not options.only:
        chosen = []
    every = not (options.only or options.policies or options.caches or options.tls or options.hosts)
    backend = servers.backend()
    backend.start()
    try:
        if options.callgrind:
            hits = caches.HITS if options.caches or every else []
            callgrind.run([*(w for w in chosen if w.name != "new connection"), *hits], options.binary, backend.port)
            if options.policies or every:
                with tempfile.TemporaryDirectory() as folder:
                    found = policies.chains(options.binary, pathlib.Path(folder))
                    callgrind.chains(found, policies.plain(backend.port), options.binary, backend.port)
            return
        counters = measure.have_counters()
        unit = "k instructions, user + kernel" if counters else "CPU seconds per 100k requests"
        print(f"one worker on core {servers.SERVER_CORE}; backend and load on core {servers.LOAD_CORE}; 64 clients; "
              f"{options.seconds} s a run, order A B B A; ratios of {unit}")
        if not counters:
            print("this machine has no instruction counters: CPU time instead, which moves with what else runs here (try --callgrind)")
        heading = f"\n{'workload':<22}{'server':<10}{'k instr/req':>16}{'CPU s/100k':>11}{'user':>7}{'sys':>7}{'req/s':>9}{'p50 ms':>8}{'p99 ms':>8}{'peak MB':>9}{'errors':>8}{'ratio':>7}{'aim':>6}"
        print(heading)
        for workload in chosen:
            ours, theirs = Gateway(options.binary, workload.script(backend.port)), Nginx(workload.locations(backend.port))
            compare(workload, ours, theirs, options, counters)
        if options.caches or every:
            caches.run(options.binary, options.seconds, counters, row)
        if options.policies or every:
            policies.run(options.binary, options.seconds, backend.port, counters, row)
        if options.tls or every:
            secure.run(options, backend.port, counters, compare)
        if options.hosts:
            checked_hosts(options, backend.port)
        if every:
            others(options, backend.port)
    finally:
        backend.stop()


def arguments():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--binary", help=argparse.SUPPRESS)
    parser.add_argument("--seconds", type=int, default=4, help="length of each run (4)")
    parser.add_argument("--only", action="append", metavar="WORKLOAD", help="one of: " + ", ".join(w.name for w in WORKLOADS))
    parser.add_argument("--policies", action="store_true", help="only what identity, limits and validation cost")
    parser.add_argument("--tls", action="store_true", help="only what TLS costs")
    parser.add_argument("--hosts", action="store_true", help="only what many hosts cost: to choose among, and to check")
    parser.add_argument("--caches", action="store_true", help="only what a cache hit costs, beside nginx and varnish")
    parser.add_argument("--callgrind", action="store_true", help="count user instructions under valgrind instead: slow, repeatable")
    return parser.parse_args()


def compare(workload, ours, theirs, options, counters):
    with servers.running(ours, theirs):
        costs = measure.in_turn([ours, theirs], workload.load, options.seconds, counters)
    ratio = costs[ours].figure(counters) / costs[theirs].figure(counters)
    for server, cost in costs.items():
        row(workload, server, cost, ratio if server is ours else None, counters)


def row(workload, server, cost, ratio, counters):
    thousand = 1000 * max(cost.requests, 1)
    instructions = f"{cost.instructions_user / thousand:.1f} + {cost.instructions_kernel / thousand:.1f}" if counters else "none"
    share = cost.cpu_per_100k() / max(cost.user + cost.system, 1e-9)
    print(f"{workload.name:<22}{server.name:<10}{instructions:>16}{cost.cpu_per_100k():>11.2f}{cost.user * share:>7.2f}{cost.system * share:>7.2f}"
          f"{cost.requests / cost.seconds:>9.0f}{statistics.median(cost.p50):>8.2f}{statistics.median(cost.p99):>8.2f}{cost.peak_kb / 1024:>9.1f}{cost.errors:>8}"
          + (f"{ratio:>7.2f}{workload.aim or '':>6}" if ratio else ""), flush=True)


def checked_hosts(options, port):
    """A gateway that only asks its hosts how they are."""
    script = hosts(300, port, ', health = { path = "/1k" }') + ALL
    server = Gateway(options.binary, script)
    with servers.running(server):
        print(f"\n300 hosts with health checks, nobody asks for anything: % of a core (aim 1)\n  moongate  {extras.idle_percent(server, 30):>8.2f}", flush=True)


def others(options, port):
    plain = WORKLOADS[0]

    def gateway():
        return Gateway(options.binary, plain.script(port))

    def nginx():
        return Nginx(plain.locations(port))

    print(f"\n{extras.IDLE} idle connections, KB each (aim 4)")
    for make in (gateway, nginx):
        server = make()
        server.start()
        print(f"  {server.name:<10}{extras.idle_kb(server):>8.2f}", flush=True)
        server.stop()
    print("\n10 reloads under 64 keep-alive clients, five pairs: p99 ms without, with; errors (aim: the larger of 1.3x and +2 ms; none)")
    for make in (gateway, nginx):
        server = make()
        server.start()
        quiet, busy, errors = extras.reload_pairs(server, options.seconds)
        print(f"  {server.name:<10}{quiet:>8.2f}{busy:>8.2f}{errors:>8}", flush=True)
        server.stop()
    checked_hosts(options, port)
    print("\nstart to first answer, ms (aim 100)")
    for make in (gateway, nginx):
        print(f"  {make().name:<10}{extras.first_answer_ms(make):>8.1f}", flush=True)
    many = next(w for w in WORKLOADS if w.name == "10,000 routes")
    loaded = extras.first_answer_ms(lambda: Gateway(options.binary, many.script(port)), times=3)
    print(f"\nthe same with 10,000 routes, ms (aim 1000)\n  moongate  {loaded:>8.1f}", flush=True)


if __name__ == "__main__":
    main()
