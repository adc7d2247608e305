"""The files that are measured with. Always the same bytes."""

import contextlib
import os
import pathlib
import random
import shutil
import subprocess
import tempfile
import time

from measure import Failed, run

SOURCE = "linux-source-6.1"
OLD = 75  # seconds: what changed since then is read again by the next put, since the kernel may hide further changes


def helper(folder):
    """Compiles the helper; where it lies then."""
    program = folder / "helper"
    run("cc", "-O2", "-pthread", "-o", program, pathlib.Path(__file__).parent / "helper.c")
    return program


def small_files(folder, count):
    """Incompressible files of 4 to 40 kB, 13.9 kB on average, in 100 folders."""
    numbers = random.Random(1)
    for directory in range(100):
        place = folder / f"d{directory:02}"
        place.mkdir(parents=True)
        for number in range(count // 100):
            size = 4_000 + int(36_000 * numbers.betavariate(1, 2.636))
            (place / f"f{number:03}.bin").write_bytes(numbers.randbytes(size))


def grow_old(bench):
    """Waits until files that were just made are as old as most files are."""
    bench.say(f"waiting for {OLD} s, until the files are old")
    time.sleep(OLD)


@contextlib.contextmanager
def changed(folder, count):
    """As many files new, and as many with other bytes of the same size, evenly over the folders; afterwards all is as before."""
    numbers = random.Random(2)
    folders = sorted(folder.iterdir())
    before, new = {}, []
    for number in range(count):
        place = folders[number % len(folders)]
        file = place / f"f{number // len(folders):03}.bin"
        before[file] = file.read_bytes()
        file.write_bytes(numbers.randbytes(len(before[file])))
        new.append(place / f"new{number // len(folders):03}.bin")
        new[-1].write_bytes(numbers.randbytes(14_000))
    try:
        yield
    finally:
        for file, content in before.items():
            file.write_bytes(content)
        for file in new:
            file.unlink()


def random_bytes(program, file, size, seed=1):
    with open(file, "ab") as out:
        subprocess.run([program, "bytes", str(size), str(seed)], stdout=out, check=True)


def source_tree(folder, parts=()):
    """The sources of Linux, from Debian's package, kept in the user's cache; `parts`: only these of its folders. Without its few links and what is empty without them."""
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache", "pv/bench")
    cache.mkdir(parents=True, exist_ok=True)
    archive = cache / f"{SOURCE}.tar.xz"
    if not archive.exists():
        download(archive)
    run("tar", "-xJf", archive, "-C", folder.parent, *(f"{SOURCE}/{part}" for part in parts))
    (folder.parent / SOURCE).rename(folder)
    run("find", folder, "-type", "l", "-delete")
    run("find", folder, "-type", "d", "-empty", "-delete")  # they held links only; pv keeps no empty folders


def download(archive):
    if not shutil.which("apt-get"):
        raise Failed(f"no {archive}, and no apt-get to fetch {SOURCE} with")
    with tempfile.TemporaryDirectory(dir=archive.parent) as temporary:
        os.chmod(temporary, 0o755)
        run("apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", SOURCE, cwd=temporary)
        package = next(pathlib.Path(temporary).glob("*.deb"))
        run("dpkg-deb", "-x", package, temporary)
        pathlib.Path(temporary, f"usr/src/{SOURCE}.tar.xz").replace(archive)
