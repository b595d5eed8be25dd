#!/usr/bin/env python3
"""Echo servers side by side: server CPU per round trip, in interleaved rounds.

Each sample starts a fresh server on one CPU and echo_load on another. Between the warm-up and the end of
the measured phase the server is idle at both ends, so its CPU (all threads, /proc/PID/task/*/schedstat)
divided by the round trips counted is exact. A round takes one sample of every server; the ratio is to
the C epoll server of the same round.
"""
import argparse
import glob
import json
import os
import resource
import select
import signal
import statistics
import subprocess
import sys
import tempfile
import time

BASELINE = "epoll"
SERVERS = {
    "epoll": "epoll-LT (C)",
    "weft": "weft::shim",
    "plain": "plain calls, patched",
    "threads": "thread/connection",
}
START_LIMIT_S = 10
NOISE_LIMIT = 0.12  # share of either CPU used by others above which a sample is taken again
MOST_ATTEMPTS = 3
LEAST_CALLS = 0.005  # system calls per round trip below which a call is not listed
# Counted by name; what else a server calls shows as "other". perf takes about 36 ms to end each of them,
# which is why they are not all there.
CALLS = """accept accept4 clock_gettime clock_nanosleep close epoll_ctl epoll_pwait epoll_pwait2 epoll_wait
fcntl futex getpid getsockopt gettid io_uring_enter ioctl madvise mmap mprotect munmap nanosleep poll ppoll
preadv2 pselect6 pwritev2 read readv recvfrom recvmsg rt_sigprocmask sched_yield select sendmsg sendto
setsockopt timerfd_settime write writev""".split()
PERF_END_S = 30
TICK_NS = 1e9 / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A sample that did not come about; the message says why."""


def read_until(end, pipe, seconds, who):
    """What an unbuffered pipe brings up to `end`, or Failed after the time given."""
    line = b""
    until = time.monotonic() + seconds
    while not line.endswith(end):
        if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
            raise Failed(f"{who}: no answer within {seconds:g} s")
        part = os.read(pipe.fileno(), 4096)
        if not part:
            raise Failed(f"{who}: ended early")
        line += part
    return line.decode()


def descriptors_for(conns):
    """Open files that one process may need: perf and the servers have some besides the connections."""
    return conns + 4096


class Process:
    """A child pinned to one CPU, ended with the block."""

    def __init__(self, name, command, cpu, descriptors):
        def prepare():
            os.sched_setaffinity(0, {cpu})
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

        self.name = name
        self.errors = tempfile.TemporaryFile()
        try:
            self.child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0,
                                          stderr=self.errors, preexec_fn=prepare)
        except BaseException:
            self.errors.close()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait()
        self.child.stdin.close()
        self.child.stdout.close()
        self.errors.close()

    def said(self):
        """The last line of its standard error, to be appended to a message."""
        self.errors.seek(0)
        lines = self.errors.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def line(self, seconds):
        try:
            return read_until(b"\n", self.child.stdout, seconds, self.name)
        except Failed as failed:
            raise Failed(f"{failed}{self.said()}") from None

    def cpu_ns(self):
        total = 0
        for path in glob.glob(f"/proc/{self.child.pid}/task/*/schedstat"):
            try:
                with open(path) as stat:
                    total += int(stat.read().split()[0])
            except (FileNotFoundError, ProcessLookupError):
                continue  # a thread that ended between the listing and the reading
        if total == 0:
            raise Failed(f"{self.name}: ended early")
        return total


def busy_ns(cpu):
    """What one CPU has run and what the host took from it, in ns, to a clock tick."""
    with open("/proc/stat") as stat:
        for line in stat:
            fields = line.split()
            if fields[0] == f"cpu{cpu}":
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[1:9])
                return (user + nice + system + irq + softirq + steal) * TICK_NS
    raise Failed(f"CPU {cpu} is not in /proc/stat")


class Perf:
    """Counts the system calls of a process, threads to come included, between start() and stop()."""

    def __init__(self, pid, folder):
        self.report = os.path.join(folder, "report")
        control = os.path.join(folder, "control")
        answers = os.path.join(folder, "answers")
        os.mkfifo(control)
        os.mkfifo(answers)
        # Opened both ways, so that opening waits for nobody and a perf that dies is noticed by time-out.
        self.control = os.open(control, os.O_RDWR)
        self.answers = open(answers, "r+b", buffering=0)
        self.errors = tempfile.TemporaryFile()
        self.child = subprocess.Popen(
            ["perf", "stat", "-x,", "-o", self.report, "-D", "-1", "--control", f"fifo:{control},{answers}",
             "-e", ",".join(f"syscalls:sys_enter_{call}" for call in CALLS) + ",raw_syscalls:sys_enter",
             "-e", "raw_syscalls:sys_exit", "--filter", "ret==-11", "-p", str(pid)],
            stderr=self.errors)

    def tell(self, command):
        """Sends one command and waits until perf has obeyed it."""
        os.write(self.control, command + b"\n")
        try:
            read_until(b"ack\n\0", self.answers, START_LIMIT_S, "perf")
        except Failed as failed:
            self.errors.seek(0)
            said = self.errors.read().decode(errors="replace").strip()
            raise Failed(f"{failed}: {said or 'no message'}") from None

    def attach(self):
        """Waits until perf has opened its events; threads that start later inherit them."""
        self.tell(b"ping")

    def start(self):
        self.tell(b"enable")

    def stop(self):
        self.tell(b"disable")
        self.child.send_signal(signal.SIGINT)
        try:
            self.child.wait(PERF_END_S)
        except subprocess.TimeoutExpired:
            raise Failed(f"perf: did not end within {PERF_END_S} s") from None
        calls = {}
        with open(self.report) as report:
            for line in report:
                fields = line.strip().split(",")
                if len(fields) < 3 or not fields[0].isdigit():
                    continue
                event = fields[2]
                name = {"raw_syscalls:sys_enter": "total", "raw_syscalls:sys_exit": "EAGAIN"}.get(
                    event, event.replace("syscalls:sys_enter_", ""))
                calls[name] = int(fields[0])
        if not calls.get("total"):
            raise Failed("perf counted nothing; it needs root and the syscalls tracepoints")
        return calls

    def close(self):
        if self.child.poll() is None:
            self.child.kill()
            self.child.wait()
        os.close(self.control)
        self.answers.close()
        self.errors.close()


def sample(server, conns, options, perf_folder=None):
    """One run of one server: what echo_load says, with the server's CPU and the noise of both CPUs."""
    with Process(f"echo_{server}", [os.path.join(options.bin, f"echo_{server}")], options.server_cpu,
                 descriptors_for(conns)) as running:
        port = running.line(START_LIMIT_S).strip()
        perf = Perf(running.child.pid, perf_folder) if perf_folder else None
        try:
            if perf:
                perf.attach()
            return measured_phase(running, port, conns, options, perf)
        except Failed as failed:
            if running.child.poll() is not None:
                raise Failed(f"echo_{server}: ended with status {running.child.returncode}"
                             f"{running.said()} ({failed})") from None
            raise
        finally:
            if perf:
                perf.close()


