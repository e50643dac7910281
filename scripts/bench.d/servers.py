"""The servers that are measured: how each is configured, started, pinned, reloaded and stopped."""

import contextlib
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time

SERVER_CORE, LOAD_CORE = "0", "1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A process of one worker on one core."""

    def __init__(self, name, core, prefix=(), up=b"HTTP/1.1 200"):
        self.name, self.core, self.prefix, self.up = name, core, list(prefix), up
        self.port, self.folder = free_port(), pathlib.Path(tempfile.mkdtemp(prefix="moongate-bench-"))
        self.process = None

    def start(self):
        command = ["taskset", "-c", self.core, *self.prefix, *self.command()]
        log = open(self.folder / "log", "a")
        began = time.perf_counter()
        self.process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)
        while not self.answers():
            if self.process.poll() is not None or time.perf_counter() - began > 60:
                raise SystemExit(f"{self.name} did not start:\n{(self.folder / 'log').read_text()}")
        return time.perf_counter() - began

    def answers(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=30) as client:
                client.sendall(b"GET /1k HTTP/1.1\r\nhost: bench\r\nconnection: close\r\n\r\n")
                return client.recv(15).startswith(self.up)
        except OSError:
            time.sleep(0.0005)
            return False

    def stop(self):
        if self.process is None:
            return
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def pids(self):
        """The process and its children: nginx has a master that does nothing and a worker that does everything."""
        found = [self.process.pid]
        for pid in found:
            for task in os.listdir(f"/proc/{pid}/task"):
                found += [int(child) for child in pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
        return found


@contextlib.contextmanager
def running(*servers):
    """Starts them, and stops them whatever happens."""
    try:
        for server in servers:
            server.start()
        yield
    finally:
        for server in servers:
            server.stop()


class Gateway(Server):
    """Moongate with one worker; `settings`: further entries of `gateway { … }`."""

    def __init__(self, binary, script, name="moongate", settings="", **options):
        super().__init__(name, SERVER_CORE, **options)
        self.binary, self.script, self.settings, self.edits = os.path.abspath(binary), script, settings, 0

    def command(self):
        self.write()
        return [self.binary, "run", "gateway.lua", "--workers", "1", "--no-watch", "--admin", "off"]

    def write(self):
        head = f'gateway {{ listen = "127.0.0.1:{self.port}", log = {{ access = false }}, limits = {{ connections = 20000, step = "5s" }}, drain = {{ delay = "0s", max = "1s" }}, {self.settings} }}\n'
        # at once, as editors do: a reload that is under way must not find half of it
        (self.folder / "next.lua").write_text(f"{head}{self.script}\n-- edit {self.edits}\n")
        os.replace(self.folder / "next.lua", self.folder / "gateway.lua")

    def reload(self):
        self.edits += 1
        self.script = self.script.rstrip() + f"\nroute 'GET /edit/{self.edits}' {{ function() return 204 end }}\n"
        self.write()
        self.process.send_signal(signal.SIGHUP)


class Nginx(Server):
    """nginx as proxy or as backend; one worker, access log off."""

    def __init__(self, locations, core=SERVER_CORE, name="nginx", single=False, **options):
        super().__init__(name, core, **options)
        self.locations, self.single = locations, single

    def command(self):
        process = "master_process off;" if self.single else "worker_processes 1;"
        (self.folder / "nginx.conf").write_text(f"""
user root; daemon off; {process} pid {self.folder}/pid; error_log {self.folder}/error.log; worker_rlimit_nofile 65536;
events {{ worker_connections 20000; }}
http {{
  access_log off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000; keepalive_timeout 300s;
  client_max_body_size 100m; client_body_buffer_size 64k; default_type text/plain;
  variables_hash_max_size 4096; server_names_hash_max_size 4096;
  {self.locations.replace("$PORT", str(self.port)).replace("$FOLDER", str(self.folder))}
}}""")
        return ["nginx", "-p", str(self.folder), "-c", str(self.folder / "nginx.conf"), "-e", str(self.folder / "error.log")]

    def reload(self):
        self.process.send_signal(signal.SIGHUP)


class Haproxy(Server):
    """HAProxy as proxy, one thread."""

    def __init__(self, rules, port, name="haproxy", **options):
        super().__init__(name, SERVER_CORE, **options)
        self.rules, self.backend = rules, port

    def command(self):
        (self.folder / "haproxy.cfg").write_text(f"""
global
  nbthread 1
  maxconn 2000
defaults
  mode http
  timeout connect 5s
  timeout client 60s
  timeout server 60s
  option forwardfor
frontend bench
  bind 127.0.0.1:{self.port}
  {self.rules}
  default_backend backend
backend backend
  http-reuse always
  server one 127.0.0.1:{self.backend}
""")
        return ["haproxy", "-f", str(self.folder / "haproxy.cfg")]


class Varnish(Server):
    """Varnish, its cache in memory."""

    def __init__(self, port, name="varnish", **options):
        super().__init__(name, SERVER_CORE, **options)
        self.backend = port

    def command(self):
        return ["varnishd", "-F", "-j", "none", "-n", str(self.folder / "varnish"), "-a", f"127.0.0.1:{self.port}",
                "-b", f"127.0.0.1:{self.backend}", "-t", "3600", "-s", "malloc,64m", "-p", "thread_pools=1"]


def backend():
    """Answers /1k and /100k from files, and anything POSTed with ok; at every address of this machine."""
    server = Nginx("""server { listen $PORT backlog=4096 reuseport; root $FOLDER/www;
      location /post { return 200 ok; } location / { try_files $uri /1k; } }""", core=LOAD_CORE, name="backend")
    (server.folder / "www").mkdir()
    for name, size in (("1k", 1 << 10), ("100k", 100 << 10)):
        (server.folder / "www" / name).write_text("x" * size)
    return server


def addresses(count):
    """So many addresses of this machine, the usual one first."""
    return [f"127.0.{n // 250}.{n % 250 + 1}" for n in range(count)]


def proxy_locations(port, extra="", more="", hosts=1):
    """proxy_pass with keep-alive and the same fields added that the gateway adds; `more` for every location."""
    listed = " ".join(f"server {address}:{port};" for address in addresses(hosts))
    return f"""
  upstream backend {{ {listed} keepalive 256; keepalive_requests 1000000000; }}
  server {{ listen 127.0.0.1:$PORT backlog=4096 reuseport;
    proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header Via "1.1 nginx";
    proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme;
    proxy_set_header X-Forwarded-Host $host; proxy_set_header X-Request-Id $request_id; add_header Via "1.1 nginx"; {more}
    location / {{ proxy_pass http://backend; }}
    {extra}
  }}"""
