#!/usr/bin/env python3
"""Runs one demo and compares what it prints with what it promises.

usage: check.py NAME PROGRAM   (NAME is a key of CHECKS below)
Exit status: 0 as promised, 1 not, 77 for what needs nginx where there is none.
"""
import http.server
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

NGINX_PATH = os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin"
SECONDS = 60  # for one run of a demo


def run(program, *arguments, **environment):
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=SECONDS,
                          stdin=subprocess.DEVNULL, env={**os.environ, **environment}, check=False)


def expect(condition, what, shown=""):
    if not condition:
        if isinstance(shown, subprocess.CompletedProcess):
            shown = f"exit status {shown.returncode}\n{shown.stdout}{shown.stderr}"
        sys.exit(f"not as promised: {what}\n{shown}")


def expect_success(done):
    expect(done.returncode == 0, "success", done)
    return done.stdout


def expect_usage(program, *arguments):
    done = run(program, *arguments)
    expect(done.returncode == 2 and done.stderr.startswith("usage:") and not done.stdout,
           f"usage and exit status 2 for {arguments}", done)


def expect_lines(output, wanted):
    lines = [line for line in output.splitlines() if line]
    expect(lines == wanted, "these lines:\n" + "\n".join(wanted), "but:\n" + output)


def need_nginx():
    if not os.environ.get("WEFT_NGINX") and not shutil.which("nginx", path=NGINX_PATH):
        print("skipped: no nginx (apt-get install nginx-light)")
        sys.exit(77)


def processes_of(directory):
    """Command lines that mention the directory; that of nginx's master does."""
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/cmdline"):
        try:
            text = entry.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if directory in text:
            found.append(text)
    return found


def check_explicit(program):
    expect_lines(expect_success(run(program)),
                 ["12", "56", "34", "78", "main is back with 0 values", "gr1 dead: no, gr2 dead: yes",
                  "gr1 is unwound", "---A--", "---B--", "---A--", "---B--", "1.5 s", "1 3 6 10 "])
    expect_usage(program, "surplus")


def check_iterators(program):
    table = {"[]": (True, False), "{}": (True, False), "'abc'": (True, False), "100": (False, False),
             "closed_list": (False, False), "open_list": (True, False), "iter([])": (True, True),
             "iter('abc')": (True, True)}
    expect_lines(expect_success(run(program)), [
        "             iterable  iterator",
        *(f"{what:<12} {iterable!s:<9} {iterator}" for what, (iterable, iterator) in table.items()),
        "11", "22", "33", "44", "55", "StopIteration",
        "张三", "李四", "C罗", "1", "2", "3", "4", "5",
        "0 1 1 2 3 ", "0 1 1 2 3 5 8 13 21 34 ",
        "[0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 233, 377]", "(0, 1, 1, 2, 3, 5)",
    ])
    expect_usage(program, "surplus")


def check_generators(program):
    output = expect_success(run(program))
    identity = re.search(r"<generator object at 0x[0-9a-f]+>", output)
    refusal = re.search(r"weft: .* has not begun .*", output)
    expect(identity and refusal, "a generator's name, and the refusal of an early send", output)
    expect_lines(output, [
        "the list: [0, 2, 4, 6, 8]", "the generator: " + identity[0],
        "0", "2", "4", "6", "8", "StopIteration", "0 2 4 6 8 ",
        "0 1 1 2 3 ", "value:0", "value:1", "value:1", "value:2", "value:3", "生成器返回值:done",
        refusal[0], "0", "haha", "1", "None", "2", "haha", "3",
        *(line for number in range(5) for line in (str(number), "None")), "StopIteration",
        *["----work1---", "----work2---"] * 2, "----work1---", "1.5 s",
    ])
    expect_usage(program, "surplus")


def check_automatic(program):
    output = expect_success(run(program))
    rounds = range(5)
    names = ("g1", "g2", "g3")
    took = re.search(r"together they took ([\d.]+) s", output)
    expect(took and 1.0 <= float(took[1]) < 1.5, "about 1 s for both", output)
    expect_lines(output.replace(took[0], ""), [
        "eating 1", "playing 1", "eating 2", "playing 2", "eat finished", "play finished", "both slept 1 s, ",
        "three workers that never wait run one after the other:",
        *(f"{name} {number}" for name in names for number in rounds),
        "the same with a yield after each line take turns:",
        *(f"{name} {number}" for number in rounds for name in names),
    ])
    expect_usage(program, "surplus")


