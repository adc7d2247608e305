"""pv and nginx as servers beside each other, and who asks them: wrk, curl, and clients that commit."""

import asyncio
import contextlib
import os
import pathlib
import re
import shutil
import socket
import subprocess
import threading
import time
import urllib.request

from measure import Failed, run

ROOT = pathlib.Path(__file__).parents[2]
SCALES = {"us": 1e-6, "ms": 1e-3, "s": 1, "m": 60}


def nginx_program():
    """The one that is installed, or that `scripts/setup.sh bench` has unpacked."""
    target = pathlib.Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target")
    unpacked = target / "bench-tools/bin/nginx"
    found = str(unpacked) if unpacked.exists() else shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if not found:
        raise Failed("no nginx (`scripts/setup.sh bench`)")
    return found


def free_port():
    with socket.socket() as some:
        some.bind(("127.0.0.1", 0))
        return some.getsockname()[1]


def wait_for(port, child, what):
    deadline = time.monotonic() + 30
    while child.poll() is None and time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.01)
    raise Failed(f"{what} does not answer")


class Server:
    """A process that answers at a port."""

    def __init__(self, name, child, port, folder):
        self.name, self.child, self.port, self.folder = name, child, port, folder
        self.url = f"http://127.0.0.1:{port}"

    def memory(self, field="VmRSS"):
        """Bytes of memory that it has now, or (`VmHWM`) had at most."""
        text = pathlib.Path(f"/proc/{self.child.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+)", text)[1]) * 1024


@contextlib.contextmanager
def running(name, words, port, folder, env=None):
    log = folder.parent / f"{name}.log"
    with open(log, "wb") as to, subprocess.Popen([str(word) for word in words], env={**os.environ, **(env or {})}, stdout=to, stderr=to) as child:
        try:
            try:
                wait_for(port, child, name)
            except Failed as failure:
                raise Failed(f"{failure}: {log.read_text()[-500:]}") from None
            yield Server(name, child, port, folder)
        finally:
            child.terminate()


@contextlib.contextmanager
def serving(pv):
    """`pv serve` at work, without a limit on requests; and a token for it."""
    port = free_port()
    token = pv.pv("-q", "token", "create", f"bench-{port}", "--role", "admin").output.strip()
    with running("pv", [os.environ["PV"], "serve", "--listen", f"127.0.0.1:{port}", "--rate", "0"], port, pv.folder, pv.env()) as server:
        server.token = token
        server.auth = ["-H", f"Authorization: Bearer {token}"]
        server.env = {"PV_SERVER": server.url, "PV_TOKEN": token, "PV_AUTHOR": "bench"}
        yield server


@contextlib.contextmanager
def nginx(place, root):
    """nginx with a worker for each core: the files of `root`, and WebDAV in the same folder."""
    port, folder = free_port(), place / "nginx"
    folder.mkdir(exist_ok=True)
    temporary = " ".join(f"{kind}_temp_path {folder}/{kind};" for kind in ("proxy", "fastcgi", "uwsgi", "scgi", "client_body"))
    (folder / "nginx.conf").write_text(
        f"user root; worker_processes {os.cpu_count()}; daemon off; pid {folder}/pid; error_log stderr;\n"
        "events { worker_connections 4096; }\n"
        f"http {{ access_log off; sendfile on; tcp_nopush on; keepalive_requests 100000000; client_max_body_size 0; {temporary}\n"
        f"server {{ listen 127.0.0.1:{port} backlog=4096; root {root}; autoindex on;\n"
        "location /dav/ { dav_methods PUT DELETE; create_full_put_path on; } } }\n"
    )
    with running("nginx", [nginx_program(), "-e", "stderr", "-p", folder, "-c", folder / "nginx.conf"], port, folder) as server:
        server.auth = []
        yield server


def wrk(server, paths, connections, seconds, place):
    """Asks for the paths, one after the other; returns requests per second, and the median and the 99th percentile of seconds for one."""
    script = place / f"wrk-{server.name}.lua"
    listed = ", ".join(f'"{path}"' for path in paths)
    script.write_text(f'local at, paths = 0, {{{listed}}}\nrequest = function()\n  at = at % #paths + 1\n  return wrk.format("GET", paths[at])\nend\n')
    words = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency", *server.auth, "-s", script, server.url]
    said = run(*words).output
    if "Non-2xx" in said or "Socket errors" in said:
        raise Failed(f"{server.name} refused requests: {said}")
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", said)[1])

    def percentile(of):
        number, unit = re.search(rf"\s{of}%\s+([\d.]+)(us|ms|s|m)\s", said).groups()
        return float(number) * SCALES[unit]

    return rate, percentile(50), percentile(99)


def received(server):
    """Bytes that pv has received over the network, as it counts them."""
    request = urllib.request.Request(f"{server.url}/metrics", headers={"Authorization": f"Bearer {server.token}"})
    text = urllib.request.urlopen(request).read().decode()
    return int(re.search(r"^pv_received_bytes_total (\d+)", text, re.M)[1])


class Watched:
    """The memory of a server while something happens, looked at 50 times a second."""

    def __init__(self, server):
        self.server, self.seen, self.done = server, [], threading.Event()

    def __enter__(self):
        self.thread = threading.Thread(target=self.look)
        self.thread.start()
        return self

    def look(self):
        while not self.done.wait(0.02):
            self.seen.append(self.server.memory())

    def __exit__(self, *_):
        self.done.set()
        self.thread.join()

    def peaks(self):
        """Of the first and of the second half of the time."""
        half = len(self.seen) // 2
        return max(self.seen[:half]), max(self.seen[half:])


async def client(server, number, commits, done):
    """One client that commits to the branch `main`, file after file, as soon as the one before is acknowledged."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    for at in range(commits):
        start = time.perf_counter()
        body = f"{number} {at}".encode()
        writer.write(
            f"PUT /api/v1/repos/data/branches/main/files/c{number}/{at} HTTP/1.1\r\nHost: bench\r\n"
            f"Authorization: Bearer {server.token}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body
        )
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        said = await reader.readexactly(int(re.search(r"content-length: (\d+)", head)[1]))
        if not head.startswith("http/1.1 200"):
            raise Failed(f"a commit was refused: {head[:40]} {said[:200]}")
        done.append((re.search(r'etag: "([0-9a-f]{64})"', head)[1], time.perf_counter() - start))
    writer.close()


async def clients(server, count, commits):
    done = []
    await asyncio.gather(*(client(server, number, commits, done) for number in range(count)))
    return done


def commit_together(server, count, commits):
    """As many clients at a time, each with as many commits; returns the ids that were acknowledged with the seconds of each, and all seconds."""
    start = time.perf_counter()
    done = asyncio.run(clients(server, count, commits))
    return done, time.perf_counter() - start
