"""test/fiber/README.md names tests for each of greenlet's 43 rules, and each test that it names exists.

A rule is a line "7. text"; below it "   - a test's sentence", or "   - All of x_test.cpp" for a file beside it.
What begins with ** is a remark.
"""
import re
import sys

import tree

RULES = 43
README = "test/fiber/README.md"
RULE = re.compile(r"(\d+)\. ")
ENTRY = re.compile(r" +- (.*)")
ALL_OF = re.compile(r"All of (\w+_test\.cpp)")
TEST = re.compile(r'^(?:TASK_TEST|HUB_TEST|TEST_CASE)\(\s*"((?:[^"\\]|\\.)*)"', re.MULTILINE)


def entries(text):
    """{rule: its entries}, and complaints about rules out of their order."""
    rules, complaints, last = {}, [], 0
    for number, line in enumerate(text.splitlines(), 1):
        if rule := RULE.match(line):
            if int(rule.group(1)) != last + 1:
                complaints.append(f"{README}:{number}: rule {rule.group(1)} after rule {last}")
            last = int(rule.group(1))
            rules.setdefault(last, [])
        elif (entry := ENTRY.match(line)) and last and not entry.group(1).startswith("**"):
            rules[last].append((number, entry.group(1).strip()))
        elif line.startswith("Without a counterpart"):
            break
    return rules, complaints


def check(root):
    readme = root / README
    if not readme.exists():
        return [f"there is no {README}"]
    sentences, beside = set(), set()
    for path in tree.code_files(root, "test"):
        found = TEST.findall(path.read_text())
        sentences.update(found)
        if found and path.parent == readme.parent:
            beside.add(path.name)
    rules, complaints = entries(readme.read_text())
    for rule in range(1, RULES + 1):
        if not rules.get(rule):
            complaints.append(f"{README}: no test for rule {rule}")
    for rule in rules.values():
        for number, entry in rule:
            whole = ALL_OF.fullmatch(entry)
            if whole and whole.group(1) not in beside:
                complaints.append(f"{README}:{number}: there is no {whole.group(1)} with tests in it")
            elif not whole and entry not in sentences:
                complaints.append(f'{README}:{number}: there is no test "{entry}"')
    return complaints


def rules_with(number, entry):
    """A README in which each rule has the test "it holds", but rule `number` the entry."""
    return "".join(f"{n}. a rule\n   - {entry if n == number else 'it holds'}\n" for n in range(1, RULES + 1))


TESTS = {"test/fiber/x_test.cpp": 'TASK_TEST("it holds") {}\n', "test/crash/y_test.cpp": 'TEST_CASE("it ends") {}\n'}
CASES = [
    ("a tree in order", {**TESTS, README: rules_with(1, "it holds")}, None),
    ("a test of another folder", {**TESTS, README: rules_with(1, "it ends")}, None),
    ("a whole file", {**TESTS, README: rules_with(1, "All of x_test.cpp")}, None),
    ("no readme", TESTS, "there is no test/fiber/README.md"),
    ("a test that does not exist", {**TESTS, README: rules_with(7, "it flies")}, 'no test "it flies"'),
    ("a file that does not exist", {**TESTS, README: rules_with(7, "All of z_test.cpp")}, "there is no z_test"),
    ("a file of another folder", {**TESTS, README: rules_with(7, "All of y_test.cpp")}, "there is no y_test"),
    ("a rule with a remark only", {**TESTS, README: rules_with(7, "**C++** never")}, "no test for rule 7"),
    ("a rule too few", {**TESTS, README: rules_with(1, "it holds").rpartition("43.")[0]}, "no test for rule 43"),
    ("a rule twice", {**TESTS, README: rules_with(1, "it holds") + "43. again\n   - it ends\n"}, "rule 43 after rule 43"),
]

if __name__ == "__main__":
    sys.exit(tree.main(check, CASES))
