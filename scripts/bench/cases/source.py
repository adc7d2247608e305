"""A source tree: many small text files that compress well and resemble each other."""

import collections

import floors
import inputs
from measure import Series
from report import Target, at_most, times
from tools import Borg, Git, Pv, Restic, rivals

TITLE = "3. A source tree"


def measure(bench, place, table):
    sizes = bench.sizes
    source = place / "source"
    bench.say("unpacking")
    inputs.source_tree(source, sizes.source_parts)
    files = [file.lstat() for file in source.rglob("*") if file.is_file()]
    table.note(f"{inputs.SOURCE}: {len(files):,} text files, {sum(file.st_size for file in files) / 1e6:,.0f} MB.")
    inputs.grow_old(bench)
    place.warm("source")
    pv, others = Pv(place), rivals(place, Borg, Restic, Git)
    took = collections.defaultdict(Series)
    stored = collections.defaultdict(lambda: Series("bytes"))
    for number in range(sizes.large_runs):
        bench.say(f"run {number + 1} of {sizes.large_runs}")
        took["cp"].add(floors.copy(place, source))
        place.clear("copy")
        for tool in [pv, *others] if number < sizes.rival_runs else [pv]:
            tool.fresh()
            took["put", tool.name].add(tool.put(source))
            stored[tool.name].add(tool.stored()[0])
            took["look"].add(floors.look(place, source, bench.helper))
            took["same", tool.name].add(tool.put(source))
            if tool is pv:
                took["get", "pv"].add(pv.get(place.clear("got")))
                if number == 0:
                    place.run("diff", "-rq", source, place / "got")
                place.clear("got")
            place.clear(tool.folder.name)
    report(table, took, stored, others)


def report(table, took, stored, others):
    cp = ("cp -r + sync", took["cp"])

    def row(what, step, **options):
        table.row(what, took[step, "pv"], rivals={tool.name: took[step, tool.name] for tool in others}, **options)

    table.row("floor: `cp -r` + `sync`", took["cp"])
    row("first `put`", "put", against=cp, target=times(1))
    no_more = Target("no more than restic", lambda value, against: value <= against)
    table.row("stored", stored["pv"], against=("restic", stored["restic"]), target=no_more,
              rivals={tool.name: stored[tool.name] for tool in others})
    row("`put` again, nothing changed", "same", against=("lstat walk", took["look"]), target=at_most(0.3))
    row("`get` of all + `sync`", "get", against=cp)
