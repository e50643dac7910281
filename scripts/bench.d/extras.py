"""What is no throughput: idle connections, reloads under load, time to the first answer."""

import socket
import statistics
import threading
import time

import load
import measure

IDLE = 5_000
GET = b"GET /1k HTTP/1.1\r\nhost: bench\r\n\r\n"


def plain(port):
    return socket.create_connection(("127.0.0.1", port), timeout=30)


def ask(client):
    """One request over HTTP/1.1."""
    client.sendall(GET)
    load.read_answer(client)


def warm(server, connect, ask=ask):
    """Fifty clients have come and gone."""
    for _ in range(50):
        with connect(server.port) as client:
            ask(client)


def idle_kb(server, connect=plain, ask=ask):
    """Resident KB per idle keep-alive connection, each of which has made one request."""
    warm(server, connect, ask)
    pids = server.pids()
    before = measure.memory_kb(pids)
    clients = []
    for _ in range(IDLE):
        client = connect(server.port)
        ask(client)
        clients.append(client)
    grown = measure.memory_kb(pids) - before
    for client in clients:
        client.close()
    return grown / IDLE


def idle_percent(server, seconds):
    """What a server that nobody asks for anything uses of a core, once it has settled."""
    time.sleep(10)
    pids = server.pids()
    before = measure.cpu_seconds(pids)
    time.sleep(seconds)
    return 100 * (measure.cpu_seconds(pids) - before) / seconds


def reloads(server, seconds, times):
    """A run of 64 keep-alive clients while the server reloads `times` times."""
    stop = threading.Event()

    def turn():
        for _ in range(times):
            if stop.wait(seconds / (times + 2)):
                return
            server.reload()

    thread = threading.Thread(target=turn)
    thread.start()
    result = load.wrk("/1k", seconds)(server.port)
    stop.set()
    thread.join()
    time.sleep(0.3)
    return result


def reload_pairs(server, seconds, pairs=5):
    """p99 without and with ten reloads, interleaved; errors of all runs."""
    quiet, busy, errors = [], [], 0
    for _ in range(pairs):
        quiet.append(reloads(server, seconds, 0).p99)
        with_reloads = reloads(server, seconds, 10)
        busy.append(with_reloads.p99)
        errors += with_reloads.errors
    return statistics.median(quiet), statistics.median(busy), errors


def first_answer_ms(make, times=5):
    """From exec to the first answered request."""
    took = []
    for _ in range(times):
        server = make()
        took.append(server.start() * 1000)
        server.stop()
    return statistics.median(took)
