"""What one datum costs: a command that does nothing, against the plainest ways to start it, in the same run."""

import os
import pathlib
import shutil
import subprocess

from measure import Series, run
from tools import Pv

TITLE = "The engine: what a datum costs"
IMAGE = "pv-test-busybox:1"
ROOT = pathlib.Path(__file__).parents[3]
AIM = 1.5e-3  # seconds a datum beyond xargs
FEW = 50  # of what takes long


def measure(bench, place, table):
    datums = bench.sizes.datums_cost
    numbers = place / "numbers"
    numbers.mkdir()
    for number in range(datums):
        (numbers / str(number)).write_text(str(number))
    each = lambda done, count: done.seconds / count  # noqa: E731
    xargs = Series()
    for _ in range(bench.sizes.runs):
        xargs.add(each(place.run("sh", "-c", f"seq {datums} | xargs -n1 -P2 sh -c true"), datums))
    table.row(f"rival: `xargs -n1 -P2 sh -c true`, of {datums:,}", xargs)
    executors = ["process"]
    if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        run(ROOT / "tests/images/busybox.sh")
        executors.append("docker")
        docker(bench, place, table, each)
    else:
        table.note("No Docker daemon answers here: only the process executor was measured.")
    model(place, numbers)
    for executor in executors:
        bench.say(executor)
        cost, shared = Series(), Series()
        for _ in range(bench.sizes.runs):
            cost.add(each(job(place, executor, numbers, "/*", []), datums))
            shared.add(each(job(place, executor, place / "few", "/*", [place / "model"]), FEW))
        table.row(f"{executor}: `sh -c true`, of {datums:,}, two at a time, whole `pv run`", cost, against=("xargs", xargs))
        beyond = cost.median - xargs.median
        table.note(f"{executor}: {beyond * 1e3:.2f} ms a datum beyond xargs; aim: {AIM * 1e3:.1f} ms{'' if beyond <= AIM else ', MISSED'}.")
        table.row(f"{executor}: `sh -c true` beside a model of 256 MiB, of {FEW}, whole `pv run`", shared)


def docker(bench, place, table, each):
    """The rivals that a container costs, one at a time."""
    kept = f"pv-bench-{os.getpid()}"
    place.run("docker", "run", "-d", "--rm", "--name", kept, IMAGE, "sleep", "1000")
    try:
        inside, whole = Series(), Series()
        for _ in range(bench.sizes.rival_runs):
            loop = f"for n in $(seq {FEW}); do docker exec {kept} sh -c true; done"
            inside.add(each(place.run("sh", "-c", loop), FEW))
            few = FEW // 5
            loop = f"for n in $(seq {few}); do docker run --rm {IMAGE} sh -c true; done"
            whole.add(each(place.run("sh", "-c", loop), few))
    finally:
        subprocess.run(["docker", "rm", "-f", kept], capture_output=True)
    table.row(f"rival: `docker exec … sh -c true`, of {FEW}", inside)
    table.row(f"rival: `docker run --rm … sh -c true`, of {FEW // 5}", whole)


def model(place, numbers):
    """A few of the numbers, and a large file that each of them is read with."""
    (place / "few").mkdir()
    for number in range(FEW):
        shutil.copy(numbers / str(number), place / "few")
    (place / "model").mkdir()
    with open(place / "model/weights", "wb") as weights:
        for _ in range(256):
            weights.write(os.urandom(1 << 20))


def job(place, executor, files, glob, beside):
    """A job over files, each beside all of other folders, in a store of its own."""
    pv = Pv(place)
    pv.fresh()
    pv.pv("config", "set", "executor", executor)
    pv.put(files)
    inputs = [f"{{pfs: {{repo: data, glob: '{glob}'}}}}"]
    for folder in beside:
        pv.pv("repo", "create", folder.name)
        pv.pv("put", folder.name, folder)
        inputs.append(f"{{pfs: {{repo: {folder.name}, glob: /}}}}")
    spec = place / "datums.yml"
    spec.write_text(
        f"pipeline: {{name: work}}\ntransform: {{image: '{IMAGE}', cmd: [sh, -c, 'true']}}\n"
        f"parallelism_spec: {{constant: 2}}\ninput: {{cross: [{', '.join(inputs)}]}}\n"
    )
    pv.pv("pipeline", "apply", "-f", spec)
    return pv.pv("run", "-j", "2")
