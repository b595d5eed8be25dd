"""Each ```cpp block of README.md that holds a main function compiles, links and runs.

    readme.py README COMPILER... -- FLAGS...     FLAGS stand last: include folders and shared libraries
    readme.py --self-test COMPILER...

Each program has 20 s and must leave with status 0. Skipped while there is no such block.
"""
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import tree

LIMIT = 20
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-pthread"]
BLOCK = re.compile(r"^```cpp[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)


def programs(text):
    """(line number of its first line, source) of each block with a main function."""
    for block in BLOCK.finditer(text):
        if re.search(r"\bint\s+main\s*\(", block.group(1)):
            yield text.count("\n", 0, block.start(1)) + 1, block.group(1)


def try_program(name, source, compiler, flags):
    """None, or what went wrong."""
    with tempfile.TemporaryDirectory() as scratch:
        path = pathlib.Path(scratch) / "snippet.cpp"
        path.write_text(source)
        built = subprocess.run([*compiler, *FLAGS, str(path), "-o", f"{scratch}/snippet", *flags],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if built.returncode != 0:
            return f"{name}: does not build:\n{built.stdout}"
        folders = [str(pathlib.Path(flag).parent) for flag in flags if flag.endswith(".so")]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(folders)}
        try:
            ran = subprocess.run([f"{scratch}/snippet"], env=environment, timeout=LIMIT, text=True,
                                 errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                 stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            return f"{name}: still runs after {LIMIT} s"
        return None if ran.returncode == 0 else f"{name}: leaves with {ran.returncode}:\n{ran.stdout}"


def check(readme, compiler, flags):
    found = list(programs(readme.read_text(encoding="utf-8")))
    wrong = [try_program(f"{readme.name}:{line}", source, compiler, flags) for line, source in found]
    return len(found), [complaint for complaint in wrong if complaint]


def self_test(compiler):
    def fenced(*sources):
        return "Words.\n\n" + "\n".join(f"```cpp\n{source}```\n" for source in sources)

    good = "#include <cstdlib>\nint main() { return std::getenv(\"PATH\") ? 0 : 1; }\n"
    cases = [
        ("a good program and a fragment", fenced("int x = 1;\n", good, "void f() {}\n"), 1, None),
        ("no program", fenced("void f() {}\n") + "```sh\nint main\n```\n", 0, None),
        ("a second program is wrong", fenced(good, "int main() { return y; }\n"), 2, "README.md:9: does not"),
        ("an undefined function", fenced("void f();\nint main() { f(); }\n"), 1, "does not build"),
        ("a failing program", fenced("int main() { return 3; }\n"), 1, "leaves with 3"),
        ("a program that hangs", fenced("#include <unistd.h>\nint main() { pause(); }\n"), 1, "still runs"),
    ]
    global LIMIT
    LIMIT = 1
    wrong = []
    for shows, text, programs_there, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            readme = pathlib.Path(folder) / "README.md"
            readme.write_text(text)
            found, complaints = check(readme, compiler, [])
        told = "\n".join(complaints)
        if found != programs_there or (expected or "") not in told or bool(complaints) != bool(expected):
            wrong.append(f"{shows}: found {found} programs, complaints {complaints}")
    return tree.report(wrong)


def main():
    if sys.argv[1] == "--self-test":
        return self_test(sys.argv[2:])
    readme, *command = sys.argv[1:]
    end = command.index("--")
    found, complaints = check(pathlib.Path(readme), command[:end], command[end + 1:])
    if not found:
        print(f"{readme} holds no program")
        return 77
    return tree.report(complaints)


if __name__ == "__main__":
    sys.exit(main())