def measured_phase(running, port, conns, options, perf):
    """Loads a running server; both are idle whenever a counter is read."""
    command = [os.path.join(options.bin, "echo_load"), "--port", port, "--conns", str(conns),
               "--seconds", str(options.seconds), "--warmup", str(options.warmup), "--wait"]
    with Process("echo_load", command, options.load_cpu, descriptors_for(conns)) as load:
        load.line(START_LIMIT_S + options.warmup)
        if perf:
            perf.start()
        busy = busy_ns(options.server_cpu), busy_ns(options.load_cpu)
        cpu = running.cpu_ns()
        load.child.stdin.write(b"go\n")
        result = json.loads(load.line(START_LIMIT_S + options.seconds))
        cpu = running.cpu_ns() - cpu
        busy = busy_ns(options.server_cpu) - busy[0], busy_ns(options.load_cpu) - busy[1]
        if perf:
            result["calls"] = perf.stop()
    wall = result["seconds"] * 1e9
    result["cpu_ns"] = cpu / result["rt"]
    result["noise"] = max((busy[0] - cpu) / wall, (busy[1] - result["load_cpu_ns"]) / wall)
    return result


def quiet_sample(server, conns, options):
    """The first sample below the noise limit, or the least noisy one of all attempts."""
    best = None
    for _ in range(MOST_ATTEMPTS):
        taken = sample(server, conns, options)
        if best is None or taken["noise"] < best["noise"]:
            best = taken
        if best["noise"] <= NOISE_LIMIT:
            break
    return best


def spread(values, form):
    return f"{statistics.median(values):{form}} ({min(values):{form}}-{max(values):{form}})"


