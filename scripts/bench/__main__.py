"""Measures pv against floors and rivals in the same run and writes the tables into BENCHMARKS.md.

With PV naming the binary. Each step: everything before it is synced, untimed; the page cache is warm; the median of several runs counts.
A case that fails is shown as failed, the others go on, and the exit code is 1.
"""

import argparse
import dataclasses
import datetime
import os
import pathlib
import platform
import shutil
import signal
import sys
import tempfile
import time
import traceback

import disk
import inputs
from cases import beside, change, datums, diff_million, engine, history, huge, large, many, million, page, scale, serve, server, small, source, specs, trace, watch
from measure import Failed, run
from report import Table
from sizes import FULL, QUICK, Sizes

# Beside comes first: a disk that still frees what earlier cases deleted keeps readers waiting. The report is in the order of titles.
CASES = {
    "beside": beside, "small": small, "large": large, "source": source, "many": many, "huge": huge, "engine": engine, "datums": datums,
    "change": change, "million": million, "serve": serve, "server": server, "trace": trace, "history": history, "diff-million": diff_million,
    "specs": specs, "watch": watch, "page": page, "scale": scale,
}
SPARSE = {"many", "huge", "beside", "change", "million", "serve", "server", "trace", "history", "diff-million", "specs", "watch", "page", "scale"}  # too large for a disk that is written in whole before; their targets compare pv with itself, or are limits
TARGET = pathlib.Path(__file__).parents[2] / "BENCHMARKS.md"


class Bench:
    """What all cases share: how much to measure, the helper, and a voice."""

    def __init__(self, sizes: Sizes, helper: pathlib.Path):
        self.sizes = sizes
        self.helper = helper
        self.start = time.monotonic()
        self.case = ""

    def say(self, text):
        print(f"bench: {time.monotonic() - self.start:5.0f} s  {self.case}: {text}", file=sys.stderr, flush=True)

    def measure(self, name, scaled):
        """One case, in a place of its own."""
        case = CASES[name]
        table = Table(case.TITLE, scaled)
        self.case = name
        self.say("begins")
        try:
            written = 0 if name in SPARSE else self.sizes.disk_bytes
            with disk.place(self.helper, written, self.sizes.memory_bytes) as place:
                case.measure(self, place, table)
        except Exception as failure:  # noqa: BLE001 (whatever it is, the other cases are worth having)
            table.failure = str(failure) if isinstance(failure, Failed) else f"{type(failure).__name__}: {failure}"
            self.say(f"FAILED: {table.failure}")
            if not isinstance(failure, Failed):
                traceback.print_exc()
        print(table.markdown(), file=sys.stderr, flush=True)  # what is measured is not lost if a later case is interrupted
        return table


def arguments():
    parser = argparse.ArgumentParser(prog="bench", description="Measure pv against rivals and floors.")
    parser.add_argument("--quick", action="store_true", help="little of everything, in under five minutes; printed only")
    parser.add_argument("--long", action="store_true", help="readers beside a put of ten minutes instead of one, and a job of 1,000,000 datums for workers")
    parser.add_argument("cases", nargs="*", help=f"only these: {' '.join(CASES)}; printed only")
    args = parser.parse_args()
    for case in args.cases:
        if case not in CASES:
            parser.error(f"no case `{case}`; there are: {' '.join(CASES)}")
    return args


def head(args, seconds, sizes):
    version = run(os.environ["PV"], "version").output.split("\n")[0]
    info = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    cpu = next((line.split(":")[1].strip() for line in info if line.startswith("model name")), platform.machine())
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / (1 << 30)
    tools = ", ".join(
        run(*words).output.strip().split("\n")[0].split(" compiled")[0]
        for words in (["git", "--version"], ["borg", "--version"], ["restic", "version"])
        if shutil.which(words[0])
    )
    quick = "**Quick: smaller sizes, fewer runs; no figures to quote, and targets are not judged.** " if args.quick else ""
    return (
        f"# Benchmarks\n\n{quick}By `make {'bench-quick' if args.quick else 'bench'}`, {datetime.date.today()}, in {seconds / 60:.0f} minutes: "
        f"{version}; against {tools or 'no rivals'}; {os.cpu_count()} cores ({cpu}), {memory:.0f} GiB, Linux {platform.release()}.\n\n"
        f"File system: {disk.kind()}. Page cache and free memory warm; all is synced, untimed, before each step. Median of {sizes.runs} runs, of "
        f"{sizes.large_runs} above 1 GiB or 100,000 files, {sizes.rival_runs} of rivals, with least and most in brackets. All steps end with the result on the disk: "
        "rivals, copies and every `get` are followed by a `sync` within their time; a `put` is durable when it returns. "
        "Ratios travel better than seconds.\n"
    )


def main():
    args = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the mounted image goes
    sizes = QUICK if args.quick else FULL
    if args.long:
        sizes = dataclasses.replace(sizes, beside_seconds=600, scale_datums=(*sizes.scale_datums, 1_000_000))
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="pv-bench-") as folder:
        bench = Bench(sizes, inputs.helper(pathlib.Path(folder)))
        tables = [bench.measure(name, args.quick) for name in args.cases or CASES]
    tables.sort(key=lambda table: table.title)
    text = head(args, time.monotonic() - start, sizes) + "".join(f"\n{table.markdown()}" for table in tables)
    if not args.quick and not args.cases:
        TARGET.write_text(text)
    print(text)
    return 1 if any(table.failure for table in tables) else 0


sys.exit(main())
