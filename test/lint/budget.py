"""No file outgrows its budget: 200 lines a public header, 400 a source. Such a file is two ideas: split it.

budget_allow.txt lists the exceptions, each with the lines it may have and the reason. An entry that is no
longer needed is a failure too.
"""
import re
import sys

import tree

HEADER, SOURCE = 200, 400
ALLOWED = "test/lint/budget_allow.txt"


def read_allowed(root):
    allowed, complaints = {}, []
    path = root / ALLOWED
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines() if path.exists() else [], 1):
        if not line.strip() or line.startswith("#"):
            continue
        entry = re.fullmatch(r"(\S+)\s+(\d+)\s+(\S.*)", line)
        if entry:
            allowed[entry.group(1)] = int(entry.group(2))
        else:
            complaints.append(f"{ALLOWED}:{number}: wants a path, a number of lines and a reason")
    return allowed, complaints


def check(root):
    allowed, complaints = read_allowed(root)
    for path in tree.files(root, "lib", "shim", "demos", "test"):
        name = path.relative_to(root).as_posix()
        if path.suffix not in tree.CODE | {".def", ".py"}:
            continue
        lines = path.read_text(encoding="utf-8").count("\n")
        usual = HEADER if tree.is_public(root, path) else SOURCE
        budget = allowed.pop(name, None)
        if budget is None and lines > usual:
            complaints.append(f"{name}: {lines} lines, {usual} are its budget: split it by idea")
        elif budget is not None and lines <= usual:
            complaints.append(f"{ALLOWED}: {name} is within its budget again: delete its entry")
        elif budget is not None and lines > budget:
            complaints.append(f"{name}: {lines} lines, {budget} are allowed to it")
    return complaints + [f"{ALLOWED}: there is no {name}" for name in allowed]


def long(lines):
    return "\n" * lines


GOOD = {
    "lib/include/weft/a.hpp": long(200),
    "lib/src/io/b.cpp": long(400),
    "lib/src/io/private.hpp": long(400),
    "lib/src/io/c.cpp": long(450),
    "README.md": long(900),
    ALLOWED: "# why\n\nlib/src/io/c.cpp 450 one table\n",
}
CASES = [
    ("a tree in order", GOOD, None),
    ("a long header", {**GOOD, "shim/include/weft/x.hpp": long(201)}, "201 lines, 200"),
    ("a long source", {**GOOD, "test/io/x_test.cpp": long(401)}, "401 lines, 400"),
    ("a long list of calls", {**GOOD, "shim/calls.def": long(401)}, "401 lines, 400"),
    ("past what was allowed", {**GOOD, "lib/src/io/c.cpp": long(451)}, "451 lines, 450"),
    ("an entry no longer needed", {**GOOD, "lib/src/io/c.cpp": long(400)}, "delete its entry"),
    ("an entry without its file", {"lib/a.cpp": "", ALLOWED: "lib/d.cpp 500 gone\n"}, "there is no lib/d"),
    ("an entry without a reason", {"lib/a.cpp": "", ALLOWED: "lib/a.cpp 500\n"}, "and a reason"),
]

if __name__ == "__main__":
    sys.exit(tree.main(check, CASES))
