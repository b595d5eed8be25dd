#!/usr/bin/python3
"""The measurements of peer.hpp with gevent; a tenth of the sleepers and fewer of the rest, since it is slower."""
import random
import sys
import threading
import time

import gevent
from gevent.event import Event
from gevent.lock import Semaphore
from gevent.queue import Channel, Queue

TURNS = 400_000
BATCH = 1000
BATCHES = 30
LOCK_PAIRS = 2_000_000
ITEMS = 100_000
SLEEPERS = 100_000
SLEEPERS_BETWEEN_YIELDS = 1000
LONGEST_SLEEP_MS = 1000
ROUND_TRIPS = 5_000
WARM_UP = 500

cpu_ns = time.process_time_ns


def expect(right, what):
    if not right:
        sys.exit(what)


def ring(members):
    turns = 0
    ended = False
    ns = 0.0

    def lead():
        nonlocal turns, ended, ns
        for _ in range(3):
            turns += 1
            gevent.sleep(0)
        before = turns
        start = cpu_ns()
        laps = TURNS // members
        for _ in range(laps):
            turns += 1
            gevent.sleep(0)
        spent = cpu_ns() - start
        ended = True
        expect(turns - before == laps * members, "a member of the ring has not had its turns")
        ns = spent / (turns - before)

    def follow():
        nonlocal turns
        while not ended:
            turns += 1
            gevent.sleep(0)

    gevent.joinall([gevent.spawn(lead)] + [gevent.spawn(follow) for _ in range(members - 1)], raise_error=True)
    return ns


def measure(times, operations, once):
    once()
    start = cpu_ns()
    for _ in range(times):
        once()
    return (cpu_ns() - start) / (times * operations)


def spawn():
    ran = 0

    def body():
        nonlocal ran
        ran += 1

    ns = measure(BATCHES, BATCH, lambda: gevent.joinall([gevent.spawn(body) for _ in range(BATCH)]))
    expect(ran == (BATCHES + 1) * BATCH, "a greenlet has not run")
    return ns


def mutex():
    lock = Semaphore(1)
    inside = 0

    def once():
        nonlocal inside
        for _ in range(LOCK_PAIRS):
            with lock:
                inside += 1

    ns = measure(1, LOCK_PAIRS, once)
    expect(inside == 2 * LOCK_PAIRS, "a turn was lost")
    return ns


def through(channel):
    def produce():
        for i in range(ITEMS):
            channel.put(i)
        channel.put(StopIteration)

    def consume():
        return sum(channel)

    start = cpu_ns()
    producer, consumer = gevent.spawn(produce), gevent.spawn(consume)
    gevent.joinall([producer, consumer], raise_error=True)
    expect(consumer.value == ITEMS * (ITEMS - 1) // 2, "an item was lost")
    return (cpu_ns() - start) / ITEMS


def sleeps():
    random.seed(1)
    woken = 0

    def sleep(seconds):
        nonlocal woken
        gevent.sleep(seconds)
        woken += 1

    start = time.monotonic()
    sleepers = []
    for i in range(1, SLEEPERS + 1):
        sleepers.append(gevent.spawn(sleep, random.randint(0, LONGEST_SLEEP_MS) / 1000))
        if i % SLEEPERS_BETWEEN_YIELDS == 0:
            gevent.sleep(0)
    gevent.joinall(sleepers, raise_error=True)
    spent = time.monotonic() - start
    expect(woken == SLEEPERS, "a sleeper has not woken")
    return spent


class Doorbell:
    """What another thread may ring: an Event of gevent's own is woken across threads only in passing."""

    def __init__(self):
        self.rung = Event()
        self.watcher = gevent.get_hub().loop.async_()
        self.watcher.start(self.rung.set)
        self.ring = self.watcher.send

    def wait(self):
        self.rung.wait()
        self.rung.clear()


def wake():
    answered = 0
    ns = 0.0
    bells = {}
    both = threading.Barrier(2)

    def answer():
        nonlocal answered
        for _ in range(WARM_UP + ROUND_TRIPS):
            bells["answer"].wait()
            answered += 1
            bells["ask"].ring()

    def ask():
        nonlocal ns
        for i in range(WARM_UP + ROUND_TRIPS):
            if i == WARM_UP:
                start = time.monotonic_ns()
            bells["answer"].ring()
            bells["ask"].wait()
        ns = (time.monotonic_ns() - start) / ROUND_TRIPS

    def run(side):
        bells[side.__name__] = Doorbell()
        both.wait()
        gevent.spawn(side).get()

    # Nothing is patched: these are OS threads, each with a hub of its own.
    threads = [threading.Thread(target=run, args=[side], daemon=True) for side in (answer, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    expect(answered == WARM_UP + ROUND_TRIPS and ns > 0, "a wake-up was lost")
    return ns


MEASUREMENTS = {
    "yield_2": lambda: ring(2),
    "yield_100": lambda: ring(100),
    "yield_1000": lambda: ring(1000),
    "yield_10000": lambda: ring(10_000),
    "spawn": spawn,
    "mutex": mutex,
    "queue_128": lambda: through(Queue(128)),
    "queue_1": lambda: through(Queue(1)),
    "rendezvous": lambda: through(Channel()),
    "sleeps": sleeps,
    "wake": wake,
}


def main():
    name = sys.argv[1] if len(sys.argv) == 2 else ""
    if name == "version":
        print(f"gevent {gevent.__version__}, Python {sys.version.split()[0]}")
    elif name == "names":
        print("\n".join(MEASUREMENTS))
    elif name in MEASUREMENTS:
        print(f"{MEASUREMENTS[name]():.3f}")
    else:
        sys.exit(f"usage: {sys.argv[0]} NAME, which is version, names or one of the names")


if __name__ == "__main__":
    main()