def check_transparent(program):
    one, two = ([f"{name} -----{number}" for number in (1, 2)] for name in ("work1", "work2"))
    expect_lines(expect_success(run(program)), [
        "sleep is patched: no", *one, *two, "4 s",
        "sleep is patched: yes", *(line for pair in zip(one, two) for line in pair), "2 s",
    ])
    expect_usage(program, "surplus")


def check_download_output(output):
    lines = output.splitlines()
    good = [re.fullmatch(r"(file\d\d) +([\d.]+) s +(\d+) bytes  checksum ok", line) for line in lines]
    good = [match for match in good if match]
    expect(sorted(match[1] for match in good) == [f"file{n}" for n in range(10, 50)], "40 good files", output)
    times = [float(match[2]) for match in good]
    expect(all(later > earlier - 0.2 for earlier, later in zip(times, times[1:])), "completion order", output)
    for pattern in (r"refused .*connect.*", r"missing .*404.*",
                    r"no host .*(Could not resolve host: no-such-host\.invalid|Resolving timed out).*"):
        expect(sum(bool(re.fullmatch(pattern, line)) for line in lines) == 1, f"one line {pattern}", output)
    expect("UNEXPECTED" not in output, "nothing unexpected", output)
    total = re.fullmatch(r"40 downloads: ([\d.]+) s one by one, ([\d.]+) s together; "
                         r"the slowest took ([\d.]+) s", lines[-1])
    expect(total and len(lines) == 44, "43 lines and a total", output)
    one_by_one, together, slowest = map(float, total.groups())
    expect(abs(one_by_one - sum(times)) < 0.5 and slowest == max(times), "totals that fit the lines", output)
    expect(slowest <= together < 1.5 * slowest and together < one_by_one / 5, "about the slowest", output)


def check_nginx_download(program):
    done = run(program, WEFT_NGINX="/nonexistent")
    expect(done.returncode == 1 and "nginx-light" in done.stderr, "the package's name", done)
    expect_usage(program, "surplus")
    need_nginx()
    with tempfile.TemporaryDirectory() as directory:
        done = run(program, WEFT_NGINX="/bin/false", TMPDIR=directory)
        expect(done.returncode == 1 and "did not start" in done.stderr, "an nginx that fails", done)
        check_download_output(expect_success(run(program, TMPDIR=directory)))
        expect(not os.listdir(directory), "no file left", os.listdir(directory))
        expect(not processes_of(directory), "no process left", processes_of(directory))


def check_gone(program):
    """However the demo is ended, nginx and its directory go with it."""
    need_nginx()
    for how in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        with tempfile.TemporaryDirectory() as directory:
            with subprocess.Popen([program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                  env={**os.environ, "TMPDIR": directory}) as child:
                child.stdout.readline()
                expect(any("nginx: master" in line for line in processes_of(directory)), "a running nginx")
                child.send_signal(how)
                child.stdout.read()
            expect(child.returncode == -how, f"an end by {how.name}", child.returncode)
            limit = time.monotonic() + 10
            while (os.listdir(directory) or processes_of(directory)) and time.monotonic() < limit:
                time.sleep(0.02)
            left = os.listdir(directory) + processes_of(directory)
            expect(not left, f"nothing left after {how.name}", left)


class Pages(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path.startswith("/missing"):
            self.send_error(404)
            return
        if self.path.startswith("/slow"):
            time.sleep(0.4)
        body = (self.path * 1000).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def on_terminal(program, *arguments):
    """The program's standard error as a terminal shows it, and its exit status."""
    ours, theirs = pty.openpty()
    with subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=theirs) as child:
        os.close(theirs)
        shown = b""
        try:
            while part := os.read(ours, 4096):
                shown += part
        except OSError:
            pass  # how the end of a terminal is told
    os.close(ours)
    return shown.decode(), child.returncode


def check_download(program):
    os.environ["no_proxy"] = "*"
    for arguments in ("", "-x", "-o", "-o directory", "nonsense", "htp://host/", "file:///etc/fstab"):
        expect_usage(program, *arguments.split())
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Pages)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    base = f"http://127.0.0.1:{server.server_port}"
    with socket.socket() as bound, tempfile.TemporaryDirectory() as directory:
        bound.bind(("127.0.0.1", 0))
        refused = f"http://127.0.0.1:{bound.getsockname()[1]}/"
        slow = [f"{base}/slow{number}" for number in range(10)]

        output = expect_success(run(program, *slow))
        total = re.fullmatch(r"10 of 10 fetched, 60000 bytes: ([\d.]+) s one by one, ([\d.]+) s together\n",
                             output)
        expect(total and float(total[1]) >= 4 and float(total[2]) < 2, "ten at once", output)

        failing = {f"{base}/missing": "404", refused: "connect", "http://no-such-host.invalid/": "resolv"}
        done = run(program, "-o", directory + "/new", f"{base}/a/one", f"{base}/b/one", f"{base}/",
                   *failing)
        expect(done.returncode == 1 and "3 of 6 fetched" in done.stdout, "three failures", done)
        for url, text in failing.items():
            lines = [line for line in done.stderr.splitlines() if line.startswith(url + ": ")]
            expect(len(lines) == 1 and text in lines[0].lower(), f"a line for {url}", done)
        files = {path.name: path.read_text() for path in pathlib.Path(directory, "new").iterdir()}
        expect(files == {"one": "/a/one" * 1000, "one~": "/b/one" * 1000, "index.html": "/" * 1000},
               "their contents")

        done = run(program, "-o", "/dev/null/x", f"{base}/")
        expect(done.returncode == 1 and "/dev/null/x: " in done.stderr, "a bad directory", done)

        shown, status = on_terminal(program, slow[0], f"{base}/missing")
        expect(status == 1 and "\r\x1b[K1 of 2, " in shown, "a progress line", repr(shown))
        expect(f"{base}/missing: " in shown and slow[0] not in shown, "the error's line alone", repr(shown))
    server.shutdown()


