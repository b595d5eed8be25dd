"""A program imports the names that its test is about: imports.py PROGRAM NAME..."""
import subprocess
import sys

program, *names = sys.argv[1:]
listed = subprocess.run(["nm", "-D", "--undefined-only", program], check=True, stdout=subprocess.PIPE, text=True)
imported = {line.split()[-1].split("@")[0] for line in listed.stdout.splitlines()}
missing = [name for name in names if name not in imported]
for name in missing:
    print(f"{program} does not import {name}")
sys.exit(1 if missing else 0)
