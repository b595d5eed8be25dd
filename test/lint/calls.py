"""shim/calls.def is the one list of calls: shim/README.md has a row for each, in the same order, none of
which says "keep" of a call that parks, and the test in test/shim that a row names names the call."""
import re
import sys

import tree

ROW = re.compile(r"^WEFT_(CALL|KEEP|OWN)\((\w+), [^,]+, (\w+),", re.MULTILINE)
LINE = re.compile(r"^WEFT_(?:CALL|KEEP|OWN)\(", re.MULTILINE)
TABLE = re.compile(r"^\| (\w+) \| (\w+) \| ([^|\n]*) \|(?:[^|\n]*\|)? ?(\w*) \|$", re.MULTILINE)


def check(root):
    text = (root / "shim/calls.def").read_text(encoding="utf-8")
    rows = ROW.findall(text)
    if len(rows) != len(LINE.findall(text)):
        return ["shim/calls.def: a row that does not read WEFT_CALL(area, result, name, ..."]
    listed = [(area, name) for _, area, name in rows]
    table = [row for row in TABLE.findall((root / "shim/README.md").read_text(encoding="utf-8"))
             if row[:2] != ("area", "call")]
    shown = [row[:2] for row in table]
    complaints = [f"shim/README.md: no row for {area} {name}" for area, name in listed
                  if (area, name) not in shown]
    complaints += [f"shim/README.md: {area} {name} is not in calls.def" for area, name in shown
                   if (area, name) not in listed]
    if not complaints and shown != listed:
        complaints.append("shim/README.md: the rows stand in another order than in calls.def")
    parks = {name: kind == "CALL" for kind, _, name in rows}
    complaints += [f"shim/README.md: {name} parks, and its row says keep" for _, name, what, _ in table
                   if what.startswith("keep") and parks.get(name)]

    words = {}
    for path in tree.code_files(root, "test/shim"):
        text = tree.without_comments(path.read_text(encoding="utf-8"))
        words.setdefault(path.stem.removesuffix("_test"), set()).update(re.findall(r"\w+", text))
    for _, name, _, test in table:
        if test not in words:
            complaints.append(f"shim/README.md: {name} names no test of test/shim: '{test}'")
        elif name not in words[test]:
            complaints.append(f"test/shim/{test}_test.cpp: does not name {name}, which shim/README.md says it tests")
    return complaints


DEF = """// WEFT_CALL(area, result, ...)
WEFT_CALL(fd, int, read, (int fd), fd)
WEFT_KEEP(fd, int, dup, (int fd), fd)
"""
HEAD = "| area | call | in a task | deviates | test |\n|---|---|---|---|---|\n"
READ, DUP = "| fd | read | parks | | fd |\n", "| fd | dup | keep | never | fd |\n"
GOOD = {
    "shim/calls.def": DEF,
    "shim/README.md": HEAD + READ + DUP,
    "test/shim/fd_test.cpp": "TEST(read) { dup(0); }\n",
}
BAD = [
    ("no row", "shim/README.md", HEAD + DUP, "no row for fd read"),
    ("a row of another area", "shim/README.md", HEAD + READ + DUP + "| poll | dup | keep | | fd |\n",
     "not in calls.def"),
    ("another order", "shim/README.md", HEAD + DUP + READ, "another order"),
    ("said to be kept", "shim/README.md", HEAD + "| fd | read | keep | | fd |\n" + DUP, "read parks, and"),
    ("no test", "test/shim/fd_test.cpp", "// dup\nTEST(read) { dup2(0); }\n", "does not name dup"),
    ("a test that is not there", "shim/README.md", HEAD + READ + DUP.replace("| fd |\n", "| fs |\n"), "names no test"),
    ("a row written otherwise", "shim/calls.def", DEF + "WEFT_CALL( fd, int, x, ())\n",
     "a row that does not"),
]
CASES = [("a tree in order", GOOD, None)]
CASES += [(shows, {**GOOD, path: text}, expected) for shows, path, text, expected in BAD]

if __name__ == "__main__":
    sys.exit(tree.main(check, CASES))
