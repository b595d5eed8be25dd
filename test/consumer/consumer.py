"""Uses weft as its users do: from an installed copy by pkg-config, by hand and by Meson, and as a Meson
subproject.

    consumer.py installed SOURCE_ROOT BUILD_ROOT MESON COMPILER...
    consumer.py subproject SOURCE_ROOT BUILD_ROOT MESON COMPILER...

Every check runs; each failure is printed with what was called, and makes the test fail.
"""
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
LIMIT = 30  # seconds for each small program
FLAGS = ["-std=c++20", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]

# Names of weft as the C++ ABI spells them: functions, variables, vtables, type information, thunks, guards.
MANGLED = re.compile(r"_Z(Z|T[VTISWH]|TC|Th[n\d]+_|Tv[n\d]+_[n\d]+_|GV|GR)*N[rVKRO]*4weft\d")


class Failed(Exception):
    pass


def call(*command, **more):
    """Runs a command that has to succeed; returns what it prints on stdout."""
    command = [str(word) for word in command]
    run = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
                         stdin=subprocess.DEVNULL, **more)
    if run.returncode != 0:
        raise Failed(f"{shlex.join(command)}\nleaves with {run.returncode}\n{run.stdout}{run.stderr}")
    return run.stdout


def outcome(program, library_path):
    """(status, stdout, stderr) of a small program."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(library_path)}
    try:
        run = subprocess.run([str(program)], env=environment, stdin=subprocess.DEVNULL, timeout=LIMIT,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace")
    except subprocess.TimeoutExpired:
        raise Failed(f"{program.name} still runs after {LIMIT} s") from None
    return run.returncode, run.stdout, run.stderr


def has_to_work(program, library_path):
    status, out, err = outcome(program, library_path)
    if status != 0:
        raise Failed(f"{program.name} leaves with {status}\n{out}{err}")


def needed(binary):
    """The libraries a binary asks for, in its order."""
    return re.findall(r"\(NEEDED\).*\[(.+)\]", call("readelf", "-dW", binary))


class installed_copy:
    """A copy of the build under a scratch folder, and how to compile and link against it."""

    def __init__(self, scratch, build_root, meson, compiler):
        self.scratch, self.compiler = scratch, compiler
        call(meson, "install", "-C", build_root, "--no-rebuild", "--quiet", "--destdir", scratch / "root")
        files = list((scratch / "root").rglob("weft.pc"))
        if len(files) != 1:
            raise Failed(f"one weft.pc is to be installed, found {files}")
        self.pc_folder = files[0].parent
        self.library_path = self.pc_folder.parent
        self.headers = next((scratch / "root").rglob("weft/weft.hpp")).parent.parent
        for file in self.pc_folder.glob("weft*.pc"):
            moved = re.sub(r"^prefix=(?=/)", f"prefix={scratch}/root", file.read_text(), flags=re.MULTILINE)
            file.write_text(moved)
        self.environment = {**os.environ, "PKG_CONFIG_PATH": str(self.pc_folder)}

    def flags(self, what, module):
        return shlex.split(call("pkg-config", what, module, env=self.environment))

    def compile(self, source, module, *more):
        target = self.scratch / (source + ".o")
        flags = [*FLAGS, *more, *self.flags("--cflags", module)]
        call(*self.compiler, *flags, "-c", HERE / source, "-o", target)
        return target

    def link(self, name, *words):
        target = self.scratch / name
        # What a library in turn needs, the linker finds by itself only in the system's folders.
        call(*self.compiler, f"-Wl,-rpath-link,{self.library_path}", *words, "-o", target)
        return target


def check_order(program):
    names = needed(program)
    if "libweft-shim.so.0" not in names or names.index("libweft-shim.so.0") > names.index("libc.so.6"):
        raise Failed(f"{program.name} needs {names}: the shim is to stand before libc.so.6")


def check_library_alone(copy):
    """weft alone: fibers and tasks, with no shim in the link."""
    objects = copy.compile("without_shim.cpp", "weft")
    program = copy.link("without_shim", objects, *copy.flags("--libs", "weft"))
    if any("weft-shim" in name for name in needed(program)):
        raise Failed("module weft pulls the shim in")
    has_to_work(program, copy.library_path)


def check_plain_calls(copy):
    """weft-shim: plain sleep() and read() park after patch_all()."""
    objects = copy.compile("plain_calls.cpp", "weft-shim")
    has_to_work(copy.link("plain_calls", objects, *copy.flags("--libs", "weft-shim")), copy.library_path)


def check_static(copy):
    """weft-shim-static: the same in a program that no library is loaded for. Where it is not built there is no module."""
    if not (copy.pc_folder / "weft-shim-static.pc").exists():
        return
    objects = copy.compile("plain_calls.cpp", "weft-shim-static")
    program = copy.link("static", objects, *copy.flags("--libs", "weft-shim-static"))
    if needed(program):
        raise Failed(f"a static program needs {needed(program)}")
    has_to_work(program, "/nowhere")


def check_kept_unnamed(copy):
    """A program that names nothing of the shim keeps it under --as-needed, before libc."""
    source = copy.scratch / "empty.cpp"
    source.write_text("int main() {}\n")
    check_order(copy.link("empty", source, "-Wl,--as-needed", *copy.flags("--libs", "weft-shim")))


def quiet_library(copy):
    objects = copy.compile("quiet.cpp", "weft-shim", "-fPIC")
    return copy.link("libquiet.so", "-shared", "-Wl,--as-needed", objects, *copy.flags("--libs", "weft-shim"))


def check_quiet_library(copy, *more):
    """A library calls patch_all() for a program that names nothing of the shim."""
    objects = copy.compile("names_nothing.cpp", "weft")
    program = copy.link("names_nothing", "-Wl,--as-needed", objects, quiet_library(copy), *more)
    has_to_work(program, f"{copy.library_path}:{copy.scratch}")


def check_quiet_library_and_shim(copy):
    """The same, and the program's own link line has the shim, after the library."""
    check_quiet_library(copy, *copy.flags("--libs", "weft-shim"))


