"""Two commits of very many files that differ in few: against a comparison of everything."""

from measure import Failed, Series
from report import at_most
from tools import Pv

TITLE = "Differences of two very large commits"
CHANGES = 1_000
FOLDER = 1_000  # files a folder
TARGET = at_most(0.1)


def measure(bench, place, table):
    count = bench.sizes.many_files
    table.note(f"{count:,} files of 100 B in each, of which {CHANGES:,} differ. The scan lists both commits and compares the lists with `diff`.")
    bench.say("making the files")
    source = place / "source"
    place.run(bench.helper, "tree", source, count, FOLDER, 100)
    pv = Pv(place)
    pv.fresh()
    bench.say("put")
    table.value(f"`put` of {count:,} files, with their history", pv.put(source).seconds, "seconds")
    folders = sorted(folder for folder in source.iterdir())
    for number in range(CHANGES):
        folder = folders[number % len(folders)]
        sorted(folder.iterdir())[number // len(folders)].write_text(f"changed {number}\n")
    pv.put(source)
    took = {name: Series() for name in ["--name-only", "--stat", "scan"]}
    for _ in range(bench.sizes.large_runs):
        for how in ["--name-only", "--stat"]:
            done = took[how].add(pv.pv("diff", how, "data@main^", "data@main"))
            if how == "--name-only" and len(done.output.splitlines()) != CHANGES:
                raise Failed(f"{len(done.output.splitlines())} of {CHANGES} differences were found")
        both = 'for rev in main^ main; do "$PV" --json ls -r "data@$rev" > "list-$rev"; done; diff "list-main^" list-main | grep -c "^>"'
        scan = took["scan"].add(pv.run("sh", "-c", both, cwd=place.folder))
        if int(scan.output) != CHANGES:
            raise Failed(f"the scan found {scan.output.strip()}")
    for how in ["--name-only", "--stat"]:
        table.row(f"`pv diff {how}`", took[how], against=("scan", took["scan"]), target=TARGET)
