#!/usr/bin/env python3
"""weft beside its peers: one measurement, the same program in each, in interleaved rounds.

A round runs each peer once per measurement; a sample is a process of its own that measures once. The ratio is
to weft's sample of the same round. All but `wake` run on one CPU, which is also all that goroutines get.
"""
import argparse
import os
import shutil
import signal
import statistics
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
PYTHON = "/usr/bin/python3"  # the one that Debian's gevent belongs to
BASELINE = "weft"
PEERS = {
    "weft": "weft",
    "boost": "Boost.Fiber",
    "go": "Go",
    "gevent": "gevent",
    "eventfd": "two threads, eventfd",
    "condvar": "two threads, condvar",
}
THREADS = ("eventfd", "condvar")  # the baselines of `wake`, without any tasks
# name: (title, unit). What each of them does is in peers/peer.hpp.
MEASUREMENTS = {
    "yield_2": ("yield of 2 tasks", "CPU ns per switch"),
    "yield_100": ("yield, ring of 100", "CPU ns per switch"),
    "yield_1000": ("yield, ring of 1000", "CPU ns per switch"),
    "yield_10000": ("yield, ring of 10000", "CPU ns per switch"),
    "spawn": ("spawn, run, join, batches of 1000", "CPU ns per task"),
    "mutex": ("mutex lock and unlock, uncontended", "CPU ns per pair"),
    "queue_128": ("item through a queue of 128", "CPU ns per item"),
    "queue_1": ("item through a queue of 1", "CPU ns per item"),
    "rendezvous": ("item through a rendezvous channel", "CPU ns per item"),
    "sleeps": ("1 000 000 sleeps of 0-1000 ms", "wall s"),
    "wake": ("wake another thread's task and back", "wall ns per round trip"),
}
NOT_PINNED = {"wake"}
REMARKS = {
    ("sleeps", "gevent"): "100 000 of them",
    ("queue_128", "boost"): "holds 127",
}
NOISE_LIMIT = 0.12  # of a CPU, used by others, above which a sample is taken again
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A sample that did not come about; the message says why."""


def busy_s():
    """What all CPUs have run and what the host took from them, in s, to a clock tick."""
    with open("/proc/stat") as stat:
        user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) * TICK_S


def run(command, cpu, limit):
    """Its only line of output, its CPU time and how long it took, or Failed. `cpu`: None for any."""
    def prepare():
        if cpu is not None:
            os.sched_setaffinity(0, {cpu})

    before = os.times()
    started = time.monotonic()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=limit,
                              preexec_fn=prepare, text=True)
    except subprocess.TimeoutExpired:
        raise Failed(f"not done within {limit:g} s") from None
    except OSError as error:
        raise Failed(f"cannot be started: {error.strerror}") from None
    took = time.monotonic() - started
    after = os.times()
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Failed((said[-1] if said else "no message") + f" (status {done.returncode})")
    own = after.children_user + after.children_system - before.children_user - before.children_system
    return done.stdout.strip(), own, took


class Peer:
    """One row's program: how to run it, or why not."""

    def __init__(self, name, command, absent=None):
        self.name = name
        self.command = command
        self.absent = absent
        self.version = ""
        self.knows = set()
        if absent:
            return
        try:
            self.version = run(command + ["version"], None, 60)[0]
            self.knows = set(run(command + ["names"], None, 60)[0].split())
        except Failed as failed:
            self.absent = f"does not run: {failed}"

    def program_of(self, measurement):
        """What its program calls the measurement; None if it has no such thing."""
        if self.name in THREADS:
            wanted = {"eventfd": "wake", "condvar": "wake_condvar"}[self.name]
            return wanted if measurement == "wake" and wanted in self.knows else None
        return measurement if measurement in self.knows else None


def built(binaries, program, package=None):
    """Arguments for Peer(): a program that Meson builds, if `package` is there."""
    path = os.path.join(binaries, program)
    if os.access(path, os.X_OK):
        return [path], None
    return [], f"not installed ({package})" if package else "not built"


