"""Reloads under load: counts what fails and what memory does."""

import argparse
import threading
import time

import load
import measure
import servers
from extras import GET
from workloads import STEP
from workloads import PLAIN


def main():
    parser = argparse.ArgumentParser(prog="scripts/reloads", description=__doc__)
    parser.add_argument("--binary", help=argparse.SUPPRESS)
    parser.add_argument("times", type=int, nargs="?", default=1_000)
    options = parser.parse_args()
    backend = servers.backend()
    backend.start()
    server = servers.Gateway(options.binary, "")
    server.script = script(backend.port, 0)
    server.start()
    done, failed, answered = threading.Event(), [], [0]
    clients = [threading.Thread(target=client, args=(server.port, done, failed, answered)) for _ in range(8)]
    for thread in clients:
        thread.start()
    marks = []
    began = time.perf_counter()
    for n in range(1, options.times + 1):
        server.script = script(backend.port, n)
        server.write()
        server.process.send_signal(1)
        wait_for(server.port, n)
        if n == options.times // 10 or n == options.times:
            marks.append(measure.memory_kb(server.pids()))
    took = time.perf_counter() - began
    done.set()
    for thread in clients:
        thread.join()
    server.stop()
    backend.stop()
    print(f"{options.times} reloads in {took:.1f} s under {answered[0]} requests: {len(failed)} failed")
    print(f"memory after {options.times // 10} reloads {marks[0]} KB, after all {marks[-1]} KB")
    for failure in failed[:3]:
        print(f"  {failure}")
    raise SystemExit(1 if failed or marks[-1] > marks[0] * 1.2 + 8192 else 0)


def script(port, n):
    return PLAIN.format(port=port) + STEP + f'\nroute "GET /generation" {{ function() return {{ text = "{n}" }} end }}'


def wait_for(port, n):
    import socket
    end = time.perf_counter() + 20
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        while time.perf_counter() < end:
            client.sendall(b"GET /generation HTTP/1.1\r\nhost: bench\r\n\r\n")
            if client.recv(65536).endswith(f"\r\n\r\n{n}".encode()):
                return
            time.sleep(0.002)
    raise SystemExit(f"reload {n} was not live within 20 s")


def client(port, done, failed, answered):
    while not done.is_set():
        try:
            load.counted(port, 50, [GET])
            answered[0] += 50
        except (SystemExit, OSError) as error:
            failed.append(str(error))


if __name__ == "__main__":
    main()
