"""The history of one path among very many commits, against a walk over all of them."""

import json

from measure import Failed, Series
from report import at_most
from tools import Git, Pv, rivals

TITLE = "The history of a path"
EVERY = 500  # of so many commits one changes the path that is asked about
TARGET = at_most(0.05)


def measure(bench, place, table):
    commits = bench.sizes.commits
    changes = len(range(0, commits, EVERY))
    table.note(
        f"{commits:,} commits of one file each, {changes} of them of the path that is asked about. git has the same history and walks it; "
        "the whole process counts."
    )
    bench.say("git")
    (git,) = rivals(place, Git)
    git.fresh()
    with open(place / "stream", "w") as stream:
        for number in range(commits):
            mark = f"mark :{number + 1}\n" + "committer bench <bench> " + f"{1_700_000_000 + number} +0000\n"
            stream.write(f"commit refs/heads/main\n{mark}data 1\nx\n" + file(number) + "\n")
    with open(place / "stream") as stream:
        git.run("git", "fast-import", "--quiet", stdin=stream)
    bench.say("pv")
    pv = Pv(place)
    pv.fresh()
    source = place / "new"
    for number in range(commits):
        source.write_text(f"{number}\n")
        pv.unsettled("put", "data", source, "--as", path(number))
    took = {name: Series() for name in ["log", "first", "introduced", "find", "git", "all"]}
    for _ in range(bench.sizes.runs):
        log = took["log"].add(pv.pv("--json", "log", "data:/watched"))
        took["first"].add(pv.pv("log", "data:/d07/f7"))
        took["introduced"].add(pv.pv("trace", "data:/watched"))
        took["find"].add(pv.pv("find", "f7"))
        walked = took["git"].add(git.run("git", "log", "--format=%H", "main", "--", "watched"))
        took["all"].add(pv.pv("--json", "log", "data"))
    if (found := len(log.output.splitlines())) != changes or len(walked.output.split()) != changes:
        raise Failed(f"{found} of {changes} changes were found")
    if any(json.loads(line)["change"] is None for line in log.output.splitlines()):
        raise Failed("a commit does not say what it did")
    walk = ("`git log -- path`", took["git"])
    table.row("`pv log data:/watched`", took["log"], against=walk, target=TARGET)
    table.row("`pv log` of a path that one early commit added", took["first"], against=walk, target=TARGET)
    table.row("`pv trace` of a source file: the commit that introduced it", took["introduced"], against=walk, target=TARGET)
    table.row("`pv find NAME`", took["find"], against=walk)
    table.row("the scan: `pv log data` of all commits", took["all"])


def path(number):
    return "/watched" if number % EVERY == 0 else f"/d{number % 100:02}/f{number}"


def file(number):
    content = f"{number}\n"
    return f"M 644 inline {path(number)[1:]}\ndata {len(content)}\n{content}"