def built_go(binaries):
    go = shutil.which("go")
    if not go:
        return [], "not installed (golang-go)"
    target = os.path.join(binaries, "peer_go")
    source = os.path.join(HERE, "peers", "go", "main.go")
    if not os.path.exists(target) or os.path.getmtime(target) < os.path.getmtime(source):
        environment = dict(os.environ, GOCACHE=os.path.join(binaries, "go_cache"), GOFLAGS="", GO111MODULE="off",
                           CGO_ENABLED="0")
        done = subprocess.run([go, "build", "-o", target, source], env=environment, text=True,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            return [], f"not built: {done.stdout.strip()}"
    return [target], None


def gevent_command():
    try:
        run([PYTHON, "-c", "import gevent"], None, 60)
    except Failed:
        return [], "not installed (python3-gevent)"
    return [PYTHON, os.path.join(HERE, "peers", "gevent_peer.py")], None


def find_peers(binaries):
    baselines = built(binaries, "peer_threads")
    found = {
        "weft": built(binaries, "peer_weft"),
        "boost": built(binaries, "peer_boost_fiber", "libboost-fiber-dev, at the time of building"),
        "go": built_go(binaries),
        "gevent": gevent_command(),
        "eventfd": baselines,
        "condvar": baselines,
    }
    return [Peer(name, *found[name]) for name in PEERS]


def quiet_sample(peer, measurement, options):
    """(value, share of a CPU that others used) of the first quiet sample, or of the least disturbed one."""
    best = None
    for _ in range(options.attempts):
        busy = busy_s()
        text, own, took = run(peer.command + [peer.program_of(measurement)],
                              None if measurement in NOT_PINNED else options.cpu, options.limit)
        noise = max(0.0, busy_s() - busy - own - 2 * TICK_S) / took
        try:
            value = float(text)
        except ValueError:
            raise Failed(f"printed {text!r} instead of a number") from None
        if best is None or noise < best[1]:
            best = value, noise
        if noise <= NOISE_LIMIT:
            break
    return best


def shortened(value):
    """Three digits or so, whatever the size."""
    return f"{value:.{2 if value < 10 else 1 if value < 1000 else 0}f}"


def spread(values):
    return f"{shortened(statistics.median(values))} ({shortened(min(values))}-{shortened(max(values))})"


def print_group(measurement, peers, samples, failures, rounds):
    title, unit = MEASUREMENTS[measurement]
    print(f"\n{title + ', ' + unit:58} {'median (min-max)':32} {'/ weft, paired':24} noisy")
    base = samples.get(BASELINE, {})
    for peer in peers:
        if peer.name in THREADS and measurement != "wake":
            continue
        label = PEERS[peer.name]
        if (measurement, peer.name) in REMARKS:
            label += f" ({REMARKS[measurement, peer.name]})"
        taken = samples.get(peer.name, {})
        if peer.absent:
            print(f"    {label:54} {peer.absent}")
        elif peer.program_of(measurement) is None:
            print(f"    {label:54} has no such thing")
        elif not taken:
            print(f"    {label:54} failed: {failures[peer.name]}")
        else:
            ratios = [value / base[turn][0] for turn, (value, _) in taken.items() if turn in base]
            noisy = sum(noise > NOISE_LIMIT for _, noise in taken.values())
            failed = f", {rounds - len(taken)} failed: {failures[peer.name]}" if len(taken) < rounds else ""
            print(f"    {label:54} {spread([value for value, _ in taken.values()]):32} "
                  f"{spread(ratios) if ratios else '-':24} {noisy} of {len(taken)}{failed}")
    sys.stdout.flush()


def measure(measurements, peers, options):
    """Takes all samples and prints a table. True when every sample of an installed peer came about."""
    samples = {m: {peer.name: {} for peer in peers} for m in measurements}
    failures = {m: {} for m in measurements}
    try:
        for turn in range(options.rounds):
            # The order moves on by one each round: no peer always follows the same one.
            shift = turn % len(peers)
            for m in measurements:
                for peer in peers[shift:] + peers[:shift]:
                    if peer.absent or peer.program_of(m) is None or peer.name in failures[m]:
                        continue  # what has failed once is not waited for again
                    try:
                        samples[m][peer.name][turn] = quiet_sample(peer, m, options)
                    except Failed as failed:
                        failures[m][peer.name] = str(failed)
    except KeyboardInterrupt:
        print("interrupted: what there is")
    for m in measurements:
        print_group(m, peers, samples[m], failures[m], options.rounds)
    print(f"\n{options.rounds} rounds on CPU {options.cpu}, `wake` on any; samples during which others used more "
          f"than {NOISE_LIMIT:.0%} of a CPU were taken again up to {options.attempts - 1} times and are counted as noisy")
    return not any(failures.values())


def names_of(known, what):
    def names(text):
        chosen = text.split(",")
        for name in chosen:
            if name not in known:
                raise argparse.ArgumentTypeError(f"no {what} {name!r}; there are {', '.join(known)}")
        return [name for name in known if name in chosen]

    return names


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="build/test/bench", help="where the built programs are")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", type=names_of(MEASUREMENTS, "measurement"), default=list(MEASUREMENTS),
                        metavar="NAME,...", help=f"measurements: {', '.join(MEASUREMENTS)}")
    parser.add_argument("--peers", type=names_of(PEERS, "peer"), default=list(PEERS), metavar="NAME,...",
                        help=f"{', '.join(PEERS)}; weft is always there")
    parser.add_argument("--cpu", type=int, help="the CPU to measure on (the last one allowed)")
    parser.add_argument("--limit", type=float, default=120, help="seconds that one sample may take")
    parser.add_argument("--attempts", type=int, default=3, help="samples that may be taken for a quiet one")
    options = parser.parse_args()
    allowed = os.sched_getaffinity(0)
    if options.cpu is None:
        options.cpu = max(allowed)
    if not 1 <= options.rounds <= 1000:
        parser.error("--rounds is from 1 to 1000")
    if not 1 <= options.attempts <= 100:
        parser.error("--attempts is from 1 to 100")
    if options.cpu not in allowed:
        parser.error(f"CPU {options.cpu} is not ours to use; there are {', '.join(map(str, sorted(allowed)))}")
    if not 1 <= options.limit <= 3600:
        parser.error("--limit is from 1 to 3600 seconds")
    if not os.access(os.path.join(options.bin, "peer_weft"), os.X_OK):
        parser.error(f"{options.bin}/peer_weft is missing: build with -Dbench=true -Dbuildtype=release, or name the "
                     "folder with --bin")
    options.bin = os.path.abspath(options.bin)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # a limit from outside: print what there is
    peers = [peer for peer in find_peers(options.bin) if peer.name == BASELINE or peer.name in options.peers]
    for peer in peers:
        if peer.name not in THREADS:
            print(f"{PEERS[peer.name]:12} {peer.absent or peer.version}")
    sys.stdout.flush()
    return 0 if measure(options.only, peers, options) else 1


if __name__ == "__main__":
    sys.exit(main())