def measure(conns, options):
    """Prints the table of one number of connections. True when every sample came about."""
    taken = {server: {} for server in options.servers}
    failures = []
    for turn in range(options.rounds):
        # The order moves on by one each round: no server always follows the same one.
        shift = turn % len(options.servers)
        for server in options.servers[shift:] + options.servers[:shift]:
            try:
                taken[server][turn] = quiet_sample(server, conns, options)
            except Failed as failed:
                failures.append(f"{server}, round {turn + 1}: {failed}")

    print(f"\n{conns} connection{'s' if conns != 1 else ''}, "
          f"{options.rounds} rounds of {options.seconds:g} s")
    print(f"{'server':22} {'server CPU ns/RT':26} {'ratio to epoll, paired':24} {'rt/s':>8} "
          f"{'p50 us':>8} {'p99 us':>8}  noisy")
    for server in options.servers:
        rows = taken[server]
        if not rows:
            print(f"{SERVERS[server]:22} failed")
            continue
        ratios = [row["cpu_ns"] / taken[BASELINE][turn]["cpu_ns"] for turn, row in rows.items()
                  if turn in taken[BASELINE]]
        middle = {key: statistics.median(row[key] for row in rows.values())
                  for key in ("rt_per_s", "p50_us", "p99_us")}
        noisy = sum(row["noise"] > NOISE_LIMIT for row in rows.values())
        print(f"{SERVERS[server]:22} {spread([row['cpu_ns'] for row in rows.values()], '.0f'):26} "
              f"{spread(ratios, '.2f') if ratios else '-':24} {middle['rt_per_s']:8.0f} "
              f"{middle['p50_us']:8.1f} {middle['p99_us']:8.1f}  {noisy} of {len(rows)}")
    for failure in failures:
        print(f"FAILED {failure}")
    sys.stdout.flush()
    return not failures


def count_calls(conns, options):
    """Prints the system calls per round trip of each server. True when every run came about."""
    print(f"\n{conns} connection{'s' if conns != 1 else ''}: system calls of the server per round trip")
    complete = True
    for server in options.servers:
        try:
            with tempfile.TemporaryDirectory() as folder:
                result = sample(server, conns, options, folder)
        except Failed as failed:
            print(f"{SERVERS[server]:22} FAILED {failed}")
            complete = False
            continue
        calls = {name: count / result["rt"] for name, count in result["calls"].items()}
        total, again = calls.pop("total"), calls.pop("EAGAIN", 0)
        calls["other"] = total - sum(calls.values())
        listed = [f"{name} {count:.3f}" for name, count in sorted(calls.items(), key=lambda item: -item[1])
                  if count >= LEAST_CALLS]
        if again >= LEAST_CALLS:
            listed.append(f"(EAGAIN {again:.3f})")
        print(f"{SERVERS[server]:22} {total:6.3f}  {', '.join(listed)}")
        sys.stdout.flush()
    return complete


def whole_numbers(text):
    numbers = [int(part) for part in text.split(",")]
    if not all(1 <= number <= 25000 for number in numbers):
        raise argparse.ArgumentTypeError("connections are from 1 to 25000")
    return numbers


def names(text):
    chosen = text.split(",")
    for name in chosen:
        if name not in SERVERS:
            raise argparse.ArgumentTypeError(f"no server {name!r}; there are {', '.join(SERVERS)}")
    return [BASELINE] + [name for name in SERVERS if name in chosen and name != BASELINE]


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/test/bench", help="where the built programs are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="measured phase of one sample")
    parser.add_argument("--warmup", type=float, default=0.2, help="seconds before it")
    parser.add_argument("--servers", type=names, default=list(SERVERS), help=f"of {','.join(SERVERS)}; "
                        "the baseline is always there")
    parser.add_argument("--conns", type=whole_numbers, default=[1, 50, 1000], metavar="N,...")
    parser.add_argument("--server-cpu", type=int, default=1)
    parser.add_argument("--load-cpu", type=int, default=0)
    parser.add_argument("--syscalls", action="store_true",
                        help="count system calls instead of time: needs perf and root")
    options = parser.parse_args()
    if options.rounds < 1 or not 0.01 <= options.seconds <= 600 or not 0 <= options.warmup <= 600:
        parser.error("rounds are 1 or more, seconds from 0.01 to 600, warm-up from 0 to 600")
    for program in ["load"] + options.servers:
        if not os.access(os.path.join(options.bin, f"echo_{program}"), os.X_OK):
            parser.error(f"{options.bin}/echo_{program} is missing: build with -Dbench=true, name the folder "
                         "with --bin, or choose others with --servers")
    for cpu in options.server_cpu, options.load_cpu:
        if cpu not in os.sched_getaffinity(0):
            parser.error(f"CPU {cpu} is not ours to use; see --server-cpu and --load-cpu")
    needed = descriptors_for(max(options.conns))
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < needed:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (needed, max(hard, needed)))
        except (ValueError, PermissionError):
            parser.error(f"needs {needed} open files, the limit is {hard}; raise it, or lower --conns")
    os.sched_setaffinity(0, {options.load_cpu})
    task = count_calls if options.syscalls else measure
    return 0 if all([task(conns, options) for conns in options.conns]) else 1


if __name__ == "__main__":
    sys.exit(main())
