"""Running a command and keeping what it took; series of such figures."""

import dataclasses
import os
import statistics
import subprocess
import tempfile
import time


class Failed(Exception):
    """A command of the benchmark ended badly, or what it wrote is not what it should be."""


@dataclasses.dataclass(frozen=True)
class Done:
    """What one command took. The peak is that of its largest process; the least it can show is this interpreter's own (some 25 MB)."""

    seconds: float
    peak_bytes: int
    output: str


def run(*args, cwd=None, env=None, ok=(0,), sync=None, stdin=None):
    """Runs a command to its end; `sync`: a folder whose file system is synced within the time taken."""
    words = [str(arg) for arg in args]
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as errors:
        start = time.perf_counter()
        child = subprocess.Popen(
            words, cwd=cwd, env={**os.environ, **(env or {})}, stdin=stdin or subprocess.DEVNULL, stdout=out, stderr=errors
        )
        try:
            _, status, usage = os.wait4(child.pid, 0)
        except BaseException:  # interrupted: it must not go on in a folder that is about to go
            child.kill()
            child.wait()
            raise
        child.returncode = os.waitstatus_to_exitcode(status)
        if sync:
            subprocess.run(["sync", "-f", sync], check=True)
        seconds = time.perf_counter() - start
        if child.returncode not in ok:
            errors.seek(0)
            said = errors.read()[-2000:].decode(errors="replace").strip()
            raise Failed(f"{' '.join(words)[:200]}: exit {child.returncode}: {said}")
        out.seek(0)
        return Done(seconds, usage.ru_maxrss * 1024, out.read().decode(errors="replace"))


def shown(values, unit):
    """The numbers in one unit that suits the first, without its name; and the name."""
    scales = {
        "seconds": [(1, "s"), (1e-3, "ms")],
        "bytes": [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1, "B")],
        "binary": [(1 << 20, "MiB")],
        "count": [(1, "")],
        "rate": [(1, "/s")],
        "byte rate": [(1e6, "MB/s")],
        "percent": [(1, " %")],
    }[unit]
    scale, name = next((scale for scale in scales if abs(values[0]) >= scale[0]), scales[-1])
    scaled = [value / scale for value in values]
    digits = 0 if unit in ("count", "rate", "byte rate") or scaled[0] >= 100 else 1 if scaled[0] >= 10 else 2
    return [f"{value:,.{digits}f}" for value in scaled], f" {name}" if name[:1].isalpha() else name


class Series:
    """Figures of one thing, run after run. Unit: `seconds`, `bytes`, `binary` (bytes, shown in MiB), `count`, `rate` (per second), `byte rate` or `percent`."""

    def __init__(self, unit="seconds", values=()):
        self.unit = unit
        self.values = list(values)

    def add(self, value):
        """Adds a number, or the seconds of what was done; returns the same again."""
        self.values.append(value.seconds if isinstance(value, Done) else value)
        return value

    @property
    def median(self):
        return statistics.median(self.values)

    def __str__(self):
        """The median, and the least and the most in brackets where they differ."""
        (median, least, most), unit = shown([self.median, min(self.values), max(self.values)], self.unit)
        return f"{median}{unit}" + (f" ({least}–{most})" if least != most else "")
