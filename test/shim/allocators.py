"""Allocators beside the shim: allocators.py CHILD SHIM LIBRARY

Runs the child with the allocator LIBRARY preloaded before the shim and behind it, with calls patched and not. "libc"
stands for no allocator of its own. Skipped (77) if the loader does not find the library.
"""
import itertools
import os
import subprocess
import sys

SKIPPED = 77
LIMIT = 60  # seconds for each run


def run(command, preload, patch):
    environment = {**os.environ, "LD_PRELOAD": preload, "WEFT_PATCH": patch}
    return subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          timeout=LIMIT, check=False)


child, shim, library = sys.argv[1:]
if library == "libc":
    orders = [shim]
else:
    if "cannot be preloaded" in run(["/bin/true"], library, "").stdout:
        print(f"skipped: there is no {library}")
        sys.exit(SKIPPED)
    orders = [f"{library} {shim}", f"{shim} {library}"]

failed = False
for preload, patch in itertools.product(orders, ("", "all")):
    try:
        end = run([child], preload, patch)
    except subprocess.TimeoutExpired:
        print(f"FAILED: LD_PRELOAD='{preload}' WEFT_PATCH='{patch}': still runs after {LIMIT} s")
        failed = True
        continue
    told = f"{library}" in end.stdout and f"parks {1 if patch else 0}, spoilt 0" in end.stdout
    # Nobody else has a line to say.
    good = end.returncode == 0 and told and end.stdout.count("\n") == 1
    print(f"{'' if good else 'FAILED: '}LD_PRELOAD='{preload}' WEFT_PATCH='{patch}': {end.returncode}, {end.stdout}")
    failed = failed or not good
sys.exit(1 if failed else 0)
