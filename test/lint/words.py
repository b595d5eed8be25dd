"""Words and characters that have no place in the tree: marks of unfinished work, paths of the machine it
was written on, blanks at the end of a line, tabs in C++.

The forbidden words are written in pieces here, so that this file may hold them.
"""
import re
import sys

import tree

MARKS = ["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"]
MACHINE_PATH = "/" "work"
SIBLING_PATH = "../" "shared"
RULES = [
    (re.compile(r"\b(" + "|".join(MARKS) + r")\b"), "a mark of unfinished work"),
    (re.compile(r"(?<![\w.-])" + MACHINE_PATH + r"(?![\w-])"), "a path of the machine it was written on"),
    (re.compile(re.escape(SIBLING_PATH) + r"(?![\w-])"), "a path outside the tree"),
    (re.compile(r"[ \t\r]$"), "a blank at the end of the line"),
]
TABS = (re.compile(r"\t"), "a tab in C++")


def top_files(root):
    """The project's own files at the top: a log that somebody keeps beside them is not ours to judge."""
    return (path for path in sorted(root.iterdir())
            if path.is_file() and (path.suffix == ".md" or path.name.startswith((".", "meson", "LICENSE"))))


def check(root):
    complaints = []
    for path in [*top_files(root), *tree.files(root, ".ci", "lib", "shim", "demos", "test", "tools")]:
        try:
            text = path.read_bytes().decode()
        except UnicodeDecodeError:
            continue  # a picture or the like
        rules = RULES + [TABS] if path.suffix in tree.CODE | {".def"} else RULES
        name = path.relative_to(root)
        for number, line in enumerate(text.split("\n"), 1):
            complaints += [f"{name}:{number}: {what}" for rule, what in rules if rule.search(line)]
    return complaints


GOOD = {
    "lib/src/io/a.cpp": '// net/work and /worker, homework/, mkstemp("XX' 'XXXX"), hacks\n',
    "README.md": "A table\tof things\n",
    "demos/run": "#!/usr/bin/env bash\n",
    "build/x.cpp": f"// {MARKS[0]}\n",
    "lib/own-build/meson-private/x": "",
    "lib/own-build/x.cpp": f"// {MARKS[0]} \n",
    "log": f"{MARKS[0]} \n",
    ".git/config": "\turl \n",
}
CASES = [("a tree in order", GOOD, None)]
CASES += [(mark, {**GOOD, "lib/src/x.cpp": f"int a;\n// {mark}: b\n"}, "x.cpp:2: a mark") for mark in MARKS]
CASES += [
    ("a machine's path", {**GOOD, "demos/run": f"cd {MACHINE_PATH}/main\n"}, "a path of the machine"),
    ("the bare path", {**GOOD, ".ci/run": f"cd '{MACHINE_PATH}'\n"}, ".ci/run:1: a path of the machine"),
    ("a sibling's path", {**GOOD, "lib/README.md": f"see {SIBLING_PATH}/notes\n"}, "outside the tree"),
    ("a trailing blank", {**GOOD, "meson.build": "project('a')\n\nb \n"}, "meson.build:3: a blank"),
    ("a DOS line end", {**GOOD, "meson.build": "project('a')\r\n"}, "meson.build:1: a blank"),
    ("a tab", {**GOOD, "lib/include/weft/x.hpp": "int\ta;\n"}, "a tab in C++"),
]

if __name__ == "__main__":
    sys.exit(tree.main(check, CASES))
