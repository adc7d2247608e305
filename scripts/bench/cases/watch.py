"""`pv watch`: from the close of a file to its commit and to user code, and what an idle watch costs."""

import contextlib
import os
import shutil
import statistics
import subprocess
import threading
import time

from cases.serve import IMAGE, serving, started
from measure import Failed, Series, run
from report import Target, at_most
from tools import Pv

TITLE = "`pv watch`: from the close of a file to its commit, and at rest"
SETTLE = 2.0
DURABLE = at_most(SETTLE + 0.06)
AT_REST = Target("≤ 0.5 %", lambda value, _: value <= 0.5)


def measure(bench, place, table):
    bench.say("to the commit")
    table.note(f"Files settle for {SETTLE:g} s, which is within the times.")
    to_commit(bench, place, table)
    bench.say("to user code")
    to_user_code(bench, place, table)
    bench.say("git")
    git(bench, place, table)
    bench.say("at rest")
    at_rest(bench, place, table)


def rows(table, what, series, **options):
    """The median, and the 99th percentile: with a hundred values, the second worst."""
    table.row(f"{what}, median of {len(series.values)}", series, **options)
    worst = statistics.quantiles(series.values, n=100, method="inclusive")[98]
    table.value(f"{what}, 99th percentile", worst, "seconds", **{name: value for name, value in options.items() if name == "target"})


class Lines:
    """The lines of a process that goes on, each with the time when it came."""

    def __init__(self, child):
        self.times = []
        self.more = threading.Condition()
        threading.Thread(target=self.read, args=(child.stdout,), daemon=True).start()

    def read(self, stream):
        for _ in stream:
            with self.more:
                self.times.append(time.perf_counter())
                self.more.notify_all()

    def wait(self, count):
        """When the line of this number came."""
        with self.more:
            if not self.more.wait_for(lambda: len(self.times) >= count, timeout=600):
                raise Failed(f"no line {count}")
            return self.times[count - 1]


@contextlib.contextmanager
def printing(words, **options):
    """A process at work while the body runs, and its lines."""
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True, **options) as child:
        try:
            yield child, Lines(child)
        finally:
            os.killpg(child.pid, 15)


def write(path, number):
    """Writes a file; returns when it was closed."""
    with path.open("w") as file:
        file.write(f"file {number}\n" * 100)
    return time.perf_counter()


def watching(pv, folder):
    words = [os.environ["PV"], "--json", "watch", str(folder), "data", "--settle", f"{SETTLE:g}s"]
    return printing(words, env={**os.environ, **pv.env()})


def to_commit(bench, place, table):
    pv, folder = Pv(place), place / "in"
    pv.fresh()
    folder.mkdir()
    series = Series()
    with watching(pv, folder) as (_, lines):
        for number in range(bench.sizes.closed_files + 1):
            closed = write(folder / f"{number}", number)
            took = lines.wait(number + 1) - closed
            if number > 0:  # one first makes it warm
                series.add(took)
    rows(table, "file closed to commit durable", series, target=DURABLE)


def to_user_code(bench, place, table):
    pv, folder = Pv(place), place / "served"
    pv.fresh()
    folder.mkdir()
    pv.pv("config", "set", "executor", "process")
    spec = place / "stamp.yml"
    spec.write_text(
        f"pipeline: {{name: stamp}}\ntransform: {{image: '{IMAGE}', cmd: [sh, -c, 'echo first line']}}\n"
        "input: {pfs: {repo: data, glob: '/*'}}\n"
    )
    pv.pv("pipeline", "apply", "-f", spec)
    pv.pv("watch", "add", folder, "data", "--settle", f"{SETTLE:g}s")
    series = Series()
    with serving(pv):
        for number in range(min(bench.sizes.closed_files, 25) + 1):
            write(folder / f"{number}", number)
            closed = time.time()
            began = began_after(pv, closed)
            if number > 0:
                series.add(began - closed)
    rows(table, "file closed to the first line of user code (`pv serve`, process executor)", series)


def began_after(pv, closed):
    """When the first try after this time began."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        time.sleep(0.2)
        with contextlib.suppress(Failed, ValueError):  # there is none yet
            if (began := started(pv)) > closed:
                return began
    raise Failed("no try began")


def git(bench, place, table):
    """The same from tools that everybody has. There nothing settles: what is half written is committed so."""
    if not shutil.which("inotifywait"):
        table.note("`inotifywait` is not installed here: git was not measured.")
        return
    folder = place / "git"
    folder.mkdir()
    for words in (["init", "-q"], ["config", "user.name", "bench"], ["config", "user.email", "bench@example.com"]):
        run("git", *words, cwd=folder)
    loop = (
        "inotifywait -q -m -e close_write --format %f --exclude '\\.git' . | "
        "while read -r file; do git add -- \"$file\" && git commit -q -m \"$file\" && sync -f . && echo \"$file\"; done"
    )
    series = Series()
    with printing(["bash", "-c", loop], cwd=folder) as (_, lines):
        time.sleep(1)  # until it watches: it says nothing when it does
        for number in range(bench.sizes.closed_files + 1):
            closed = write(folder / f"{number}", number)
            took = lines.wait(number + 1) - closed
            if number > 0:
                series.add(took)
    rows(table, "`inotifywait`, `git add`, `git commit` and `sync`, without a time to settle", series)


def at_rest(bench, place, table):
    pv, folder = Pv(place), place / "many"
    pv.fresh()
    for number in range(bench.sizes.watched_files // 100):
        (folder / f"d{number:04}").mkdir(parents=True)
        for file in range(100):
            (folder / f"d{number:04}" / f"f{file:02}").write_text(f"{number} {file}")
    ticks = os.sysconf("SC_CLK_TCK")
    with watching(pv, folder) as (child, lines):
        lines.wait(1)
        time.sleep(5)
        begin, before = time.monotonic(), cpu(child.pid)
        time.sleep(bench.sizes.rest_seconds)
        share = 100 * (cpu(child.pid) - before) / ticks / (time.monotonic() - begin)
    table.note(f"At rest: {bench.sizes.watched_files:,} files, CPU time over {bench.sizes.rest_seconds} s, as a share of one core.")
    table.value("at rest", share, "percent", target=AT_REST)


def cpu(pid):
    """CPU time of a process so far, in ticks."""
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return int(fields[11]) + int(fields[12])
