"""The server beside nginx: small files, pages of lists, a large file both ways; the command line through it; many clients and listeners."""

import json
import os
import pathlib
import subprocess

import inputs
import web
from measure import Failed, Series, run
from report import at_most, times
from sizes import GIB, KIB, MIB
from tools import Pv

TITLE = "The server"
CONNECTIONS = (1, 16, 64)
IDLE = at_most(60 * MIB, "binary")
EVENT = at_most(0.05)


def measure(bench, place, table):
    table.note(
        f"On loopback without TLS, `--rate 0`; nginx has {os.cpu_count()} workers, serves the same files and stores without `fsync` (a `sync` is within the time of its "
        "uploads). Clients (`wrk -t1`, `curl`, the command line, Python) run on the same cores."
    )
    source = place / "source"
    inputs.small_files(source, bench.sizes.small_files)
    pv = Pv(place)
    pv.fresh()
    pv.put(source)
    with web.nginx(place, source) as nginx, web.serving(pv) as server:
        table.value("memory of an idle server, just started", server.memory(), "binary", target=IDLE)
        requests(bench, place, table, nginx, server)
        listeners(bench, table, server)
        clients(bench, table, pv, server)
        table.value("memory of the server after all that", server.memory(), "binary")
    small(bench, place, table, source)
    large(bench, place, table)
    flat(bench, place, table)


def requests(bench, place, table, nginx, server):
    """Both in turn, so that whatever else the machine does meets both."""
    files = [f"/d{number % 100:02}/f{number // 100:03}.bin" for number in range(1000)]
    commit = "/api/v1/repos/data/commits/main/files"
    folders = range(100)
    for what, theirs, ours, counts in (
        ("`GET` of a small file", files, [commit + file for file in files], CONNECTIONS),
        ("list of a folder", [f"/d{at:02}/" for at in folders], [f"{commit}?directory=/d{at:02}&limit=1000" for at in folders], CONNECTIONS[1:2]),
    ):
        for connections in counts:
            bench.say(f"{what}, {connections} connections")
            took = {name: [Series("rate"), Series(), Series()] for name in ("nginx", "pv")}
            for _ in range(bench.sizes.runs):
                place.settle()
                for each, paths in ((nginx, theirs), (server, ours)):
                    for series, value in zip(took[each.name], web.wrk(each, paths, connections, bench.sizes.asked_seconds, place)):
                        series.add(value)
            for name, one, other in zip(("each second", "median", "99 %"), took["pv"], took["nginx"]):
                table.row(f"{what}, {connections} at a time: {name}", one, against=("nginx", other))


