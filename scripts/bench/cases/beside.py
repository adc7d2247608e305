"""What readers wait for while somebody else's long `put` runs."""

import contextlib
import os
import subprocess
import threading
import time

import disk
from measure import Series, run
from report import at_most
from tools import Pv

TITLE = "9. Readers beside a long put"
LIMIT = at_most(0.1)


class Readers:
    """`ls`, `log` and `cat`, one after the other, again and again beside a put; the seconds that each took."""

    def __init__(self, pv, file):
        self.pv = pv
        self.commands = {"ls": ["ls", f"data:{file.rpartition('/')[0]}"], "log": ["log", "data", "-n", "20"], "cat": ["cat", f"data:{file}"]}
        self.took = {name: Series() for name in self.commands}
        self.failure = None
        self.done = threading.Event()

    @contextlib.contextmanager
    def beside(self):
        """Reads while the body runs; a reader that fails fails the case."""
        thread = threading.Thread(target=self.read)
        thread.start()
        try:
            yield
        finally:
            self.done.set()
            thread.join()
        if self.failure:
            raise self.failure

    def read(self):
        try:
            while not self.done.is_set():
                for name, command in self.commands.items():
                    self.took[name].add(run(os.environ["PV"], *command, env=self.pv.env()))
                time.sleep(0.02)
        except Exception as failure:  # noqa: BLE001 (handed to the thread that waits)
            self.failure = failure

    def report(self, table, beside):
        for name, series in self.took.items():
            table.value(f"slowest `{name}` of {len(series.values):,} beside {beside} (median {Series('seconds', [series.median])})",
                        max(series.values), "seconds", target=LIMIT)


def measure(bench, place, table):
    seconds = bench.sizes.beside_seconds
    size = min(seconds * 100_000_000, (disk.free_bytes() - 4 * disk.GIB) // 2)
    source = place / "source"
    (source / "d").mkdir(parents=True)
    for number in range(1_000):
        (source / f"d/f{number:03}").write_text(f"file {number}\n")
    pv = Pv(place)
    pv.fresh()
    pv.put(source)
    pv.pv("repo", "create", "long")
    place.settle()
    bench.say(f"{seconds} s")
    readers = Readers(pv, "/d/f500")
    start = time.monotonic()
    with subprocess.Popen([bench.helper, "paced", str(size), "1", str(seconds)], stdout=subprocess.PIPE) as feed, readers.beside():
        pv.pv("put", "long", "-", "--as", "/large", stdin=feed.stdout)
    table.note(f"One put of {size / 1e6:,.0f} MB from a pipe, at an even pace: {time.monotonic() - start:.0f} s.")
    readers.report(table, "it")
