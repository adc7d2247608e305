"""A job of very many datums: what the engine needs in memory may not grow with them."""

from measure import Failed
from report import at_most
from sizes import MIB
from tools import Pv

from cases.change import datums

TITLE = "Memory of a job of very many datums"
FOLDER = 1_000  # files a folder
SHARE = 5  # datums of one recipe


def measure(bench, place, table):
    count = bench.sizes.million_datums
    table.note(
        "Process executor, the command is `true`, two at a time; the peak of the largest process of `pv run` from start to end. "
        f"The last job crosses the files with {SHARE} outside the recipe: {SHARE} datums of each recipe, planned, looked up and kept one by one, none executed."
    )
    bench.say("making the files")
    source = place / "source"
    place.run(bench.helper, "tree", source, count // SHARE, FOLDER, 10)
    others = place / "others"
    others.mkdir()
    for number in range(SHARE):
        (others / str(number)).write_text(str(number))
    pv = Pv(place)
    pv.fresh()
    pv.pv("repo", "create", "other")
    pv.pv("config", "set", "executor", "process")
    pv.pv("put", "data", source)
    pv.pv("put", "other", others)
    data = "{pfs: {repo: data, glob: '/*/*'}}"
    job(bench, place, table, pv, f"{count // SHARE:,} datums, each executed", data, count // SHARE)
    wide = f"{{cross: [{data}, {{pfs: {{repo: other, glob: '/*', reference: true}}}}]}}"
    job(bench, place, table, pv, f"{count:,} datums, none executed", wide, count)


def job(bench, place, table, pv, what, source, count):
    bench.say(what)
    spec = place / "spec.yml"
    spec.write_text(f"pipeline: {{name: work}}\ntransform: {{image: 'none:1', cmd: ['true']}}\ninput: {source}\n")
    pv.pv("pipeline", "apply", "-f", spec)
    done = pv.pv("run")
    if datums(pv)[0] != count:
        raise Failed(f"{what}: it was of {datums(pv)[0]:,}")
    table.value(f"{what}: peak memory", done.peak_bytes, "binary", target=at_most(512 * MIB, "binary"))
    table.value(f"{what}: a datum", done.seconds / count, "seconds")
