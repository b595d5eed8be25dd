"""What gdb shows of fibers: each test asks it one question about the program in debuggee.cpp.

    gdb_test.py backtrace DEBUGGEE

A machine without gdb, or one that forbids tracing, skips (status 77).
"""
import os
import re
import shutil
import subprocess
import sys

SKIPPED = 77


def gdb(program, *commands):
    """What gdb says to each of `commands`, at the breakpoint in the fiber "digger"."""
    marked = [word for command in commands for word in ("-ex", f"echo ##\\n", "-ex", command)]
    # A leak check at the end of a traced process cannot work.
    environment = {**os.environ, "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":detect_leaks=0"}
    done = subprocess.run(
        ["gdb", "-nx", "-batch", "-ex", "set debuginfod enabled off", "-ex", "set width 0",
         "-ex", "break stop_here", "-ex", "run", *marked, program],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True, timeout=120,
        env=environment)
    if re.search(r"ptrace: Operation not permitted|Cannot (trace|create) process|Could not trace", done.stdout):
        print(done.stdout)
        sys.exit(SKIPPED)
    return [answer.strip("\n") for answer in done.stdout.split("##\n")[1:]] or sys.exit(done.stdout)


def functions(backtrace):
    """The functions of a backtrace's frames, innermost first, and the lines that are no frames."""
    frames, noise = [], []
    for line in backtrace.splitlines():
        frame = re.match(r"#\d+ +(?:0x[0-9a-f]+ in )?(.+?) \(", line)
        (frames if frame else noise).append(frame.group(1) if frame else line)
    return frames, noise


def backtrace(program):
    frames, noise = functions(gdb(program, "bt")[0])
    assert frames[:6] == ["stop_here"] + 5 * ["go_down"], frames
    assert frames[-2].endswith("fiber_main") and frames[-1].endswith("::enter"), frames
    assert not noise, noise


if __name__ == "__main__":
    if not shutil.which("gdb"):
        sys.exit(SKIPPED)
    {"backtrace": backtrace}[sys.argv[1]](*sys.argv[2:])
