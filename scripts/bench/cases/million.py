"""A job of very many datums: what the engine needs in memory may not grow with them."""

from report import at_most
from sizes import MIB
from tools import Pv

TITLE = "Memory of a job of very many datums"
FOLDER = 1_000  # files a folder


def measure(bench, place, table):
    count = bench.sizes.million_datums
    table.note("Process executor, the command is `true`, two at a time; the peak of the largest process of `pv run` from start to end.")
    # A quarter of them tells whether it grows.
    for datums in (count // 4, count):
        bench.say(f"{datums:,} datums")
        source = place.clear("source")
        place.run(bench.helper, "tree", source, datums, FOLDER, 10)
        pv = Pv(place)
        pv.fresh()
        pv.pv("config", "set", "executor", "process")
        pv.pv("put", "data", source)
        spec = place / "spec.yml"
        spec.write_text("pipeline: {name: work}\ntransform: {image: 'none:1', cmd: ['true']}\ninput: {pfs: {repo: data, glob: '/*/*'}}\n")
        pv.pv("pipeline", "apply", "-f", spec)
        done = pv.pv("run")
        target = at_most(512 * MIB, "binary") if datums == count else None
        table.value(f"{datums:,} datums: peak memory", done.peak_bytes, "binary", target=target)
        table.value(f"{datums:,} datums: a datum", done.seconds / datums, "seconds")
