"""Trace backward and forward through a chain of stages of very many datums, against a look at every datum."""

import json

from measure import Failed, Series, run
from report import at_most
from tools import Pv

TITLE = "Trace among very many datums"
DEPTH = 5
WORK = 'for file in /pfs/{input}/*; do read -r line < "$file"; echo "$line {name}" > "/pfs/out/${{file##*/}}"; done'


def measure(bench, place, table):
    count = bench.sizes.traced_datums
    table.note(
        f"{DEPTH} stages one after the other, {count:,} datums each, process executor; the file asked about is in the middle. "
        "The scan reads every datum with `pv datum list` until it has the one that read the file, stage after stage."
    )
    pv = Pv(place)
    pv.fresh()
    pv.pv("config", "set", "executor", "process")
    source = place / "source"
    source.mkdir()
    for number in range(count):
        (source / f"f{number}").write_text(f"{number}\n")
    pv.put(source)
    stages = [f"s{number}" for number in range(1, DEPTH + 1)]
    specs = place / "specs"
    specs.mkdir()
    for name, above in zip(stages, ["data", *stages]):
        spec = {
            "pipeline": {"name": name},
            "transform": {"image": "none:1", "cmd": ["sh", "-c", WORK.format(input=above, name=name)]},
            "input": {"pfs": {"repo": above, "glob": "/*"}},
        }
        (specs / f"{name}.json").write_text(json.dumps(spec))
    pv.pv("pipeline", "apply", "-f", specs)
    bench.say(f"{DEPTH} × {count:,} datums")
    pv.pv("run")
    file = f"/f{count // 2}"
    last = f"{stages[-1]}:{file}"
    took = {name: Series() for name in ["back", "forward", "all", "scan"]}
    for _ in range(bench.sizes.runs):
        back = took["back"].add(pv.pv("--json", "trace", last))
        forward = took["forward"].add(pv.pv("--json", "trace", "--forward", f"data:{file}"))
        took["all"].add(pv.pv("--json", "trace", "--forward", "--all-runs", f"data:{file}"))
    bench.say("scan")
    for _ in range(bench.sizes.rival_runs):
        took["scan"].add(scan(pv, stages, file))
    if json.loads(back.output)["datums"] != DEPTH or len(json.loads(forward.output)["readers"]) != DEPTH:
        raise Failed("not every stage was found")
    against = ("scan", took["scan"])
    table.row(f"`pv trace` of a file of the last of {DEPTH} stages", took["back"], against=against, target=at_most(0.05))
    table.row("`pv trace --forward` of a source file", took["forward"], against=against, target=at_most(0.1))
    table.row("`pv trace --forward --all-runs`", took["all"], against=against)


def scan(pv, stages, file):
    """The time for all stages."""
    seconds = 0
    for stage in stages:
        script = f'"$PV" --json datum list {stage} | grep -m1 -F \'"path":"{file}"\''
        done = run("sh", "-c", script, env=pv.env())
        if not done.output:
            raise Failed(f"no datum of {stage} read {file}")
        seconds += done.seconds
    return seconds
