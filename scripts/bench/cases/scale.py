"""Very many workers of one server: what a datum costs the engine, what it needs in memory, and what stays on the disk."""

import contextlib
import hashlib
import json
import os
import pathlib
import resource
import subprocess
import tempfile
import threading
import time

import web
from measure import Failed, Series, run
from report import Target, at_most
from sizes import KIB, MIB
from tools import Pv

TITLE = "Many workers"
FOLDER = 1_000  # files a folder
COMMAND = 'out="/pfs/out/${data#/pfs/data/}"; mkdir -p "${out%/*}"; sha256sum < "$data" > "$out"'
RATE = Target("≥ 2,000/s", lambda value, _: value >= 2_000)
ENGINE = at_most(0.4e-3)
MEMORY = at_most(400 * MIB, "binary")
TO_JOIN = 300  # seconds
OPEN = {"waiting", "running", "finishing"}  # states of a job that has not ended


def measure(bench, place, table):
    agents = bench.sizes.agents
    table.note(
        f"A datum is a file of 1 KiB and writes a file of 68 bytes. {agents:,} workers with one slot each are one process (`dial/examples/agents.rs`), on the same "
        f"{os.cpu_count()} cores: each dials the server by TLS on loopback with the code of `pv worker join`, fetches and keeps files, in memory, and runs a function in "
        "place of the command. Engine time is user and system time of `pv serve`. The output tree is compared with that of a put of what must come out."
    )
    program = compiled(bench)
    certify(place)
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
    alone = here(bench, place, bench.sizes.datums_cost)
    table.row(f"without workers: the process executor, {bench.sizes.datums_cost:,} datums, two at a time: each second", alone)
    for count in bench.sizes.scale_datums:
        there(bench, place, table, program, count, alone)


def compiled(bench):
    """The program with the workers."""
    bench.say("compiles the workers")
    run("cargo", "build", "--quiet", "--release", "--locked", "--package", "dial", "--example", "agents", cwd=web.ROOT)
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or web.ROOT / "target")
    # Below a folder of the platform, if cargo was told to build for one.
    found = [*target.glob("release/examples/agents"), *target.glob("*/release/examples/agents")]
    return max(found, key=lambda program: program.stat().st_mtime)


def certify(place):
    """A certificate for this machine, and its key."""
    names = "subjectAltName=DNS:localhost,IP:127.0.0.1"
    words = "openssl req -x509 -newkey rsa:2048 -nodes -keyout key.pem -out cert.pem -days 2 -subj /CN=localhost -addext".split()
    run(*words, names, "-addext", "basicConstraints=critical,CA:FALSE", cwd=place.folder)


def filled(place, bench, executor, count):
    """A store with so many files, all in one commit, and the spec that is to be applied to it."""
    source = place.clear("source")
    place.run(bench.helper, "tree", source, count, FOLDER, KIB)
    pv = Pv(place)
    pv.fresh()
    pv.pv("config", "set", "executor", executor)
    pv.put(source)
    spec = place / "scale.json"
    spec.write_text(
        json.dumps(
            {
                "pipeline": {"name": "work"},
                "transform": {"cmd": ["sh", "-c", COMMAND]},
                "parallelism_spec": {"constant": bench.sizes.agents},
                "input": {"pfs": {"repo": "data", "glob": "/*/*"}},
            }
        )
    )
    return pv, source, spec


def here(bench, place, count):
    """How many datums this machine executes by itself."""
    bench.say(f"{count:,} datums without workers")
    pv, source, spec = filled(place, bench, "process", count)
    pv.pv("pipeline", "apply", "-f", spec)
    pv.pv("run", "-j", "2")
    check(place, pv, source)
    return Series("rate", [count / job(pv)["duration_seconds"]])


def there(bench, place, table, program, count, alone):
    """The same by workers; then one file changes."""
    bench.say(f"{count:,} datums by {bench.sizes.agents:,} workers")
    what = f"{count:,} datums"
    pv, source, spec = filled(place, bench, "workers", count)
    before = stored(pv)
    with serving(pv, place) as server, joined(bench, server, program) as workers:
        check_joined(bench, pv)
        table.value(f"{what}: memory of the engine when all have joined", server.memory(), "binary")
        engine, others = cpu_seconds(server.child.pid), cpu_seconds(workers.pid)
        pv.unsettled("pipeline", "apply", "-f", spec)
        ended = until_ended(pv)
        engine, others = cpu_seconds(server.child.pid) - engine, cpu_seconds(workers.pid) - others
        table.row(f"{what}: each second, from start to end of the job", Series("rate", [count / ended["duration_seconds"]]), against=("without workers", alone), target=RATE)
        table.value(f"{what}: engine time a datum", engine / count, "seconds", target=ENGINE)
        table.value(f"{what}: time of the workers a datum", others / count, "seconds")
        table.value(f"{what}: peak memory of the engine", server.memory("VmHWM"), "binary", target=MEMORY)
        if ended["datums_processed"] != count:
            raise Failed(f"{ended['datums_processed']:,} of {count:,} datums were executed")
        table.value(f"{what}, then one file changes: from its `put` to the end of the job", one_changes(pv, source), "seconds")
    for part, bytes_ in stored(pv).items():
        table.value(f"{what}: {part}, bytes a datum", (bytes_ - before[part]) / count, "bytes")
    bench.say("checks what came out")
    check(place, pv, source)


