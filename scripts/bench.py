#!/usr/bin/env python3
"""Measures pv against floors and rivals in the same run and writes the table into BENCHMARKS.md.

Usage: bench.py [bench|bench-quick], with PV naming the binary. As root the files lie on a fresh journalled ext4 in a loop-mounted image,
since a file system without a journal creates files many times slower after mass deletes; else in the temporary folder.
Every figure is the median of RUNS runs; the page cache is warm; a `sync` runs, untimed, before each step.
"""

import contextlib
import datetime
import os
import pathlib
import platform
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

PV = os.environ["PV"]
QUICK = sys.argv[1:] == ["bench-quick"]
RUNS = 3 if QUICK else 5
FILES = 20_000
DATUMS = 1_000
IMAGE = "pv-test-busybox:1"


@contextlib.contextmanager
def workplace():
    """A folder to measure in, and what it lies on."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary, "work")
        folder.mkdir()
        image = pathlib.Path(temporary, "disk")
        mounted = False
        if os.geteuid() == 0:
            with open(image, "wb") as disk:
                disk.truncate(12 << 30)
            mounted = (
                subprocess.run(["mkfs.ext4", "-q", image]).returncode == 0
                and subprocess.run(["mount", "-o", "loop", image, folder]).returncode == 0
            )
        try:
            yield folder, "fresh ext4 with journal, loop-mounted" if mounted else "the temporary folder's file system"
        finally:
            if mounted:
                subprocess.run(["umount", "-l", folder], check=True)


def call(*args, cwd=None, store=None, **options):
    env = {**os.environ, "PV_AUTHOR": "bench"}
    if store:
        env["PV_STORE"] = str(store)
    return subprocess.run([str(arg) for arg in args], cwd=cwd, env=env, check=True, capture_output=True, **options)


def seconds(action):
    os.sync()
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def make_files(folder):
    random.seed(1)
    for directory in range(100):
        place = folder / f"d{directory:02}"
        place.mkdir(parents=True)
        for number in range(FILES // 100):
            (place / f"f{number:03}.bin").write_bytes(random.randbytes(random.randint(4096, 40960)))


def new_store(work, name):
    store = work / name
    shutil.rmtree(store, ignore_errors=True)
    call(PV, "init", store)
    call(PV, "repo", "create", "data", store=store)
    return store


def bench_store(work, rows):
    source = work / "source"
    make_files(source)
    megabytes = sum(path.stat().st_size for path in source.rglob("*.bin")) / 1e6
    figures = {name: [] for name in ["cp", "put", "same", "one", "ls", "beside", "get"]}
    for _ in range(RUNS):
        shutil.rmtree(work / "copy", ignore_errors=True)
        figures["cp"].append(seconds(lambda: (call("cp", "-r", source, work / "copy"), os.sync())))
        store = new_store(work, "store")
        figures["put"].append(seconds(lambda: call(PV, "put", "data", source, store=store)))
        figures["same"].append(seconds(lambda: call(PV, "put", "data", source, store=store)))
        changed = work / "f000.bin"
        changed.write_bytes(random.randbytes(20_000))
        figures["one"].append(seconds(lambda: call(PV, "put", "data:/d00", changed, store=store)))
        figures["ls"].append(seconds(lambda: call(PV, "ls", "data:/d00", store=store)))
        shutil.rmtree(work / "got", ignore_errors=True)
        figures["get"].append(seconds(lambda: call(PV, "get", "data", work / "got", store=store)))
    figures["beside"].append(slowest_ls_beside_a_put(work))
    files = len(list((work / "store/.pv/packs").iterdir()))
    cp = statistics.median(figures["cp"])

    def row(what, name, rival="", against=None):
        value = statistics.median(figures[name])
        rows.append((what, f"{value:.3f} s", rival, f"{value / against:.2f}" if against else ""))

    size = f"{FILES:,} files of 4–40 KB, {megabytes:.0f} MB"
    rows.append((f"`cp -r` + `sync` of {size}", f"{cp:.3f} s", "", "1.00"))
    row("first `put` of them, durable", "put", "cp -r + sync", cp)
    row("`put` again, nothing changed", "same", "cp -r + sync", cp)
    row("`get` of all", "get", "cp -r + sync", cp)
    row("`put` of one changed file", "one")
    row("`ls` of a folder", "ls")
    row("slowest `ls` while a long `put` runs", "beside")
    rows.append(("store files after it", str(files), "", ""))


def slowest_ls_beside_a_put(work):
    """A put that takes at least ten seconds (its input comes slowly), and ls beside it, again and again."""
    store = new_store(work, "beside")
    call(PV, "put", "data", work / "source/d00", store=store)
    env = {**os.environ, "PV_STORE": str(store), "PV_AUTHOR": "bench"}
    put = subprocess.Popen([PV, "put", "data", "-", "--as", "/large"], stdin=subprocess.PIPE, env=env,
                           stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def feed():
        end = time.monotonic() + (3 if QUICK else 10)
        while time.monotonic() < end:
            put.stdin.write(random.randbytes(4 << 20))
        put.stdin.close()

    feeder = threading.Thread(target=feed)
    feeder.start()
    slowest = 0.0
    while feeder.is_alive():
        start = time.perf_counter()
        call(PV, "ls", "data", store=store)
        slowest = max(slowest, time.perf_counter() - start)
        time.sleep(0.05)
    feeder.join()
    put.wait()
    return slowest


def bench_datums(work, rows):
    numbers = work / "numbers"
    numbers.mkdir()
    for number in range(DATUMS):
        (numbers / str(number)).write_text(str(number))
    line = "\n".join(map(str, range(DATUMS)))
    xargs = statistics.median(
        seconds(lambda: call("xargs", "-n1", "-P2", "sh", "-c", "true", input=line.encode())) for _ in range(RUNS)
    )
    rows.append((f"`xargs -n1 -P2 sh -c true`, {DATUMS:,} times", f"{xargs:.3f} s", "", "1.00"))
    executors = ["process"]
    if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        call(pathlib.Path(__file__).parent.parent / "tests/images/busybox.sh")
        executors.append("docker")
        runs = [seconds(lambda: call("docker", "run", "--rm", IMAGE, "sh", "-c", "true")) for _ in range(5)]
        rows.append(("`docker run --rm … true`, once", f"{statistics.median(runs):.3f} s", "", ""))
    spec = work / "work.yml"
    spec.write_text(
        f"pipeline: {{name: work}}\ntransform: {{image: '{IMAGE}', cmd: [sh, -c, 'true']}}\n"
        "parallelism_spec: {constant: 2}\ninput: {pfs: {repo: data, glob: '/*'}}\n"
    )
    for executor in executors:
        figures = {"run": [], "next": [], "none": []}
        for _ in range(RUNS):
            store = new_store(work, f"runs-{executor}")
            call(PV, "config", "set", "executor", executor, store=store)
            call(PV, "put", "data", numbers, store=store)
            call(PV, "pipeline", "apply", "-f", spec, store=store)
            figures["run"].append(seconds(lambda: call(PV, "run", store=store)))
            call(PV, "put", "data", spec, store=store)
            figures["next"].append(seconds(lambda: call(PV, "run", store=store)))
            figures["none"].append(seconds(lambda: call(PV, "run", store=store)))
        whole, next_one, none = (statistics.median(figures[name]) for name in ("run", "next", "none"))
        rows.append((f"{executor}: one job of {DATUMS:,} datums `sh -c true`, two at a time, `pv run` from start to end",
                     f"{whole:.3f} s", "xargs", f"{whole / xargs:.2f}"))
        rows.append((f"{executor}: one more file, then `pv run`", f"{next_one:.3f} s", "", ""))
        rows.append((f"{executor}: `pv run` with nothing to do", f"{none:.3f} s", "", ""))


def main():
    rows = []
    with workplace() as (work, disk):
        bench_store(work, rows)
        bench_datums(work, rows)
    version = call(PV, "version").stdout.decode().split("\n")[0]
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), "?")
    header = (
        "# Benchmarks\n\n"
        f"By `make {'bench-quick' if QUICK else 'bench'}`, {datetime.date.today()}: {version}; {os.cpu_count()} cores ({cpu}), "
        f"Linux {platform.release()}; {disk}; page cache warm; median of {RUNS}. Ratios travel better than seconds.\n\n"
        "| what | time | against | ratio |\n|---|--:|---|--:|\n"
    )
    table = "".join(f"| {what} | {value} | {rival} | {ratio} |\n" for what, value, rival, ratio in rows)
    target = pathlib.Path(__file__).parent.parent / "BENCHMARKS.md"
    target.write_text(header + table)
    print(header + table)


main()
