"""The page on a large store: how long the server takes for each view, how much of it travels, and what it costs in a browser."""

import contextlib
import gzip
import html.parser
import http.client
import json
import pathlib
import random
import re
import threading
import time
import urllib.parse
import urllib.request

import chromium
import web
from measure import Failed, Series, run
from report import at_most
from sizes import MIB
from tools import Pv

TITLE = "The page"
ROOT = pathlib.Path(__file__).parents[3]
FOLDER = 1_000  # files a folder
SHARE = 5  # datums of one recipe, so that most of a large job need not be executed
SOURCES = 20  # repositories that people write to
CHANGED = 1_000  # files in which two commits differ
ASKED = 20  # times each view
LOG_BYTES = 16 * MIB
RUN = (0, 1)  # some pipelines fail
SERVER = at_most(0.05)
TRAVELS = at_most(60_000, "bytes")
NAMED = 12  # views that are listed by name
PAINT = at_most(0.5)
LOADS = 10  # times each view in the browser
ROWS = at_most(2_000, "count")  # of a log
TABS = 13  # a browser opens six connections to a server over HTTP/1.1
HEARD = at_most(1.0)  # until the last tab shows a change
SENDERS = 8  # who make changes together
SHARE_OF_CORE = at_most(15, "percent")  # of the page, while much happens
# Views that may take longer than others, by the beginning of their address.
SLOWER = {"/graph?all": at_most(0.15), "/diff": at_most(0.3)}


def measure(bench, place, table):
    sizes = bench.sizes
    table.note(
        f"{sizes.page_pipelines:,} pipelines and as many repositories, {sizes.many_files:,} files, {sizes.page_datums:,} datums in a job, "
        f"{sizes.page_runs:,} runs. One address of each shape that links lead to, {ASKED} times each over one connection on loopback; the 95th percentile."
    )
    pv = Pv(place)
    pv.fresh()
    make(bench, place, pv)
    with web.serving(pv) as server:
        runs(bench, server)
        views(table, server, known(pv))
        table.value("memory of the server after all that", server.memory(), "binary")
        with chromium.running() as browser:
            in_browser(bench, table, server, browser)
    if not table.scaled:
        layouts(bench, table)


def views(table, server, first):
    """Each view: those with a limit of their own, the slowest and the largest by name; of the others what they take at most."""
    measured = {path: asked(server, path) for path in walk(server, first)}
    limit = {path: next((limit for start, limit in SLOWER.items() if path.startswith(start)), SERVER) for path in measured}
    slowest = sorted(measured, key=lambda path: (limit[path] is SERVER, -measured[path][0]))
    slowest = [path for path in slowest if path in first or limit[path] is SERVER]
    for path in slowest[:NAMED]:
        table.value(f"`{shape(path)}`: server", measured[path][0], "seconds", target=limit[path])
    rest = [path for path in measured if path not in slowest[:NAMED]]
    table.value(f"the {len(rest)} others: server, at most", max(measured[path][0] for path in rest), "seconds", target=SERVER)
    largest = sorted(measured, key=lambda path: -measured[path][1])
    for path in largest[:NAMED]:
        table.value(f"`{shape(path)}`: travels", measured[path][1], "bytes", target=TRAVELS)
    table.value(f"the {len(largest[NAMED:])} others: travels, at most", max(measured[path][1] for path in largest[NAMED:]), "bytes", target=TRAVELS)