def one_changes(pv, source):
    """The seconds from the put of one file with other bytes to the end of the job that it causes."""
    file = source / "d0000/f0000"
    file.write_bytes(os.urandom(KIB))
    start = time.perf_counter()
    pv.unsettled("put", "data", file, "--as", "/d0000/f0000")
    pv.unsettled("wait", "work")
    seconds = time.perf_counter() - start
    if job(pv)["datums_processed"] != 1:
        raise Failed(f"one changed file ran {job(pv)['datums_processed']:,} datums")
    return seconds


@contextlib.contextmanager
def serving(pv, place):
    """`pv serve` with TLS, without a limit on requests; and what a worker needs in its environment."""
    port = web.free_port()
    token = pv.pv("-q", "token", "create", "agents", "--role", "worker").output.strip()
    tls = ["--tls-cert", place / "cert.pem", "--tls-key", place / "key.pem"]
    with web.running("pv", [os.environ["PV"], "serve", "--listen", f"127.0.0.1:{port}", "--rate", "0", *tls], port, pv.folder, pv.env()) as server:
        server.url = f"https://127.0.0.1:{port}"
        server.env = {"PV_TOKEN": token, "PV_CA": str(place / "cert.pem"), "NO_PROXY": "127.0.0.1"}
        yield server


@contextlib.contextmanager
def joined(bench, server, program):
    """The workers, once all have joined. What they keep is in memory where that can be: the disks of other machines would not slow the engine's down."""
    memory = pathlib.Path("/dev/shm")
    with tempfile.TemporaryDirectory(prefix="pv-bench-", dir=memory if memory.is_dir() else None) as folder:
        words = [program, server.url, str(bench.sizes.agents), folder]
        with subprocess.Popen(words, env={**os.environ, **server.env}, stdout=subprocess.PIPE) as child:
            too_late = threading.Timer(TO_JOIN, child.kill)
            too_late.start()
            try:
                if not child.stdout.readline():
                    raise Failed(f"the workers have not joined within {TO_JOIN} s")
                too_late.cancel()
                yield child
            finally:
                too_late.cancel()
                child.kill()


def check_joined(bench, pv):
    listed = len(pv.unsettled("--json", "worker", "list").output.splitlines())
    if listed != bench.sizes.agents:
        raise Failed(f"{listed:,} workers have joined")


def until_ended(pv):
    """The job, once it has succeeded. It is looked at rarely: what follows it closely has the engine tell of each datum."""
    while (now := job(pv))["state"] in OPEN:
        time.sleep(1)
    if now["state"] != "success":
        raise Failed(f"the job ended with {now['state']}: {now['reason']}")
    return now


def job(pv):
    return json.loads(pv.unsettled("--json", "job", "show", "work").output)


def cpu_seconds(process):
    """User and system time of a process so far."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def stored(pv):
    """Bytes of the parts of a store that no process has open."""
    parts = {}
    for part in ("packs", "index", "journal"):
        place = pv.folder / ".pv" / part
        files = place.rglob("*") if place.is_dir() else [place]
        parts[part] = sum(file.stat().st_size for file in files if file.is_file())
    return parts


def check(place, pv, source):
    """Fails unless the output is, to the root of its tree, what the command makes of the files."""
    expected = place.clear("expected")
    for folder in sorted(source.iterdir()):
        (expected / folder.name).mkdir(parents=True)
        for file in folder.iterdir():
            (expected / folder.name / file.name).write_text(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  -\n")
    pv.pv("repo", "create", "expected")
    pv.pv("put", "expected", expected)
    roots = [json.loads(pv.pv("show", "--raw", repo).output)["tree"] for repo in ("work", "expected")]
    if roots[0] != roots[1]:
        raise Failed(f"the output tree is {roots[0]}, not {roots[1]}")
    place.clear("expected")
