"""One more file for a pipeline of very many datums: nothing may cost what all of them would."""

import json

from measure import Failed, Series
from report import Target, at_most
from tools import Pv

TITLE = "One new file among very many datums"
TWICE = Target("≤ 2 ×", lambda value, against: value <= 2 * against)
FEW = 1_000
REPEATS = 5


def pfs(repo, glob, more=""):
    return f"{{pfs: {{repo: {repo}, glob: '{glob}'{more}}}}}"


# The input, and the names of the files that make datum number n: of `data`, and of `other`, if it has as many.
KINDS = {
    "pfs": (pfs("data", "/*"), "{n}", None),
    "cross": (f"{{cross: [{pfs('data', '/*')}, {pfs('other', '/')}]}}", "{n}", None),
    "join": (
        f"{{join: [{pfs('data', '/(*).a', ', join_on: $1')}, {pfs('other', '/(*).b', ', join_on: $1')}]}}", "{n}.a", "{n}.b"
    ),
    "group": (
        f"{{group: [{pfs('data', '/(*).a', ', group_by: $1')}, {pfs('other', '/(*).b', ', group_by: $1')}]}}", "{n}.a", "{n}.b"
    ),
}


def measure(bench, place, table):
    many = bench.sizes.many_datums
    table.note(f"Process executor, the command is `true`; the time is that of `pv run` after a `put` of one file: plan, run, seal. Median of {REPEATS}.")
    for kind in KINDS:
        few = one_more(bench, place, kind, FEW)
        took = one_more(bench, place, kind, many)
        table.row(f"{kind}: {many:,} datums, one file more", took, against=(f"at {FEW:,}", few), target=TWICE)
        table.row(f"{kind}: the same, in itself", took, target=at_most(0.3))


def one_more(bench, place, kind, count):
    """The times of `pv run` for one file more, where there are so many datums."""
    bench.say(f"{kind}, {count:,} datums")
    source, data, other = KINDS[kind]
    pv = Pv(place)
    pv.fresh()
    pv.pv("repo", "create", "other")
    pv.pv("config", "set", "executor", "process")
    files(place, pv, "data", [data.format(n=n) for n in range(count)])
    files(place, pv, "other", [other.format(n=n) for n in range(count + REPEATS)] if other else ["model"])
    spec = place / "spec.yml"
    spec.write_text(f"pipeline: {{name: work}}\ntransform: {{image: 'none:1', cmd: ['true']}}\ninput: {source}\n")
    pv.pv("pipeline", "apply", "-f", spec)
    pv.pv("run")
    took = Series()
    before = datums(pv)
    for number in range(count, count + REPEATS):
        files(place, pv, "data", [data.format(n=number)])
        took.add(pv.pv("run"))
        total, processed = datums(pv)
        if processed != 1:
            raise Failed(f"{kind}: one file more runs {processed} datums")
    if kind != "group" and total != before[0] + REPEATS:
        raise Failed(f"{kind}: {before[0]} datums became {total}")
    return took


def datums(pv):
    """All datums of the newest job, and those that ran."""
    job = json.loads(pv.pv("--json", "job", "show", "work").output)
    return job["datums_total"], job["datums_processed"]


def files(place, pv, repo, names):
    """Puts files, each with its name as content."""
    folder = place.clear("files")
    folder.mkdir()
    for name in names:
        (folder / name).write_text(name)
    pv.pv("put", repo, folder)