def clients(bench, table, pv, server):
    count, commits = bench.sizes.clients, bench.sizes.commits_each
    bench.say(f"{count} clients commit")
    before = len(pv.pv("--json", "log", "data").output.splitlines())
    done, seconds = web.commit_together(server, count, commits)
    log = [json.loads(line) for line in pv.pv("--json", "log", "data", "-n", str(10 * count * commits)).output.splitlines()]
    ids = [commit["id"] for commit in log]
    if len(ids) != before + len(done) or len(set(ids)) != len(ids) or not {one for one, _ in done} <= set(ids):
        raise Failed(f"{len(done)} commits were acknowledged, {len(ids) - before} are there")
    for newer, older in zip(log, log[1:]):
        if newer["parents"] != [older["id"]]:
            raise Failed(f"the history is not linear at {newer['id']}")
    what = f"{count} clients commit a file to one branch, {commits} each: none lost, history linear"
    table.value(f"{what}: each second", len(done) / seconds, "rate")
    took = sorted(took for _, took in done)
    table.value("the same: a commit, median", took[len(took) // 2], "seconds")
    table.value("the same: a commit, 99 %", took[len(took) * 99 // 100], "seconds")


def listeners(bench, table, server):
    """From the answer to a commit to its event, and from the request, at each listener."""
    program = server.folder.parent / "listen"
    run("cc", "-O2", "-o", program, pathlib.Path(__file__).parents[1] / "listen.c")
    count = bench.sizes.listeners
    bench.say(f"{count} listen")
    lines = run(program, server.port, server.token, count, bench.sizes.heard_commits, "heard").output.splitlines()
    both = [[int(word) / 1e6 for word in line.split()] for line in lines]
    for name, column, target in (("after the commit's answer", 1, EVENT), ("after its request", 0, None)):
        took = sorted(line[column] for line in both)
        table.value(f"{count:,} listeners: an event {name}, median", took[len(took) // 2], "seconds")
        table.value(f"{count:,} listeners: an event {name}, 99 %", took[len(took) * 99 // 100], "seconds", target=target)


def small(bench, place, table, source):
    """The command line through a server against the same in the store itself."""
    inputs.grow_old(bench)
    place.warm("source")
    took = {name: Series() for name in ("embedded", "again", "through", "through again")}
    for number in range(bench.sizes.large_runs):
        bench.say(f"{bench.sizes.small_files:,} files, run {number + 1}")
        pv = Pv(place)
        pv.fresh()
        took["embedded"].add(pv.put(source))
        took["again"].add(pv.put(source))
        pv.fresh()
        with web.serving(pv) as server:
            for name in ("through", "through again"):
                place.settle()
                took[name].add(run(os.environ["PV"], "put", "data", source, env=server.env))
    table.row(f"`put` of {bench.sizes.small_files:,} files through the server", took["through"], against=("in the store", took["embedded"]), target=times(2))
    table.row("`put` again, nothing changed", took["through again"], against=("in the store", took["again"]), target=at_most(0.3))


def large(bench, place, table):
    size = bench.sizes.large_bytes
    place.memory = 3 * size
    first, second = place / "first", place / "second"
    inputs.random_bytes(bench.helper, first, size)
    place.run("sh", "-c", f"(head -c {size // 2} first; head -c {KIB} /dev/urandom; tail -c +{size // 2 + 1} first) > second", cwd=place.folder)
    took = {}
    (place / "www").mkdir()
    for number in range(bench.sizes.large_runs):
        bench.say(f"a large file, run {number + 1}")
        pv = Pv(place)
        pv.fresh()
        with web.nginx(place, place / "www") as nginx, web.serving(pv) as server:
            both = ((nginx, f"{nginx.url}/dav/large"), (server, f"{server.url}/api/v1/repos/data/branches/main/files/large"))
            for each, url in both:
                rate(took, "up", each.name, size, place.run("curl", "-fsS", "-o", "/dev/null", *each.auth, "-T", first, url, synced=each is nginx))
            for each, url in both:
                url = url.replace("branches", "commits")
                rate(took, "down", each.name, size, place.run("curl", "-fsS", "-o", "/dev/null", *each.auth, url))
            pv.pv("repo", "create", "cli")
            for name, file in (("cli", first), ("insert", second)):
                before = web.received(server)
                place.settle()
                done = run(os.environ["PV"], "put", "cli", file, "--as", "/large", env=server.env)
                rate(took, "up", name, size, done)
                sent = web.received(server) - before
            took.setdefault("sent", Series("binary")).add(sent)
            place.clear("got")
            rate(took, "down", "cli", size, place.run(os.environ["PV"], "get", "cli:/large", place.clear("got"), env=server.env))
            if number == 0:
                place.run("cmp", second, place / "got/large")
        place.clear("www/dav")
    table.row(f"{size / MIB:,.0f} MiB up by `curl -T`, a second", took["up", "pv"], against=("nginx + sync", took["up", "nginx"]))
    table.row("the same by the command line, a second", took["up", "cli"], against=("nginx + sync", took["up", "nginx"]))
    table.row("the same down by `curl`, a second", took["down", "pv"], against=("nginx", took["down", "nginx"]))
    table.row("the same down by the command line, into a file, a second", took["down", "cli"], against=("nginx, `curl` into nothing", took["down", "nginx"]))
    table.row("`put` of it with 1 KiB inserted: sent", took["sent"], target=at_most(2 * MIB, "binary"))
    for name in ("first", "second", "got", "www"):
        place.clear(name)


def rate(took, way, name, size, done):
    took.setdefault((way, name), Series("byte rate")).add(size / done.seconds)


def flat(bench, place, table):
    """A long upload: numbers as text, all of it different, which is stored in a tenth of the room."""
    size = bench.sizes.upload_bytes
    bench.say(f"{size / GIB:.0f} GiB up")
    pv = Pv(place)
    pv.fresh()
    with web.serving(pv) as server:
        numbers = subprocess.Popen(["sh", "-c", f"seq 1 10000000000 | head -c {size}"], stdout=subprocess.PIPE)
        with numbers, web.Watched(server) as watched:
            done = run("curl", "-fsS", "-o", "/dev/null", *server.auth, "-T", "-", f"{server.url}/api/v1/repos/data/branches/main/files/huge", stdin=numbers.stdout)
    first, second = (Series("binary", [peak]) for peak in watched.peaks())
    what = f"{size / GIB:.0f} GiB of numbers up by `curl`"
    table.value(f"{what}, a second", size / done.seconds, "byte rate")
    table.row("its peak memory, second half", second, against=("first half", first), target=times(1.25))
    table.value("its peak memory", max(watched.seen), "binary", target=at_most(256 * MIB, "binary"))
