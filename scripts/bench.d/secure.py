"""TLS 1.3: keep-alive requests, handshakes in full and resumed, idle connections; one certificate for both servers."""

import dataclasses
import pathlib
import shutil
import socket
import ssl
import subprocess
import tempfile
import time

import extras
import load
from servers import Gateway
from servers import Nginx
from servers import proxy_locations
from workloads import ALL
from workloads import PLAIN


@dataclasses.dataclass
class Workload:
    name: str
    aim: float
    load: object  # seconds → a load
    http2: bool = False


class SecureGateway(Gateway):
    """Moongate with a certificate."""

    def __init__(self, binary, pair, port, settings="", **options):
        tls = f'tls = {{ cert = "{pair}.pem", key = "{pair}.key", min = "1.3" }}, '
        super().__init__(binary, PLAIN.format(port=port) + ALL, settings=tls + settings, **options)

    def answers(self):
        return up(self.port)


class SecureNginx(Nginx):
    """nginx with the same certificate, and tickets as we give them."""

    def __init__(self, pair, port, more=""):
        tls = f"ssl_certificate {pair}.pem; ssl_certificate_key {pair}.key; ssl_protocols TLSv1.3; ssl_session_tickets on;"
        super().__init__(proxy_locations(port, more=tls).replace("listen 127.0.0.1:$PORT", f"listen 127.0.0.1:$PORT ssl{more}"))

    def answers(self):
        return up(self.port)


def up(port):
    try:
        with connect(port) as client:
            client.sendall(extras.GET)
            return load.read_answer(client) is not None
    except OSError:
        time.sleep(0.0005)
        return False


def context():
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname, made.verify_mode = False, ssl.CERT_NONE
    return made


CONTEXT = context()


def connect(port, session=None, context=None):
    client = extras.plain(port)
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return (context or CONTEXT).wrap_socket(client, session=session)


def handshakes(seconds, resumed):
    """One connection after another, each with one request: a ticket arrives behind the handshake."""

    def run(port):
        session, took = None, []
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            start = time.perf_counter()
            with connect(port, session if resumed else None) as client:
                if resumed and session and not client.session_reused:
                    load.fail("a handshake that was not resumed")
                client.sendall(extras.GET)
                load.read_answer(client)
                session = client.session
            took.append((time.perf_counter() - start) * 1000)
        took.sort()
        at = lambda share: took[min(int(len(took) * share), len(took) - 1)]
        return load.Result(len(took), 0, time.perf_counter() - began, at(0.5), at(0.99))

    return run


WORKLOADS = [
    Workload("TLS keep-alive 1 KB", 0.85, lambda s: load.wrk("/1k", s, scheme="https")),
    Workload("TLS keep-alive 100 KB", 0, lambda s: load.wrk("/100k", s, scheme="https")),
    Workload("h2, 32 streams, 1 KB", 1.05, lambda s: load.h2load("/1k", s), http2=True),
    Workload("TLS full handshake", 0.55, lambda s: handshakes(s, resumed=False)),
    Workload("TLS resumed handshake", 0, lambda s: handshakes(s, resumed=True)),
]


def run(options, port, counters, compare):
    """Ours and nginx's, workload by workload."""
    import http2  # which speaks by what stands above

    print("\nTLS (ratios to nginx)")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="moongate-bench-"))
    pair = certificate(folder)
    try:
        for workload in WORKLOADS:
            nginx = SecureNginx(pair, port, " http2" if workload.http2 else "")
            compare(workload, SecureGateway(options.binary, pair, port), nginx, options, counters)
        print(f"\n{extras.IDLE} idle connections over TLS, KB each (aim 20)")
        for server in (SecureGateway(options.binary, pair, port), SecureNginx(pair, port)):
            server.start()
            print(f"  {server.name:<10}{extras.idle_kb(server, connect):>8.2f}", flush=True)
            server.stop()
        print(f"\n{extras.IDLE} idle connections over TLS that speak HTTP/2, KB each")
        for server in (SecureGateway(options.binary, pair, port), SecureNginx(pair, port, " http2")):
            server.start()
            print(f"  {server.name:<10}{extras.idle_kb(server, http2.connect, http2.ask):>8.2f}", flush=True)
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def certificate(folder):
    """P-256, as most certificates are today; the path without its ending."""
    pair = folder / "bench"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-subj", "/CN=bench", "-addext", "subjectAltName=DNS:bench,IP:127.0.0.1",
                    "-keyout", f"{pair}.key", "-out", f"{pair}.pem"], check=True, capture_output=True)
    return pair
