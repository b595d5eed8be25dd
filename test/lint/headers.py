"""Each public header compiles alone, as the only include, without a warning and without Boost or libuv.

    headers.py ROOT COMPILER...
    headers.py --self-test COMPILER...

Whether Boost or libuv was needed is read from the compiler's own list of the files it opened, so it does
not matter where they are installed. Without that compiler the test is skipped.
"""
import concurrent.futures
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import tree

FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only", "-x", "c++"]


def folders_of(root, header):
    """The include path: headers of the library do without the shim's folder."""
    folders = [root / "lib/include"]
    if header.relative_to(root).parts[0] == "shim":
        folders.append(root / "shim/include")
    return folders


def compile_alone(root, header, compiler):
    folders = folders_of(root, header)
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "alone.cpp").write_text(f"#include <{header.relative_to(folders[-1])}>\n")
        flags = FLAGS + [f"-I{folder}" for folder in folders]
        run = subprocess.run([*compiler, *flags, "-MD", "-MF", "opened", "alone.cpp"], cwd=scratch,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        name = header.relative_to(root)
        if run.returncode != 0:
            return [f"{name}: does not compile alone with {compiler[-1]}:\n{run.stdout}"]
        opened = (scratch / "opened").read_text().replace("\\\n", " ").split()
    opened = [path for path in map(pathlib.PurePath, opened) if root not in path.parents]
    foreign = [path for path in opened if "boost" in path.parts or path.name == "uv.h" or "uv" in path.parts]
    return [f"{name}: needs {foreign[0]}"] if foreign else []


def check(root, compiler):
    headers = list(tree.code_files(root, "lib/include", "shim/include"))
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return [line for lines in pool.map(lambda header: compile_alone(root, header, compiler), headers)
                for line in lines]


GOOD = {
    "lib/include/weft/a.hpp": "#pragma once\n#include <string>\ninline std::string a() { return {}; }\n",
    "shim/include/weft/b.hpp": "#pragma once\n#include <weft/a.hpp>\ninline auto b() { return a(); }\n",
}
OPTIONAL_UV = """#pragma once
#if __has_include(<uv.h>)
#include <uv.h>
#else
#error "without uv.h this cannot be tried"
#endif
"""
X = "lib/include/weft/x.hpp"
CASES = [
    ("a tree in order", GOOD, None),
    ("a forgotten include", {**GOOD, X: "#pragma once\nstd::string x();\n"}, "does not compile alone"),
    ("a warning", {**GOOD, X: "#pragma once\ninline void x(int unused) {}\n"}, "unused"),
    ("the shim from the library", {**GOOD, X: "#pragma once\n#include <weft/b.hpp>\n"}, "weft/b.hpp"),
    ("libuv", {**GOOD, X: "#pragma once\n#include <uv.h>\n"}, "uv.h"),
    ("libuv where it is there", {**GOOD, X: OPTIONAL_UV}, "uv.h"),
    ("Boost", {**GOOD, X: "#pragma once\n#include <boost/version.hpp>\n"}, "boost/version.hpp"),
]


def main():
    place, *compiler = sys.argv[1:]
    if shutil.which(compiler[0]) is None:
        print(f"{compiler[0]} is not installed")
        return 77
    sys.argv[1:] = [place]
    return tree.main(lambda root: check(root, compiler), CASES)


if __name__ == "__main__":
    sys.exit(main())
