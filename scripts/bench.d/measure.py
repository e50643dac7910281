"""What a server used while a load ran: instructions where counters exist, CPU time always."""

import dataclasses
import os
import pathlib
import re
import signal
import subprocess


@dataclasses.dataclass
class Cost:
    """Sums over all runs of one server with one workload."""

    requests: int = 0
    errors: int = 0
    seconds: float = 0.0
    cpu: float = 0.0
    user: float = 0.0
    system: float = 0.0
    instructions_user: int = 0
    instructions_kernel: int = 0
    peak_kb: int = 0
    p50: list = dataclasses.field(default_factory=list)
    p99: list = dataclasses.field(default_factory=list)

    def cpu_per_100k(self):
        return self.cpu / max(self.requests, 1) * 100_000

    def instructions(self):
        return (self.instructions_user + self.instructions_kernel) / max(self.requests, 1)

    def figure(self, counters):
        """What ratios are made of."""
        return self.instructions() if counters else self.cpu_per_100k()


def have_counters():
    probe = subprocess.run(["perf", "stat", "-e", "instructions:u", "true"], capture_output=True, text=True)
    return probe.returncode == 0 and "not supported" not in probe.stderr and "not counted" not in probe.stderr


def cpu_seconds(pids):
    """On CPU, in nanoseconds' precision, all threads."""
    total = 0
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def split_seconds(pids):
    """User and system time, in ticks of 10 ms."""
    ticks = os.sysconf("SC_CLK_TCK")
    fields = [pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in pids]
    return sum(int(f[11]) for f in fields) / ticks, sum(int(f[12]) for f in fields) / ticks


def memory_kb(pids, what="VmRSS"):
    total = 0
    for pid in pids:
        found = re.search(what + r":\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text())
        total += int(found.group(1)) if found else 0
    return total


def around(server, cost, load, counters):
    """Runs `load` against `server` and adds what it cost."""
    pids = server.pids()
    perf = None
    if counters:
        events = "instructions:u,instructions:k"
        perf = subprocess.Popen(["perf", "stat", "-x,", "-e", events, "-p", ",".join(map(str, pids))],
                                stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    cpu, (user, system) = cpu_seconds(pids), split_seconds(pids)
    result = load(server.port)
    cost.cpu += cpu_seconds(pids) - cpu
    now_user, now_system = split_seconds(pids)
    cost.user, cost.system = cost.user + now_user - user, cost.system + now_system - system
    if perf:
        perf.send_signal(signal.SIGINT)
        for line in perf.communicate()[1].splitlines():
            value, _, event = line.split(",")[:3]
            if value.isdigit():
                key = "instructions_user" if event.endswith(":u") else "instructions_kernel"
                setattr(cost, key, getattr(cost, key) + int(value))
    cost.requests, cost.errors, cost.seconds = cost.requests + result.requests, cost.errors + result.errors, cost.seconds + result.seconds
    cost.p50.append(result.p50)
    cost.p99.append(result.p99)
    cost.peak_kb = max(cost.peak_kb, memory_kb(pids, "VmHWM"))


def in_turn(compared, load, seconds, counters):
    """What each of these servers costs, A B B A, each warm by then. `load`: seconds → a load."""
    costs = {server: Cost() for server in compared}
    for server in compared:
        load(1)(server.port)  # warm
    for server in [*compared, *reversed(compared)]:
        around(server, costs[server], load(seconds), counters)
    return costs
