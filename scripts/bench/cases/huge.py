"""A file larger than the memory."""

import disk
import inputs
from measure import Failed
from report import at_most
from sizes import GIB, MIB
from tools import Pv

TITLE = "5. A file larger than memory"
SPARE = 4 * GIB
LIMIT = at_most(256 * MIB, "binary")


def measure(bench, place, table):
    wanted = bench.sizes.huge_bytes
    size = min(wanted, (disk.free_bytes() - SPARE) // 2 // GIB * GIB)  # the file and its store, then the store and the file
    if size <= 0:
        raise Failed("no room on the disk")
    table.note(f"{size / GIB:.0f} GiB of incompressible bytes, once: the memory is what counts.")
    if size < wanted:
        table.note(f"**Scaled down from {wanted / GIB:.0f} GiB, since the disk has no room for twice as much.**")
    source = place / "source"
    source.mkdir()
    bench.say("making the file")
    inputs.random_bytes(bench.helper, source / "huge", size)
    pv = Pv(place)
    pv.fresh()
    bench.say("put")
    put = pv.put(source)
    place.clear("source")
    bench.say("get")
    get = pv.get(place / "got")
    table.value("`put`", put.seconds, "seconds")
    table.value("its peak memory", put.peak_bytes, "binary", target=LIMIT)
    table.value("`get` + `sync`", get.seconds, "seconds")
    table.value("its peak memory", get.peak_bytes, "binary", target=LIMIT)
    bench.say("comparing")
    place.run("sh", "-c", f"{bench.helper} bytes {size} 1 | cmp - {place / 'got/huge'}")
