"""Very many small files, then very many commits and branches on top: nothing may grow with them that should not."""

import collections
import os
import shutil

import inputs
from measure import Series
from report import Target, at_most, times
from sizes import MIB
from tools import Pv

from cases.beside import Readers

TITLE = "4. Very many files, commits and branches"
FOLDER = 1_000  # files a folder
FEW = 20_000
REPEATS = 5  # of each step on one file
TWICE = Target("≤ 2 × before", lambda value, against: value <= 2 * against)


def measure(bench, place, table):
    sizes = bench.sizes
    source = place / "source"
    table.note(f"{sizes.many_files:,} files of 1 KB, {FOLDER:,} a folder.")
    bench.say("making the files")
    place.run(bench.helper, "tree", source, sizes.many_files, FOLDER, 1_000)
    inputs.grow_old(bench)
    place.warm("source")
    few = at_few(place, source)
    pv, took = Pv(place), collections.defaultdict(Series)
    took["cp"].add(place.run("cp", "-r", source, place / "copy", synced=True))
    place.clear("copy")
    for number in range(sizes.large_runs):
        bench.say(f"run {number + 1} of {sizes.large_runs}")
        pv.fresh()
        took["put"].add(pv.put(source))
        took["same"].add(pv.put(source))
    before = one_file_steps(place, pv)
    cp = ("cp -r + sync, once", took["cp"])
    table.row("first `put`", took["put"], against=cp)
    table.row("`put` again, nothing changed", took["same"], against=cp)
    table.row("`put` of one file", before["put"], against=(f"at {FEW:,} files", few), target=times(3))
    table.row("`ls` of a folder", before["ls"])
    table.row("`diff --name-only` of the newest commit", before["diff"])
    table.row("`get` of one file", before["get"], target=at_most(0.02))
    files = pv.stored()[1]
    table.value("store files", files, "count")
    history(bench, place, table, pv, before, files)
    index(bench, place, table, pv)
    readers_beside(bench, place, table, pv)
    table.value("peak memory throughout", pv.peak_bytes, "binary", target=at_most(512 * MIB, "binary"))


def at_few(place, source):
    """The seconds of a one-file put where there are only a few files."""
    part = place / "few"
    part.mkdir()
    for folder in sorted(source.iterdir())[: FEW // FOLDER]:
        shutil.copytree(folder, part / folder.name)
    pv = Pv(place, "few")
    pv.fresh()
    pv.put(part)
    steps = one_file_steps(place, pv)
    place.clear(pv.folder.name)
    place.clear("few")
    return steps["put"]


def one_file_steps(place, pv):
    """Each step on one file, a few times."""
    took = collections.defaultdict(Series)
    file = place / "f0500"
    for _ in range(REPEATS):
        file.write_bytes(os.urandom(1_000))
        took["put"].add(pv.pv("put", "data:/d0010", file))
        took["ls"].add(pv.pv("ls", "data:/d0005"))
        took["diff"].add(pv.diff())
        took["cat"].add(pv.pv("cat", "data:/d0010/f0500"))
        took["get"].add(pv.pv("get", "data:/d0007/f0500", place.clear("got")))
    return took


def history(bench, place, table, pv, before, files):
    """Many one-file commits and some branches, then the same steps again."""
    sizes = bench.sizes
    file = place / "new"
    bench.say(f"{sizes.commits:,} commits")
    took = Series()
    folders = sizes.many_files // FOLDER
    for number in range(sizes.commits):
        file.write_text(f"commit {number}\n")
        took.add(pv.unsettled("put", "data", file, "--as", f"/d{number % folders:04}/new{number // folders}"))
    for number in range(sizes.branches):
        pv.unsettled("branch", "create", f"data@b{number}")
    table.row(f"{sizes.commits:,} one-file commits, each", took)
    table.value(f"store files beyond, after them and {sizes.branches} branches", pv.stored()[1] - files, "count", target=at_most(100, "count"))
    after = one_file_steps(place, pv)
    for step, what in {"put": "`put` of one file", "ls": "`ls` of a folder", "cat": "`cat`", "get": "`get` of one file"}.items():
        table.row(f"{what} after them", after[step], against=("before", before[step]), target=TWICE)


def index(bench, place, table, pv):
    """The index made anew: as part of a whole check, and at the first use after it was lost."""
    bench.say("index")
    check = Series("seconds", [pv.pv("fsck").seconds])
    table.row("`fsck`", check)
    table.row("`fsck --rebuild-index`", Series("seconds", [pv.pv("fsck", "--rebuild-index").seconds]), against=("`fsck`", check))
    shutil.rmtree(pv.folder / ".pv/index", ignore_errors=True)
    table.value("first `ls` after the index was deleted", pv.pv("ls", "data:/d0005").seconds, "seconds")


def readers_beside(bench, place, table, pv):
    """The whole put once more into another repository, as fast as it goes, and readers beside it."""
    bench.say("readers beside the put")
    pv.pv("repo", "create", "more")
    pv.pv("put", "more", place / "f0500")
    readers = Readers(pv, "/d0005/f0500")
    fresh = place / "fresh"
    place.run(bench.helper, "tree", fresh, bench.sizes.many_files // 4, FOLDER, 1_200)
    with readers.beside():
        pv.pv("put", "more", fresh)
    readers.report(table, f"the put of {bench.sizes.many_files // 4:,} more")
