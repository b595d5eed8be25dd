"""The three walls: only lib/src/context/ includes Boost, only lib/src/hub/ includes libuv, and only
shim/src/original* calls dlsym or dlvsym. Tests and demos stand outside them."""
import re
import sys

import tree

LOOKUP = re.compile(r"\bdlv?sym\b")


def check(root):
    complaints = []
    for path in tree.code_files(root, "lib", "shim"):
        name = path.relative_to(root).as_posix()
        text = path.read_text(encoding="utf-8")
        for line, _, included in tree.includes(text):
            if included.startswith("boost/") and not name.startswith("lib/src/context/"):
                complaints.append(f"{name}:{line}: only lib/src/context/ includes Boost")
            if re.fullmatch(r"uv\.h|uv/.*", included) and not name.startswith("lib/src/hub/"):
                complaints.append(f"{name}:{line}: only lib/src/hub/ includes {included}")
        if not name.startswith("shim/src/original"):
            for number, line in enumerate(tree.without_comments(text, strings=False).splitlines(), 1):
                if LOOKUP.search(line):
                    complaints.append(f"{name}:{number}: only shim/src/original* calls dlsym")
    return complaints


FRINGES = """// dlsym, <uv.h> and
// #include <boost/version.hpp>
auto word = "dlsym(";
int n = 1'000, m = '"';
"""
GOOD = {
    "lib/src/context/jump.cpp": "#include <boost/context/detail/fcontext.hpp>\n",
    "lib/src/hub/loop.cpp": "#include <uv.h>\n",
    "lib/src/io/fd.cpp": FRINGES,
    "shim/src/original.cpp": "void* p = dlsym(RTLD_NEXT, name);\n",
    "test/bench/switch_bench.cpp": "#include <boost/context/detail/fcontext.hpp>\n#include <uv.h>\n",
}
BAD = [
    ("Boost too high", "lib/src/fiber/x.cpp", "#include <boost/version.hpp>\n", "x.cpp:1: only lib/src/"),
    ("Boost in a public header", "lib/include/weft/x.hpp", '# include "boost/a.hpp"\n', "includes Boost"),
    ("libuv too high", "lib/src/io/x.cpp", "#include <uv.h>\n", "includes uv.h"),
    ("libuv in the shim", "shim/src/x.cpp", "#include <uv/unix.h>\n", "includes uv/unix.h"),
    ("dlsym in the shim", "shim/src/x.cpp", "int x;\nauto p = ::dlsym(nullptr, n);\n", "x.cpp:2: only shim"),
    ("dlvsym in the library", "lib/src/base/x.cpp", "auto f = &dlvsym;\n", "calls dlsym"),
]
CASES = [("a tree in order", GOOD, None)]
CASES += [(shows, {**GOOD, path: text}, expected) for shows, path, text, expected in BAD]

if __name__ == "__main__":
    sys.exit(tree.main(check, CASES))
