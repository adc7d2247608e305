"""Specs by the hundred, as people publish them: checked, applied, listed and shown."""

import json
import pathlib
import sys

from measure import Failed, Series, run
from report import at_most
from tools import Pv

TITLE = "990 published pipeline specs"
SCRIPT = pathlib.Path(__file__).parents[2] / "public-specs.py"


def measure(bench, place, table):
    table.note("YAML and JSON in both styles, 825 files (`scripts/public-specs.py`); process executor, so no image is pulled; each apply is into a new store.")
    folder = place / "public"
    run(sys.executable, SCRIPT, folder)
    good, wrong = folder / "good", folder / "wrong"
    took = {name: Series() for name in ["check", "refuse", "apply", "again", "list", "show"]}
    for _ in range(bench.sizes.runs):
        pv = Pv(place)
        pv.fresh()
        pv.pv("config", "set", "executor", "process")
        pv.pv("config", "set", "default_branch", "master")
        for repo in (folder / "repos").read_text().split():
            pv.pv("repo", "create", repo)
        for line in (folder / "secrets").read_text().splitlines():
            name, *keys = line.split()
            pv.pv("secret", "create", name, *[f"{key}={folder / 'repos'}" for key in keys])
        took["check"].add(pv.pv("pipeline", "check", "-f", good))
        took["refuse"].add(pv.pv("pipeline", "check", "-f", wrong, ok=(2,)))
        took["apply"].add(pv.pv("pipeline", "apply", "-f", good))
        took["again"].add(pv.pv("pipeline", "apply", "-f", good))
        listed = took["list"].add(pv.pv("--json", "pipeline", "list"))
        took["show"].add(pv.pv("pipeline", "show", json.loads(listed.output.splitlines()[-1])["name"]))
        if len(listed.output.splitlines()) != 990:
            raise Failed("not all were applied")
    table.row("`pv pipeline check` of all", took["check"], target=at_most(1))
    table.row("`pv pipeline check` of 48 that are wrong", took["refuse"], target=at_most(1))
    table.row("`pv pipeline apply` of all", took["apply"], target=at_most(5))
    table.row("`pv pipeline apply` of all once more: nothing differs", took["again"], target=at_most(5))
    table.row("`pv pipeline list` of all", took["list"], target=at_most(1))
    table.row("`pv pipeline show` of one", took["show"], target=at_most(1))
