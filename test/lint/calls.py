#!/usr/bin/env python3
"""calls.def and the table of shim/README.md name the same calls, in the same areas.

usage: calls.py ROOT | calls.py --self-test
"""
import pathlib
import re
import sys


def calls_of(text):
    return [(m[1], m[2]) for m in re.finditer(r"^WEFT_(?:CALL|KEEP)\((\w+), [^,]+, (\w+), \(", text, re.M)]


def rows_of(text):
    table = text[text.find("| area | call |"):]
    return [(m[1], m[2]) for m in re.finditer(r"^\| (\w+) \| (\w+) \|", table, re.M) if m[1] != "area"]


def problems(calls, rows):
    found = [f"calls.def names {call} in area {area} twice" for area, call in calls if calls.count((area, call)) > 1]
    found += [f"README.md has no row for {call} ({area})" for area, call in calls if (area, call) not in rows]
    found += [f"README.md has a row for {call} ({area}), calls.def has none" for area, call in rows
              if (area, call) not in calls]
    return found + ([] if calls else ["calls.def names no call at all"])


def self_test():
    call = calls_of("WEFT_CALL(time, int, nap, (int s), s)\nWEFT_KEEP(fd, void, shut, (int fd), fd)\n")
    assert call == [("time", "nap"), ("fd", "shut")], call
    rows = rows_of("| area | call | x |\n|---|---|---|\n| time | nap | y |\n")
    assert rows == [("time", "nap")], rows
    assert problems(call, rows) == ["README.md has no row for shut (fd)"]
    assert problems(rows, call) == ["README.md has a row for shut (fd), calls.def has none"]
    assert problems([], [])
    assert not problems(call, call)


if len(sys.argv) != 2:
    sys.exit(__doc__)
if sys.argv[1] == "--self-test":
    self_test()
    sys.exit(0)
shim = pathlib.Path(sys.argv[1]) / "shim"
bad = problems(calls_of((shim / "calls.def").read_text()), rows_of((shim / "README.md").read_text()))
print("\n".join(bad) or "calls.def and README.md agree")
sys.exit(1 if bad else 0)
