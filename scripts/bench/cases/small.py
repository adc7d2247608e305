"""Many small incompressible files: images, as analysts commit them."""

import collections

import floors
import inputs
from measure import Failed, Series
from report import above, at_most, times
from tools import Borg, Git, Pv, Restic, check_same, rivals

TITLE = "1. Small incompressible files"


def measure(bench, place, table):
    sizes = bench.sizes
    source = place / "source"
    inputs.small_files(source, sizes.small_files)
    total = sum(file.stat().st_size for file in source.rglob("*.bin"))
    table.note(f"{sizes.small_files:,} files of 4–40 kB in 100 folders, {total / 1e6:.0f} MB.")
    inputs.grow_old(bench)
    place.warm("source")
    pv, others = Pv(place), rivals(place, Borg, Restic, Git)
    took = collections.defaultdict(Series)
    for number in range(sizes.runs):
        bench.say(f"run {number + 1} of {sizes.runs}")
        took["cp"].add(floors.copy(place, source))
        took["sha256sum"].add(floors.hash_all(place, source))
        for tool in [pv, *others] if number < sizes.rival_runs else [pv]:
            round_trip(bench, place, source, tool, took, check=number == 0)
            if tool is not pv:
                place.clear(tool.folder.name)
    report(table, took, others, sizes, pv)


def round_trip(bench, place, source, tool, took, check):
    """One tool from an empty store to its files brought back."""

    def add(step, done):
        return took[step, tool.name].add(done)

    tool.fresh()
    add("put", tool.put(source))
    took["look"].add(floors.look(place, source, bench.helper))
    add("same", tool.put(source))
    with inputs.changed(source, bench.sizes.changed_files):
        add("delta", tool.put(source))
        listed = add("diff", tool.diff()).output
        add("get", tool.get(place.clear("got")))
        for file in ("new000.bin", "f000.bin"):
            if file not in listed:
                raise Failed(f"{tool.name} does not list {file} as changed")
        if check:
            got = place / "got"
            # restic restores under the whole path where it put `.`
            check_same(place, source, got if (got / "d00").exists() else got / source.relative_to("/"))
    place.clear("got")


def report(table, took, others, sizes, pv):
    cp = ("cp -r + sync", took["cp"])

    def row(what, step, **options):
        table.row(what, took[step, "pv"], rivals={tool.name: took[step, tool.name] for tool in others}, **options)

    table.row("floor: `cp -r` + `sync`", took["cp"])
    table.row(f"floor: `sha256sum`, {floors.THREADS} processes", took["sha256sum"], against=cp)
    row("first `put`", "put", against=cp, target=times(0.9))
    row("`put` again, nothing changed", "same", against=("lstat walk", took["look"]), target=above(0.06))
    row(f"`put` of {sizes.changed_files} new, {sizes.changed_files} changed", "delta", against=cp, target=at_most(0.15))
    row("`diff --name-only` of the two", "diff", target=at_most(0.015))
    row("`get` of all + `sync`", "get", against=cp, target=times(1.1))
    table.value("store files after it", pv.stored()[1], "count", target=at_most(20, "count"))
