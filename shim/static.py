"""Archives for static programs: static.py OBJCOPY AR CALLS OUTPUT OBJECT...

The objects are the shared library's own. In the shim's, the interposed symbols get the names that the linker's --wrap
sends a program's calls to, and what looks into shared libraries is left out. With OUTPUT ending in .calls, the list of
flags for the linker is written instead.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

ROW = re.compile(r"^WEFT_(?:CALL|KEEP|OWN)\(\w+, [^,]+, (\w+),", re.MULTILINE)
ONLY_SHARED = ("original.cpp.o", "modules.cpp.o", "self_check.cpp.o")
NOT_WRAPPED = ("dlopen",)


def main(objcopy, archiver, calls, output, *objects):
    names = ROW.findall(pathlib.Path(calls).read_text(encoding="utf-8")) if calls else []
    if output.endswith(".calls"):
        # Every interposed symbol is there before the compiler's libraries ask for some.
        lines = ["--undefined=__wrap_read"] + [f"--wrap={name}" for name in names if name not in NOT_WRAPPED]
        pathlib.Path(output).write_text("\n".join(lines) + "\n", encoding="utf-8")
        return
    with tempfile.TemporaryDirectory() as folder:
        renamed = pathlib.Path(folder, "names")
        renamed.write_text("".join(f"{name} __wrap_{name}\n" for name in names), encoding="utf-8")
        copies = []
        for i, path in enumerate(objects):
            if calls and path.endswith(ONLY_SHARED):
                continue
            copy = pathlib.Path(folder, f"{i}-{pathlib.Path(path).name}")
            subprocess.run([objcopy, f"--redefine-syms={renamed}", path, copy], check=True)
            copies.append(copy)
        pathlib.Path(output).unlink(missing_ok=True)
        subprocess.run([archiver, "rcsD", output, *copies], check=True)


main(*sys.argv[1:])
