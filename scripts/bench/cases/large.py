"""One large incompressible file, and a second version with a little inserted in its middle."""

import collections

import inputs
from measure import Failed, Series
from report import at_most, times
from sizes import KIB, MIB
from tools import Borg, Pv, Restic, check_same, rivals

TITLE = "2. A large incompressible file"


def measure(bench, place, table):
    size = bench.sizes.large_bytes
    place.memory = 3 * size
    first, second = place / "first", place / "second"
    for folder in (first, second):
        folder.mkdir()
    inputs.random_bytes(bench.helper, first / "large", size)
    place.run("sh", "-c", f"(head -c {size // 2} first/large; head -c {KIB} /dev/urandom; tail -c +{size // 2 + 1} first/large) > second/large",
              cwd=place.folder)
    place.warm("first second")
    table.note(f"{size / MIB:,.0f} MiB; then with 1 KiB inserted in the middle. `cp` runs right before `get`, which may find the memory warmer for it.")
    pv, others = Pv(place), rivals(place, Borg, Restic)
    took = collections.defaultdict(Series)
    added = collections.defaultdict(lambda: Series("binary"))
    for number in range(bench.sizes.runs):
        bench.say(f"run {number + 1} of {bench.sizes.runs}")
        took["sha256sum"].add(place.run("sha256sum", first / "large"))
        for tool in [pv, *others] if number < bench.sizes.rival_runs else [pv]:
            tool.fresh()
            took["put", tool.name].add(tool.put(first))
            before = tool.stored()[0]
            took["insert", tool.name].add(tool.put(second))
            added[tool.name].add(tool.stored()[0] - before)
            if tool is pv:  # right before the `get` that it is compared with
                took["cp"].add(place.run("cp", first / "large", place.clear("copy"), synced=True))
                place.clear("copy")
            took["get", tool.name].add(tool.get(place.clear("got")))
            if number == 0:
                check(place, second)
            place.clear("got")
            place.clear(tool.folder.name)
    report(table, took, added, others)


def check(place, second):
    """Restic restores under the whole path of what it put, the others do not."""
    found = next((place / "got").rglob("large"), None)
    if not found:
        raise Failed("nothing was brought back")
    check_same(place, second / "large", found)


def report(table, took, added, others):
    cp, sha = ("cp + sync", took["cp"]), ("sha256sum", took["sha256sum"])

    def row(what, step, **options):
        table.row(what, took[step, "pv"], rivals={tool.name: took[step, tool.name] for tool in others}, **options)

    table.row("floor: `cp` + `sync`", took["cp"])
    table.row("floor: `sha256sum`", took["sha256sum"], against=cp)
    row("first `put`", "put", against=sha, target=times(0.75))
    row("`put` of the second version", "insert", against=sha, target=at_most(1.4))
    table.row("stored for it", added["pv"], target=at_most(MIB, "binary"), rivals={tool.name: added[tool.name] for tool in others})
    row("`get` + `sync`", "get", against=cp, target=times(1.2))
