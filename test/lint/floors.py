"""Include direction: a file includes its own floor and the floors below it.

A source's floor is its folder in lib/src; a public header says it in its first comment lines as
"Floor: sync." Whatever lies in shim/ is of the floor shim.
"""
import re
import sys

import tree

RANK = {"base": 0, "context": 1, "fiber": 2, "sched": 3, "hub": 4, "sync": 5, "io": 5, "kit": 6, "shim": 7}


def floor_of(root, path):
    """(floor, None) or (None, complaint)."""
    name = path.relative_to(root)
    if name.parts[:2] == ("lib", "src"):
        floor = name.parts[2] if len(name.parts) > 3 else None
        if floor in RANK and floor != "shim":
            return floor, None
        return None, f"{name}: lies on no floor: its folder under lib/src must be one of {', '.join(RANK)}"
    if name.parts[0] == "shim" and not tree.is_public(root, path):
        return "shim", None
    comment = re.match(r"(?:[ \t]*//[^\n]*\n|[ \t]*\n)*", path.read_text(encoding="utf-8")).group()
    stated = re.search(r"\bFloor:\s*(\w+)\b", comment)
    if not stated:
        return None, f"{name}: states no floor in its first comment lines ('Floor: sync.')"
    if stated.group(1) not in RANK:
        return None, f"{name}: states the unknown floor '{stated.group(1)}' (known: {', '.join(RANK)})"
    if (stated.group(1) == "shim") != (name.parts[0] == "shim"):
        return None, f"{name}: headers of the floor shim, and no others, lie in shim/"
    return stated.group(1), None


def resolve(root, path, quote, name):
    folders = [root / name for name in ("lib/include", "lib/src", "shim/include", "shim/src", "shim")]
    for folder in [path.parent] * (quote == '"') + folders:
        target = (folder / name).resolve()
        if target.is_file() and root in target.parents:
            return target
    return None


def check(root):
    complaints = []
    floors = {}
    for path in tree.files(root, "lib", "shim"):
        if path.suffix in tree.CODE or path.suffix == ".def":
            floors[path], complaint = floor_of(root, path)
            if complaint:
                complaints.append(complaint)
    for path, floor in floors.items():
        for line, quote, name in tree.includes(path.read_text(encoding="utf-8")):
            where = f"{path.relative_to(root)}:{line}"
            target = resolve(root, path, quote, name)
            if target is None:
                if quote == '"' or name.startswith("weft/"):
                    complaints.append(f"{where}: {name} is no file of the tree")
                continue
            other = floors.get(target)
            if floor is None or other is None or other == floor or RANK[other] < RANK[floor]:
                continue
            why = "its blind sibling" if RANK[other] == RANK[floor] else "the higher floor"
            complaints.append(f"{where}: floor {floor} includes {name} of {why} {other}")
    return complaints


def header(floor, *names):
    """A public header of that floor that includes `names`."""
    lines = [f"/// A thing.  Floor: {floor}.", "#pragma once", *(f"#include <{name}>" for name in names)]
    return "\n".join(lines) + "\n"


GOOD = {
    "lib/include/weft/error.hpp": header("base"),
    "lib/include/weft/task.hpp": header("sched", "weft/error.hpp", "vector"),
    "lib/include/weft/weft.hpp": header("kit", "weft/task.hpp", "weft/event.hpp"),
    "lib/include/weft/event.hpp": header("sync", "weft/detail/list.hpp"),
    "lib/include/weft/detail/list.hpp": header("base"),
    "lib/src/base/list.hpp": '// "sync/event.hpp" stands above\n',
    "lib/src/io/fd.hpp": "#pragma once\n",
    "lib/src/io/fd.cpp": '#include "fd.hpp"\n\n#include <weft/task.hpp>\n\n#include "base/list.hpp"\n',
    "shim/include/weft/monkey.hpp": header("shim", "weft/task.hpp"),
    "shim/calls.def": "CALL(read)\n",
    "shim/src/time.cpp": '#include <weft/monkey.hpp>\n#include "io/fd.hpp"\n#include "calls.def"\n',
}
BAD = [
    ("upwards from a source", "lib/src/base/x.cpp", '#include "io/fd.hpp"\n', "the higher floor io"),
    ("upwards, relative", "lib/src/base/x.cpp", '  #  include "../io/fd.hpp"\n', "x.cpp:1: floor"),
    ("upwards, to a header", "lib/src/fiber/x.cpp", "\n#include <weft/task.hpp>\n", "x.cpp:2: floor fiber"),
    ("upwards from a public header", "lib/include/weft/detail/list.hpp", header("base", "weft/task.hpp"),
     "the higher floor sched"),
    ("siblings", "lib/src/io/x.cpp", "#include <weft/event.hpp>\n", "its blind sibling sync"),
    ("the library includes the shim", "lib/src/io/x.cpp", "#include <weft/monkey.hpp>\n", "floor shim"),
    ("no floor stated", "lib/include/weft/x.hpp", "/// A thing.\n#pragma once\n", "states no floor"),
    ("a floor stated too late", "lib/include/weft/x.hpp", "#pragma once\n// Floor: io.\n", "states no floor"),
    ("an unknown floor", "lib/include/weft/x.hpp", header("cellar"), "unknown floor 'cellar'"),
    ("a header of the shim in lib", "lib/include/weft/x.hpp", header("shim"), "lie in shim/"),
    ("a source beside the floors", "lib/src/x.cpp", "int x;\n", "lies on no floor"),
    ("a source on an unknown floor", "lib/src/attic/x.cpp", "int x;\n", "lies on no floor"),
    ("an include of nothing", "lib/src/io/x.cpp", '#include "io/gone.hpp"\n', "no file of the tree"),
]
CASES = [("a tree in order", GOOD, None)]
CASES += [(shows, {**GOOD, path: text}, expected) for shows, path, text, expected in BAD]

if __name__ == "__main__":
    sys.exit(tree.main(check, CASES))
