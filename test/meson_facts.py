"""What test/run asks of a Meson build folder.

    meson_facts.py configured FOLDER -Dname=value...   status 0 if the folder's options have these values
    meson_facts.py select FOLDER SUITES PATTERN...     the tests outside SUITES (words) that match a pattern
    meson_facts.py count FOLDER LOG SUITES PATTERN...  "passed failed skipped", then each failure on a line

A selected test that left no result in the log counts as failed.
"""
import fnmatch
import json
import pathlib
import subprocess
import sys


def introspect(folder, what):
    answer = subprocess.run(["meson", "introspect", what, folder], check=True, stdout=subprocess.PIPE)
    return json.loads(answer.stdout)


def configured(folder, *wanted):
    def text(value):
        return str(value).lower() if isinstance(value, bool) else str(value)

    now = {row["name"]: text(row["value"]) for row in introspect(folder, "--buildoptions")}
    return all(now.get(name) == value for name, value in (word[2:].split("=", 1) for word in wanted))


def title(test):
    return f'{test["suite"][0].partition(":")[2]} / {test["name"]}'


def select(folder, skipped_suites, *patterns):
    """The selected tests as introspection describes them."""
    skipped_suites = skipped_suites.split()

    def wanted(test):
        if any(suite.partition(":")[2] in skipped_suites for suite in test["suite"]):
            return False
        name = title(test).lower()
        return not patterns or any(word in name or fnmatch.fnmatchcase(name, word)
                                   for word in map(str.lower, patterns))

    return [test for test in introspect(folder, "--tests") if wanted(test)]


def meson_name(test):
    """The name as `meson test` takes it; the project in front protects a colon in the name itself."""
    return f'{test["suite"][0].partition(":")[0]}:{test["name"]}'


def count(folder, log, skipped_suites, *patterns):
    names = {meson_name(test) for test in select(folder, skipped_suites, *patterns)}
    # Meson selects by name, so every test that shares a selected name has run.
    expected = [test for test in select(folder, skipped_suites) if meson_name(test) in names]
    path = pathlib.Path(log)
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
    results = [json.loads(line) for line in lines]
    outcomes = [row["result"] for row in results]
    failures = [f'{row["result"]}: {row["name"]}' for row in results
                if row["result"] not in ("OK", "EXPECTEDFAIL", "SKIP")]
    if len(results) < len(expected):
        failures += ["did not run"] * (len(expected) - len(results))
    passed = outcomes.count("OK") + outcomes.count("EXPECTEDFAIL")
    return [f'{passed} {len(failures)} {outcomes.count("SKIP")}', *failures]


def main(verb, folder, *rest):
    if verb == "configured":
        return 0 if configured(folder, *rest) else 1
    if verb == "select":
        lines = sorted({meson_name(test) for test in select(folder, *rest)})
    elif verb == "count":
        lines = count(folder, *rest)
    else:
        raise SystemExit(__doc__)
    print(*lines, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