def check_wrong_order(copy):
    """libc before the shim: patch_all() says so in one line and returns false, or its patches work."""
    objects = copy.compile("plain_calls.cpp", "weft-shim")
    # A plain -lc does not do: g++ itself moves it behind all else.
    program = copy.link("wrong_order", objects, "-Wl,-lc", *copy.flags("--libs", "weft-shim"))
    names = needed(program)
    if names.index("libc.so.6") > names.index("libweft-shim.so.0"):
        raise Failed(f"this link order tries nothing: the program needs {names}")
    status, out, err = outcome(program, copy.library_path)
    lines = err.splitlines()
    if not (status == 0 or status == 3 and len(lines) == 1 and lines[0].strip()):
        raise Failed(f"{program.name} leaves with {status}\n{out}{err}")


def check_sonames(copy):
    """Both libraries have a versioned name, and the shim asks for the library by it."""
    for name in ("weft", "weft-shim"):
        library = copy.library_path / f"lib{name}.so.0"
        if f"[lib{name}.so.0]" not in call("readelf", "-dW", library):
            raise Failed(f"{library.name} does not say its own name")
        if (copy.library_path / f"lib{name}.so").resolve() != library.resolve():
            raise Failed(f"lib{name}.so does not lead to {library.name}")
    if "libweft.so.0" not in needed(copy.library_path / "libweft-shim.so.0"):
        raise Failed("the shim does not ask for libweft.so.0")


def strangers(exported, calls):
    """Of (kind, name) pairs from nm, those that are neither weft's nor listed calls. What is weak may
    be exported, as libstdc++'s templates are wherever they are instantiated, but nothing of Boost may."""
    def is_ours(name):
        return MANGLED.match(name) or name.startswith("weft_") or name in calls

    return [name for kind, name in exported if "5boost" in name or kind not in "wvWVu" and not is_ours(name)]


def check_exports(copy, calls_def):
    """The libraries export weft's names and the interposed calls, nothing else."""
    calls = set(re.findall(r"^WEFT_(?:CALL|KEEP|OWN)\(\w+, [^,]+, (\w+),", calls_def.read_text(), re.MULTILINE))
    for name, allowed in (("weft", set()), ("weft-shim", calls)):
        table = call("nm", "-D", "--defined-only", "--format=posix", copy.library_path / f"lib{name}.so.0")
        exported = [(kind, symbol) for symbol, kind in (line.split()[:2] for line in table.splitlines())]
        if not any(MANGLED.match(symbol) for _, symbol in exported):
            raise Failed(f"lib{name} exports nothing of weft")
        missing = sorted(allowed - {symbol for _, symbol in exported})
        if missing or name == "weft-shim" and not allowed:
            raise Failed(f"lib{name} does not export {', '.join(missing) or 'a call'}")
        foreign = strangers(exported, allowed)
        if foreign:
            raise Failed(f"lib{name} exports {', '.join(foreign)}")


def check_header_set(copy, source_root):
    """Every public header is installed, and nothing else beside it."""
    def headers(folder):
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}

    there = headers(copy.headers)
    public = headers(source_root / "lib/include") | headers(source_root / "shim/include")
    if there != public:
        raise Failed(f"missing: {sorted(public - there)}; too many: {sorted(there - public)}")


