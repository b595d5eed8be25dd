"""What gdb shows of fibers: each test asks it one question about the program in debuggee.cpp.

    gdb_test.py QUESTION DEBUGGEE WEFT.PY

A machine without gdb, or one that forbids tracing, skips (status 77).
"""
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77


def gdb(*arguments, ask):
    """What gdb says to each command of `ask`, after those in `arguments`."""
    asked = [word for command in ask for word in ("-ex", "echo ##\\n", "-ex", command)]
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "set width 0", *arguments, *asked],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=120,
        # A leak check at the end of a traced process cannot work.
        env={**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"})
    if re.search("ptrace: Operation not permitted|Cannot create process|Could not trace", done.stdout):
        print(done.stdout)
        sys.exit(SKIPPED)
    before, *answers = done.stdout.split("##\n")
    assert len(answers) == len(ask), done.stdout
    assert "Python Exception" not in done.stdout, done.stdout
    return answers


def stopped(program, *ask):
    """At the breakpoint in the fiber "digger"."""
    return gdb(program, "-ex", "break stop_here", "-ex", "run", ask=ask)


def functions(backtrace):
    """The functions of a backtrace's frames, innermost first, which are numbered and nothing stands between them."""
    frames = []
    for line in backtrace.splitlines():
        frame = re.match(r"#(\d+) +(?:0x[0-9a-f]+ in )?(.+?) \(", line)
        assert frame and int(frame.group(1)) == len(frames), backtrace
        frames.append(frame.group(2))
    return frames


def check_ends_at_entry(frames):
    assert frames[-2].endswith("fiber_main") and frames[-1].endswith("::enter"), frames


def check_suspended(fibers, backtrace_of):
    """`fibers` is what `weft fibers` said."""
    rows = {row[3]: row for row in (line.lstrip("* ").split(None, 5) for line in fibers.splitlines())}
    states = {name: row[4] for name, row in rows.items() if name in ("main", "unborn", "halfway", "waiter", "digger")}
    assert states == {"main": "suspended", "unborn": "pending", "halfway": "suspended", "waiter": "parked",
                      "digger": "running"}, fibers
    assert rows["main"][5].startswith("main at ") and rows["halfway"][5].startswith("go_home at "), fibers
    assert rows["waiter"][5].startswith("waits for an event, wait_for_ever at "), fibers
    assert rows["digger"][5].startswith("stop_here at "), fibers
    started = [name for name in states if name != "unborn"]
    answers = backtrace_of([rows[name][2] for name in ["unborn", *started]])
    assert answers[0] == "It has not been started.\n", answers[0]
    frames = dict(zip(started, map(functions, answers[1:])))
    assert frames["main"][-1] == "main", frames
    assert frames["halfway"].count("go_home") == 4 and frames["waiter"].count("wait_for_ever") == 1, frames
    assert frames["digger"][:6] == ["stop_here"] + 5 * ["go_down"], frames
    for name in ("halfway", "waiter", "digger"):
        check_ends_at_entry(frames[name])


def backtrace(program, _):
    frames = functions(stopped(program, "bt")[0])
    assert frames[:6] == ["stop_here"] + 5 * ["go_down"], frames
    check_ends_at_entry(frames)


def process(program, extension):
    source = f"source {extension}"
    fibers = stopped(program, source, "weft fibers")[1]
    check_suspended(fibers, lambda ids: stopped(program, source, *(f"weft bt {number}" for number in ids))[1:])
    # What was selected is still selected, and the process goes on to its end.
    _, fibers, frame, end = stopped(program, source, "weft fibers", "frame", "continue")
    assert frame.startswith("#0  stop_here ") and "exited normally" in end, frame + end


def core(program, extension):
    """The kernel's: gdb's own core files leave out a mapping with lightweight guards."""
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        resource.setrlimit(resource.RLIMIT_CORE, (resource.getrlimit(resource.RLIMIT_CORE)[1],) * 2)
        stopped(program, "signal SIGABRT")
        files = os.listdir(folder)
        if not files:  # the machine's core_pattern sends them elsewhere
            sys.exit(SKIPPED)

        def ask(*what):
            return gdb(program, files[0], "-ex", f"source {extension}", ask=what)

        check_suspended(ask("weft fibers")[0], lambda ids: ask(*(f"weft bt {number}" for number in ids)))


def mistakes(program, extension):
    source = f"source {extension}"
    assert gdb(program, "-ex", source, ask=["weft fibers"]) == ["weft: there is no process and no core file\n"]
    _, usage, unknown, missing = stopped(program, source, "weft bt", "weft bt 4711", "weft bt -1")
    assert usage == missing == "usage: weft bt ID, with an id of `weft fibers`\n", (usage, missing)
    assert unknown == "weft: there is no fiber 4711; see `weft fibers`\n", unknown


if __name__ == "__main__":
    if not shutil.which("gdb"):
        sys.exit(SKIPPED)
    {"backtrace": backtrace, "process": process, "core": core, "mistakes": mistakes}[sys.argv[1]](*sys.argv[2:])
