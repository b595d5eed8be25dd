"""What the lints share: the files of the source tree, its include lines, and the way a lint proves itself."""
import pathlib
import re
import sys
import tempfile

CODE = {".hpp", ".cpp", ".h", ".c"}


def files(root, *folders):
    """The files under `folders`, but for hidden folders, build folders and what Python leaves behind."""
    def walk(folder):
        for path in sorted(folder.iterdir()):
            if path.is_symlink():
                continue
            if path.is_file():
                yield path
            elif path.is_dir() and not is_foreign(path):
                yield from walk(path)

    def is_foreign(folder):
        hidden = folder.name.startswith(".") or folder.name == "__pycache__"
        return hidden or (folder / "meson-private").exists()

    for top in (root / name for name in folders):
        if top.is_dir():
            yield from walk(top)


def code_files(root, *folders):
    return (path for path in files(root, *folders) if path.suffix in CODE)


def is_public(root, path):
    return path.relative_to(root).parts[1:2] == ("include",)


_token = re.compile(r"""//[^\n]*|/\*.*?\*/                             # comments
                        |R"([^(\s]*)\(.*?\)\1"                        # raw strings
                        |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'      # strings, characters""",
                    re.DOTALL | re.VERBOSE)


def without_comments(text, strings=True):
    """The text with comments blanked, and string literals too unless `strings`; lines keep their numbers."""
    def blank(match):
        token = match.group()
        if strings and not token.startswith(("//", "/*")):
            return token
        return re.sub(r"[^\n]", " ", token)

    # A digit separator is no quote.
    return _token.sub(blank, re.sub(r"(?<=[0-9a-fA-F])'(?=[0-9a-fA-F])", " ", text))


_include = re.compile(r'^[ \t]*#[ \t]*include[ \t]*(<[^>\n]+>|"[^"\n]+")', re.MULTILINE)


def includes(text):
    """(line number, "<" or '"', name) of each include line that is no comment."""
    text = without_comments(text)
    for match in _include.finditer(text):
        yield text.count("\n", 0, match.start(1)) + 1, match.group(1)[0], match.group(1)[1:-1]


def main(check, cases):
    """Runs check(root), which returns complaints; or, with --self-test, tries it on the trees in `cases`:
    (what it shows, {path: text}, the words of its one complaint, or None for a tree that is in order)."""
    if sys.argv[1:] != ["--self-test"]:
        return report(check(pathlib.Path(sys.argv[1]).resolve()))
    wrong = []
    for shows, tree, expected in cases:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder).resolve()
            for name, text in tree.items():
                path = root / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(text.encode())
            complaints = check(root)
        if expected is None and complaints:
            wrong.append(f"{shows}: complains of a good tree: {complaints}")
        elif expected is not None and (len(complaints) != 1 or expected not in complaints[0]):
            wrong.append(f"{shows}: expected one complaint with '{expected}', got {complaints}")
    return report(wrong)


def report(complaints):
    for complaint in complaints:
        print(complaint)
    return 1 if complaints else 0
