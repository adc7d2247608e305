"""`pv serve`: from a commit to the first line of user code; and runs that find nothing to do."""

import contextlib
import datetime
import json
import os
import pathlib
import subprocess
import time

from measure import Failed, Series, run
from report import at_most
from tools import Pv

TITLE = "`pv serve`: from commit to user code, and runs with nothing to do"
IMAGE = "pv-test-busybox:1"
ROOT = pathlib.Path(__file__).parents[3]
TO_USER_CODE = at_most(0.03)
NO_OP = at_most(0.05)
COMMITS = 25  # one first makes the sandbox warm
PIPELINES = 10


def measure(bench, place, table):
    floors(place, table)
    executors = ["process"]
    if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        run(ROOT / "tests/images/busybox.sh")
        executors.append("docker")
    else:
        table.note("No Docker daemon answers here: only the process executor was measured.")
    for executor in executors:
        bench.say(executor)
        latency(place, table, executor)
        nothing(bench, place, table, executor)


def floors(place, table):
    """What no way through a process, a durable commit and a shell can be below."""
    start, sync = Series(), Series()
    for _ in range(COMMITS):
        start.add(run(os.environ["PV"], "version"))
    with (place / "synced").open("wb") as file:
        for _ in range(COMMITS):
            file.write(b"x")
            file.flush()
            begin = time.perf_counter()
            os.fsync(file.fileno())
            sync.add(time.perf_counter() - begin)
    table.row("floor: `pv version`, the start of a process", start)
    table.row("floor: one `fsync` of a byte; a put needs three, one after the other", sync)


@contextlib.contextmanager
def serving(pv):
    """`pv serve` at work while the body runs."""
    with open(os.devnull, "wb") as nowhere:
        with subprocess.Popen([os.environ["PV"], "serve"], env={**os.environ, **pv.env()}, stdout=nowhere, stderr=nowhere) as child:
            try:
                deadline = time.monotonic() + 30
                while not (pv.folder / ".pv/socket").exists():
                    if child.poll() is not None or time.monotonic() > deadline:
                        raise Failed("pv serve does not answer")
                    time.sleep(0.01)
                yield
            finally:
                child.terminate()
    if child.returncode != 0:
        raise Failed(f"pv serve ended with {child.returncode}")


def latency(place, table, executor):
    """From the call of `pv put` to the start of user code, as the try's `started_at` says."""
    pv = Pv(place)
    pv.fresh()
    pv.pv("config", "set", "executor", executor)
    spec = place / "stamp.yml"
    spec.write_text(
        f"pipeline: {{name: stamp}}\ntransform: {{image: '{IMAGE}', cmd: [sh, -c, 'echo first line']}}\n"
        "input: {pfs: {repo: data, glob: '/*'}}\n"
    )
    pv.pv("pipeline", "apply", "-f", spec)
    to_code, to_end = Series(), Series()
    with serving(pv):
        for number in range(COMMITS + 1):
            file = place / f"file{number}"
            file.write_text(str(number))
            called, begin = time.time(), time.perf_counter()
            pv.unsettled("put", "data", file)  # settling would count
            pv.unsettled("wait", "stamp")
            took = time.perf_counter() - begin
            if number > 0:
                to_code.add(started(pv) - called)
                to_end.add(took)
            time.sleep(0.1)
    table.row(f"{executor}: `pv put` of a file to the first line of user code, warm, median of {COMMITS}", to_code, target=TO_USER_CODE)
    table.row(f"{executor}: `pv put` and `pv wait`, to the end of the job", to_end)


def started(pv):
    """When the newest try of the pipeline started, in seconds of the epoch."""
    tries = [json.loads(line) for line in pv.pv("--json", "logs", "stamp").output.splitlines()]
    newest = max(one["started_at"] for one in tries)
    return datetime.datetime.fromisoformat(newest).timestamp()


def nothing(bench, place, table, executor):
    """Ten pipelines, each reading the one before, all current."""
    pv = Pv(place)
    pv.fresh()
    pv.pv("config", "set", "executor", executor)
    pv.pv("repo", "create", "aside")
    before, specs = "data", []
    for number in range(PIPELINES):
        specs.append(
            f"pipeline: {{name: p{number}}}\ntransform: {{image: '{IMAGE}', cmd: [sh, -c, 'cp -r /pfs/{before}/* /pfs/out/']}}\n"
            f"input: {{pfs: {{repo: {before}, glob: /}}}}\n"
        )
        before = f"p{number}"
    spec = place / "chain.yml"
    spec.write_text("---\n".join(specs))
    pv.put(spec)
    pv.pv("pipeline", "apply", "-f", spec)
    pv.pv("run")
    none, unread, beside = Series(), Series(), Series()
    for number in range(bench.sizes.runs * 3):
        none.add(pv.pv("run"))
        file = place / f"aside{number}"
        file.write_text(str(number))
        pv.pv("put", "aside", file)
        unread.add(pv.pv("run"))
    with serving(pv):
        for _ in range(bench.sizes.runs * 3):
            beside.add(pv.pv("run"))
    table.row(f"{executor}: `pv run` over {PIPELINES} pipelines with nothing to do", none, target=NO_OP)
    table.row(f"{executor}: the same after a commit that none of them reads", unread, target=NO_OP)
    table.row(f"{executor}: the same beside `pv serve`", beside, target=NO_OP)
