"""Jobs of many datums that do nothing: what the engine itself costs."""

import pathlib
import subprocess

from measure import Series, run
from tools import Pv

TITLE = "The engine: datums that do nothing"
IMAGE = "pv-test-busybox:1"
ROOT = pathlib.Path(__file__).parents[3]


def measure(bench, place, table):
    datums = bench.sizes.datums
    numbers = place / "numbers"
    numbers.mkdir()
    for number in range(datums):
        (numbers / str(number)).write_text(str(number))
    xargs = Series()
    for _ in range(bench.sizes.runs):
        xargs.add(place.run("sh", "-c", f"seq {datums} | xargs -n1 -P2 sh -c true"))
    table.row(f"floor: `xargs -n1 -P2 sh -c true`, {datums:,} times", xargs)
    executors = ["process"]
    if subprocess.run(["docker", "info"], capture_output=True).returncode == 0:
        run(ROOT / "tests/images/busybox.sh")
        executors.append("docker")
        alone = Series()
        for _ in range(bench.sizes.runs):
            alone.add(place.run("docker", "run", "--rm", IMAGE, "sh", "-c", "true"))
        table.row("floor: `docker run --rm … true`, once", alone)
    else:
        table.note("No Docker daemon answers here: only the process executor was measured.")
    spec = place / "work.yml"
    spec.write_text(
        f"pipeline: {{name: work}}\ntransform: {{image: '{IMAGE}', cmd: [sh, -c, 'true']}}\n"
        "parallelism_spec: {constant: 2}\ninput: {pfs: {repo: data, glob: '/*'}}\n"
    )
    for executor in executors:
        bench.say(executor)
        jobs(bench, place, table, executor, numbers, spec, xargs)


def jobs(bench, place, table, executor, numbers, spec, xargs):
    whole, next_one, none = Series(), Series(), Series()
    pv = Pv(place)
    for _ in range(bench.sizes.runs):
        pv.fresh()
        pv.pv("config", "set", "executor", executor)
        pv.put(numbers)
        pv.pv("pipeline", "apply", "-f", spec)
        whole.add(pv.pv("run"))
        pv.put(spec)
        next_one.add(pv.pv("run"))
        none.add(pv.pv("run"))
    title = f"{executor}: one job of {bench.sizes.datums:,} datums `sh -c true`, two at a time, `pv run` from start to end"
    table.row(title, whole, against=("xargs", xargs))
    table.row(f"{executor}: one more file, then `pv run`", next_one)
    table.row(f"{executor}: `pv run` with nothing to do", none)