def check_export_rules(_):
    """The check of exports bites."""
    good = """T read
        T _ZN4weft5yieldEv
        T _ZNK4weft5fiber4deadEv
        D _ZTVN4weft8deadlockE
        T _ZThn16_N4weft5chainD0Ev
        B _ZZN4weft3hub7currentEvE1h
        W _ZNSt6vectorIiSaIiEED1Ev"""
    bad = """T unlisted
        T _ZN5weft24leakEv
        D _ZSt4leak
        W _ZN5boost7context5fiberD1Ev"""
    pairs = [line.split() for line in (good + "\n" + bad).splitlines()]
    found = strangers(pairs, {"read"})
    if found != bad.split()[1::2]:
        raise Failed(f"finds {found}")


def installed(scratch, source_root, build_root, meson, compiler):
    copy = installed_copy(scratch, build_root, meson, compiler)
    yield check_library_alone, [copy]
    yield check_plain_calls, [copy]
    yield check_static, [copy]
    yield check_kept_unnamed, [copy]
    yield check_quiet_library, [copy]
    yield check_quiet_library_and_shim, [copy]
    yield check_wrong_order, [copy]
    yield check_sonames, [copy]
    yield check_exports, [copy, source_root / "shim/calls.def"]
    yield check_export_rules, [copy]
    yield check_header_set, [copy, source_root]
    environment = {**copy.environment, "CXX": shlex.join(compiler)}
    yield from meson_project(scratch, meson, environment, "--wrap-mode=nofallback")


PROJECT = """\
project('user', 'cpp', default_options: ['cpp_std=c++20'])

weft_shim_dep = dependency('weft-shim', fallback: 'weft', default_options: ['optimization=1'])
weft_dep = dependency('weft', fallback: 'weft')
libraries = [dependency('threads'), meson.get_compiler('cpp').find_library('dl')]

executable('empty', 'empty.cpp', dependencies: [libraries, weft_shim_dep])
executable('without_shim', 'without_shim.cpp', dependencies: weft_dep)
executable('plain_calls', 'plain_calls.cpp', dependencies: weft_shim_dep)
quiet = shared_library('quiet', 'quiet.cpp', dependencies: weft_shim_dep)
executable('names_nothing', 'names_nothing.cpp', link_with: quiet)
executable('names_nothing_shim', 'names_nothing.cpp', link_with: quiet, dependencies: weft_shim_dep)
"""


def check_program(folder, name):
    """A program of a Meson project that depends on weft."""
    has_to_work(folder / name, "")


def check_empty_program(folder):
    """The same, where the program names nothing of the shim."""
    check_order(folder / "empty")
    has_to_work(folder / "empty", "")


def meson_project(scratch, meson, environment, *setup_flags):
    project, folder = scratch / "user", scratch / "user-build"
    project.mkdir(exist_ok=True)
    (project / "meson.build").write_text(PROJECT)
    (project / "empty.cpp").write_text("int main() {}\n")
    for path in [*HERE.glob("*.cpp"), *HERE.glob("*.hpp")]:
        (project / path.name).write_text(path.read_text())
    call(meson, "setup", *setup_flags, folder, project, env=environment)
    call(meson, "compile", "-C", folder, "-j", "2")
    for name in ("without_shim", "plain_calls", "names_nothing", "names_nothing_shim"):
        yield check_program, [folder, name]
    yield check_empty_program, [folder]


def subproject(scratch, source_root, _build_root, meson, compiler):
    (scratch / "user/subprojects").mkdir(parents=True)
    (scratch / "user/subprojects/weft").symlink_to(source_root)
    environment = {**os.environ, "CXX": shlex.join(compiler)}
    yield from meson_project(scratch, meson, environment, "--wrap-mode=forcefallback")


def main(way, source_root, build_root, meson, *compiler):
    failures = 0
    with tempfile.TemporaryDirectory() as scratch:
        run = {"installed": installed, "subproject": subproject}[way]
        folders = [pathlib.Path(scratch).resolve(), pathlib.Path(source_root), pathlib.Path(build_root)]
        try:
            for check, arguments in run(*folders, meson, compiler):
                label = " ".join([check.__name__, *(word for word in arguments if isinstance(word, str))])
                try:
                    check(*arguments)
                    print(f"ok      {label}", flush=True)
                except Failed as failure:
                    failures += 1
                    print(f"FAILED  {label}: {check.__doc__}\n{failure}", flush=True)
        except Failed as failure:
            failures += 1
            print(f"FAILED  {way}\n{failure}", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