def check_compare(program):
    output = expect_success(run(program))
    rows = {match[1]: [float(value) for value in match.groups()[1:]] for match in re.finditer(
        r"^(\w+) +([\d.]+) s +([\d.]+) s +(\d+) +([\d.]+) MiB +(\d+)$", output, re.M)}
    expect(list(rows) == ["explicit", "automatic", "threads"], "three rows", output)
    expect(output.endswith("the same result in all three\n"), "the same result", output)
    for name, (wall, cpu, switches, memory, lines) in rows.items():
        expect(cpu > 0 and switches > 400 and memory > 1, f"a measured row of {name}", output)
        source = pathlib.Path(__file__).with_name("compare") / f"{name}.cpp"
        text = [line.split("//")[0].strip() for line in source.read_text().splitlines()]
        expect(lines == sum(map(bool, text)), f"the lines of {name}", output)
        expect(wall >= (0.4 if name == "explicit" else 0.2), f"the waits of {name}", output)
    expect(rows["explicit"][2] > 600_000, "six explicit switches an item", output)
    expect_usage(program, "surplus")
    expect_usage(program, "explicit", "surplus")


def check_tour(program):
    for arguments in (("0",), ("6",), ("x",), ("",), ("12",), ("1", "2")):
        expect_usage(program, *arguments)
    output = expect_success(run(program, "1"))
    expect("=== 1. explicit" in output and "=== 2." not in output, "the first stop alone", output)
    with tempfile.TemporaryDirectory() as directory:
        lonely = shutil.copy(program, directory)
        done = run(lonely, "1")
        expect(done.returncode == 1 and "01_explicit" in done.stdout, "a missing program", done)
        pathlib.Path(directory, "01_explicit").symlink_to("/bin/false")
        done = run(lonely, "1")
        expect(done.returncode == 1 and "FAILED with status 1" in done.stdout, "a failing program", done)
    need_nginx()
    output = expect_success(run(program))
    headlines = re.findall(r"^=== (.)", output, re.M)
    expect(headlines == ["1", "2", "3", "4", "5", "s"], "five stops and a summary", output)
    expect(len(re.findall(r"^\d\. \w+ +[\d.]+ s  ok$", output, re.M)) == 5, "five times ok", output)


CHECKS = {
    "01_explicit": check_explicit,
    "02_automatic": check_automatic,
    "03_transparent": check_transparent,
    "04_download": check_nginx_download,
    "05_compare": check_compare,
    "iterators": check_iterators,
    "generators": check_generators,
    "download": check_download,
    "tour": check_tour,
    "gone": check_gone,
}

if len(sys.argv) != 3 or sys.argv[1] not in CHECKS:
    print(__doc__, file=sys.stderr)
    sys.exit(2)
CHECKS[sys.argv[1]](os.path.abspath(sys.argv[2]))
