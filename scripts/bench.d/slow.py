"""Clients that send one byte a second, by the thousand: what they cost together, when they are cut, and what an ordinary
client beside them notices."""

import argparse
import os
import pathlib
import resource
import shutil
import statistics
import tempfile
import threading
import time

import extras
import load
import measure
import secure
import servers
from workloads import PLAIN
from workloads import STEP

TIMEOUT = 20
# A request line and fields that never end.
DRIP = b"GET /1k HTTP/1.1\r\nhost: bench\r\nx-slow: " + b"x" * 1000


def main():
    parser = argparse.ArgumentParser(prog="scripts/slow", description=__doc__)
    parser.add_argument("--binary", help=argparse.SUPPRESS)
    parser.add_argument("clients", type=int, nargs="?", default=10_000)
    options = parser.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    folder = pathlib.Path(tempfile.mkdtemp(prefix="moongate-slow-"))
    backend = servers.backend()
    backend.start()
    try:
        script, settings = PLAIN.format(port=backend.port) + STEP, f'header_timeout = "{TIMEOUT}s"'
        clear = servers.Gateway(options.binary, script, name="clear text", settings=settings)
        pair = secure.certificate(folder)
        tls = secure.SecureGateway(options.binary, pair, backend.port, name="TLS", settings=settings)
        fine = [attack(options, clear, extras.plain, 100), attack(options, tls, secure.connect, 250)]
    finally:
        backend.stop()
        shutil.rmtree(folder, ignore_errors=True)
    raise SystemExit(0 if all(fine) else 1)


def attack(options, server, connect, most_mb):
    server.start()
    extras.warm(server, connect)
    before = measure.memory_kb(server.pids())
    alone = beside(connect, server.port, 3)
    began = time.perf_counter()
    clients, count = [], 0
    for _ in range(options.clients):
        client = connect(server.port)
        client.setblocking(True)
        clients.append(client)
    opened = time.perf_counter() - began
    answers = []
    thread = threading.Thread(target=lambda: answers.extend(beside(connect, server.port, 6)))
    thread.start()
    peak = 0
    for step in range(6):
        for client in clients:
            try:
                client.send(DRIP[step:step + 1])
                count += 1
            except OSError:
                pass
        peak = max(peak, measure.memory_kb(server.pids()))
    thread.join()
    cut = wait_until_cut(server, began)
    for client in clients:
        client.close()
    server.stop()
    cost = (peak - before) / 1024
    slower = statistics.median(answers) / max(statistics.median(alone), 1e-9)
    print(f"{server.name:<11}{options.clients} clients in {opened:.1f} s, {count} bytes: {cost:.1f} MB (aim {most_mb}); "
          f"cut {cut:.1f} s after the first came (their time: {TIMEOUT} s); beside them {len(answers)} answers, no error, "
          f"p50 {statistics.median(alone) * 1000:.2f} ms became {statistics.median(answers) * 1000:.2f} ms", flush=True)
    share = options.clients / 10_000
    return cost < most_mb * max(share, 0.1) and cut < TIMEOUT + opened + 15 and (slower < 2 or statistics.median(answers) < 0.005)


def beside(connect, port, seconds):
    """An ordinary client: how long each of its requests took. An error ends the run."""
    took, end = [], time.perf_counter() + seconds
    with connect(port) as client:
        while time.perf_counter() < end:
            start = time.perf_counter()
            client.sendall(extras.GET)
            load.read_answer(client)
            took.append(time.perf_counter() - start)
            time.sleep(0.01)
    return took


def wait_until_cut(server, began):
    while time.perf_counter() - began < 120:
        files = sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in server.pids())
        if files < 100:
            return time.perf_counter() - began
        time.sleep(0.1)
    raise SystemExit("the slow clients were never cut")


if __name__ == "__main__":
    main()