def in_browser(bench, table, server, browser):
    """What people wait for, and what a page takes while it is open."""
    url = f"http://localhost:{server.port}"
    tab = browser.tab()
    tab.log_in(url, server.token)
    for name, path in (
        ("the overview", "/"),
        ("the whole graph", "/graph?all"),
        ("a repository", "/repos/data"),
        ("a job of many datums", "/jobs/wide"),
        ("a log of 16 MiB", "/jobs/loud/log"),
    ):
        bench.say(f"{name} in Chromium")
        painted = Series()
        for _ in range(LOADS):
            tab.open(url + path)
            tab.until("a paint", "performance.getEntriesByName('first-contentful-paint').length > 0")
            painted.add(tab.value("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000)
        table.row(f"{name}: first paint", painted, target=PAINT)
    table.value("a log of 16 MiB: lines in the page", tab.value("document.querySelectorAll('.log code').length"), "count", target=ROWS)
    many_tabs(bench, table, server, browser, url)
    much_happens(bench, table, server, browser, url)


def layouts(bench, table):
    """Places of a graph's nodes, beside another layout in Rust; crossings of edges as straight lines."""
    bench.say("layouts of graphs; compiles what makes them")
    example = ("--package", "web", "--features", "bench", "--example", "layouts")
    made = run("cargo", "run", "--quiet", "--release", "--locked", *example, cwd=ROOT)
    for line in made.output.splitlines():
        graph = json.loads(line)
        what = f"layout of {graph['nodes']:,} nodes with {graph['edges']:,} edges"
        for words, field, unit in ((what, "seconds", "seconds"), (f"{what}: crossings", "crossings", "count")):
            ours, theirs = (Series(unit, [graph[whose][field]]) for whose in ("ours", "theirs"))
            table.row(words, ours, against=("`rust-sugiyama`", theirs))


def change(server, repo, message):
    address = f"{server.url}/api/v1/repos/{repo}/branches/main/files/seen?message={message}"
    request = urllib.request.Request(address, message.encode(), {"Authorization": f"Bearer {server.token}"}, method="PUT")
    with urllib.request.urlopen(request) as answer:
        answer.read()


def many_tabs(bench, table, server, browser, url):
    """A change is seen in each of many tabs."""
    bench.say(f"{TABS} tabs")
    tabs = [browser.tab() for _ in range(TABS)]
    for tab in tabs:
        tab.open(f"{url}/repos/others")
    took = Series()
    for number in range(LOADS):
        message = f"change-{number}"
        start = time.perf_counter()
        change(server, "others", message)
        for tab in tabs:
            tab.until("the change", f"document.querySelector('main').textContent.includes('{message}')")
        took.add(time.perf_counter() - start)
    table.row(f"a change is seen in {TABS} tabs over HTTP/1.1", took, target=HEARD)
    for tab in tabs:
        tab.call("Page.close")


def much_happens(bench, table, server, browser, url):
    """The part of a core that an open page takes while changes arrive."""
    seconds = bench.sizes.beside_seconds
    bench.say(f"changes for {seconds} s")
    tab = browser.tab()
    tab.open(f"{url}/graph?all")
    deadline, counts, events = time.monotonic() + seconds, [0] * SENDERS, [0]

    def listen():
        request = urllib.request.Request(f"{server.url}/api/v1/events?progress=true", headers={"Authorization": f"Bearer {server.token}"})
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=seconds) as stream:
            for line in stream:
                events[0] += line.startswith(b"data:")

    def send(sender):
        while time.monotonic() < deadline:
            change(server, f"beside-{sender}", f"{sender}-{counts[sender]}")
            counts[sender] += 1

    senders = [threading.Thread(target=send, args=(sender,)) for sender in range(SENDERS)]
    threading.Thread(target=listen, daemon=True).start()
    before, start = browser.renderers(), time.perf_counter()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    took = time.perf_counter() - start
    table.value(f"events a second for {seconds} s, of {sum(counts):,} commits", events[0] / took, "rate")
    part = 100 * (browser.renderers() - before) / took
    table.value("meanwhile the whole graph, open in a tab, takes of a core", part, "percent", target=SHARE_OF_CORE)


def make(bench, place, pv):
    """The store, but for its many runs."""
    sizes = bench.sizes
    pv.pv("config", "set", "executor", "process")
    for sender in range(SENDERS):
        pv.pv("repo", "create", f"beside-{sender}")
    graph(bench, place, pv)
    bench.say(f"{sizes.page_datums:,} datums in a job")
    parts, others = place / "parts", place / "others"
    place.run(bench.helper, "tree", parts, sizes.page_datums // SHARE, FOLDER, 10)
    others.mkdir()
    for number in range(SHARE):
        (others / str(number)).write_text(str(number))
    for name, folder in (("parts", parts), ("others", others)):
        pv.pv("repo", "create", name)
        pv.pv("put", name, folder)
    data = "{pfs: {repo: parts, glob: '/*/*'}}"
    apply(place, pv, stage("once", data, "true"))
    pv.pv("run", ok=RUN)
    apply(place, pv, stage("wide", f"{{cross: [{data}, {{pfs: {{repo: others, glob: '/*', reference: true}}}}]}}", "true"))
    pv.pv("config", "set", "log_max", str(2 * LOG_BYTES))
    apply(place, pv, stage("loud", "{pfs: {repo: others, glob: '/0'}}", f"seq 1 1000000000 | head -c {LOG_BYTES}"))
    pv.pv("run", ok=RUN)
    bench.say(f"{sizes.many_files:,} files")
    source = place / "source"
    place.run(bench.helper, "tree", source, sizes.many_files, FOLDER, 100)
    pv.put(source)
    folders = sorted(source.iterdir())
    for number in range(CHANGED):
        folder = folders[number % len(folders)]
        sorted(folder.iterdir())[number // len(folders) % 10].write_text(f"changed {number}\n")
    pv.put(source)


def graph(bench, place, pv):
    """Pipelines that each read one or two of what is before them; one in twenty fails."""
    count = bench.sizes.page_pipelines
    bench.say(f"{count} pipelines")
    numbers = random.Random(3)
    seed = place / "seed"
    seed.write_text("seed\n")
    names = [f"source-{number:02}" for number in range(min(SOURCES, count))]
    for name in names:
        pv.pv("repo", "create", name)
        pv.pv("put", name, seed, "--as", "/seed")
    specs = []
    for number in range(count):
        near = names[-3 * SOURCES :]
        read = sorted(set(numbers.choices(near, k=2)))
        inputs = [f"{{pfs: {{repo: {repo}, glob: '/', empty_files: true}}}}" for repo in read]
        name = f"stage-{number:03}"
        script = "exit 1" if number % 20 == 19 else f"echo {number} > /pfs/out/{number}"
        specs.append(stage(name, inputs[0] if len(inputs) == 1 else f"{{cross: [{', '.join(inputs)}]}}", script))
        names.append(name)
    folder = place / "specs"
    folder.mkdir()
    for number, spec in enumerate(specs):
        (folder / f"{number:03}.yml").write_text(spec)
    pv.pv("pipeline", "apply", "-f", folder)
    pv.pv("run", ok=RUN)


def stage(name, source, script):
    return f"pipeline: {{name: {name}}}\ndatum_tries: 1\ntransform: {{image: 'none:1', cmd: [sh, -c, {json.dumps(script)}]}}\ninput: {source}\n"


def apply(place, pv, spec):
    file = place / "spec.yml"
    file.write_text(spec)
    pv.pv("pipeline", "apply", "-f", file)


def runs(bench, server):
    """A commit is a run."""
    count = bench.sizes.page_runs
    bench.say(f"{count:,} runs")
    web.commit_together(server, min(50, count), count // min(50, count))


def known(pv):
    """Addresses that are looked at besides those that links lead to."""
    commits = [json.loads(line)["id"] for line in pv.pv("--json", "log", "data", "-n", "3").output.splitlines()]
    job = json.loads(pv.pv("--json", "job", "list", "wide", "-n", "1").output.splitlines()[0])
    name = f"{job['pipeline']}@{job['run']}"
    return [
        "/",
        "/graph?all",
        f"/diff?old={commits[-1]}&new={commits[0]}",
        f"/jobs/{urllib.parse.quote(name)}?input={urllib.parse.quote('/d0000/f0000')}",
    ]


class Links(html.parser.HTMLParser):
    """The links of a page to other pages."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attributes):
        named = dict(attributes)
        if tag == "a" and "download" not in named:
            self.found.append((named.get("href") or "").split("#")[0])


def shape(path):
    """What addresses of one kind have in common: names and numbers become `*`."""
    path, _, query = path.partition("?")
    parts = [part if number % 2 == 1 else "*" for number, part in enumerate(path.split("/"))]
    below = "/".join(parts)
    below = re.sub(r"/files/.*", "/files/*", below)
    names = sorted({pair.split("=")[0] for pair in query.split("&") if pair})
    return "/" + below.removeprefix("*/").removeprefix("*") + ("?" + "&".join(names) if names else "")


def walk(server, first):
    """One address of each shape."""
    found, waiting = {}, list(first)
    with connection(server) as ask:
        for path in waiting:
            if shape(path) in found:
                continue
            status, body, _ = ask(path)
            if status != 200 and path in first and path != "/":
                continue  # a view that is not there
            if status != 200:
                raise Failed(f"{path}: {status}")
            found[shape(path)] = path
            links = Links()
            links.feed(body.decode())
            waiting += [link for link in links.found if link.startswith("/") and not link.startswith(("/api/", "/assets/"))]
    return list(found.values())


@contextlib.contextmanager
def connection(server):
    """Asks for pages over one connection: status, page, and the bytes that travelled."""
    channel = http.client.HTTPConnection("127.0.0.1", server.port)
    headers = {"Authorization": f"Bearer {server.token}", "Accept-Encoding": "gzip"}

    def ask(path):
        channel.request("GET", path, headers=headers)
        answer = channel.getresponse()
        body = answer.read()
        is_packed = answer.headers.get("content-encoding") == "gzip"
        return answer.status, gzip.decompress(body) if is_packed else body, len(body)

    try:
        yield ask
    finally:
        channel.close()


def asked(server, path):
    """The 95th percentile of seconds, and the bytes that travel."""
    took = Series()
    with connection(server) as ask:
        ask(path)
        for _ in range(ASKED):
            start = time.perf_counter()
            status, _, sent = ask(path)
            took.add(time.perf_counter() - start)
            if status != 200:
                raise Failed(f"{path}: {status}")
    return sorted(took.values)[len(took.values) * 95 // 100 - 1], sent
