"""Loads: wrk on the other core, and a plain client for counted requests."""

import dataclasses
import re
import socket
import subprocess
import tempfile

from servers import LOAD_CORE


@dataclasses.dataclass
class Result:
    requests: int
    errors: int
    seconds: float
    p50: float
    p99: float


def wrk(path, seconds, connections=64, script=None, headers=(), status=200, scheme="http"):
    """A load for `measure.around`; answers of another class than `status` are errors."""

    def run(port):
        command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", "--timeout", "10s"]
        for header in headers:
            command += ["-H", header]
        with tempfile.NamedTemporaryFile("w", suffix=".lua") as file:
            if script:
                file.write(script)
                file.flush()
                command += ["-s", file.name]
            output = subprocess.run([*command, f"{scheme}://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
        return parse(output, status)

    return run


def h2load(path, seconds, connections=2, streams=32):
    """A load over HTTP/2 and TLS, so many requests at a time on each connection."""

    def run(port):
        with tempfile.TemporaryDirectory() as folder:
            log = f"{folder}/log"
            command = ["taskset", "-c", LOAD_CORE, "h2load", "-t1", f"-c{connections}", f"-m{streams}", f"-D{seconds}", f"--log-file={log}"]
            output = subprocess.run([*command, f"https://127.0.0.1:{port}{path}"], capture_output=True, text=True, check=True).stdout
            took = sorted(int(line.split()[2]) / 1000 for line in open(log))
        done, failed, errored = (int(re.search(rf"(\d+) {what}", output).group(1)) for what in ("done", "failed", "errored"))
        at = lambda share: took[min(int(len(took) * share), len(took) - 1)]
        return Result(done, failed + errored, seconds, at(0.5), at(0.99))

    return run


def parse(output, status=200):
    requests, seconds = re.search(r"(\d+) requests in ([\d.]+)(m?s)", output).group(1, 2)
    errors = sum(int(n) for n in re.findall(r"(?:connect|read|write|timeout) (\d+)", output))
    refused = sum(int(n) for n in re.findall(r"Non-2xx or 3xx responses: (\d+)", output))
    errors += refused if status < 400 else int(requests) - refused
    return Result(int(requests), errors, float(seconds), latency(output, 50), latency(output, 99))


def latency(output, percent):
    """Milliseconds."""
    value, unit = re.search(rf"\s{percent}(?:\.000)?%\s+([\d.]+)(us|ms|s)", output).group(1, 2)
    return float(value) * {"us": 0.001, "ms": 1, "s": 1000}[unit]


POST_10K = """
wrk.method = "POST"
wrk.body = string.rep("x", 10240)
wrk.headers["Content-Type"] = "application/octet-stream"
"""

TEN_THOUSAND = """
local n = 0
request = function() n = (n * 1103515245 + 12345) % 2147483648 return wrk.format("GET", "/r" .. (n % 10000) .. "/1k") end
"""


def counted(port, count, requests, status=200):
    """Exactly `count` requests, taken in turn, on one connection; every answer has a Content-Length."""
    with socket.create_connection(("127.0.0.1", port), timeout=120) as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(count):
            client.sendall(requests[n % len(requests)])
            read_answer(client, status)


def read_answer(client, status=200):
    """The body of the next answer."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += client.recv(65536) or fail("closed")
    head, body = data.split(b"\r\n\r\n", 1)
    if not head.startswith(b"HTTP/1.1 %d" % status):
        fail(head.decode("latin-1"))
    missing = int(re.search(rb"(?i)content-length: (\d+)", head).group(1)) - len(body)
    while missing > 0:
        more = client.recv(65536) or fail("closed")
        body, missing = body + more, missing - len(more)
    return body


def fail(what):
    raise SystemExit(f"the counted load got: {what}")
