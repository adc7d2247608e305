"""How much is measured: all that the issue asks for, or little enough for five minutes."""

import dataclasses

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


@dataclasses.dataclass(frozen=True)
class Sizes:
    runs: int  # of each step; the median counts
    large_runs: int  # above 1 GiB or 100,000 files
    rival_runs: int  # of the rivals, which take most of the time
    small_files: int
    changed_files: int
    large_bytes: int
    source_parts: tuple[str, ...]  # folders of the source tree; none: all of it
    many_files: int
    commits: int
    branches: int
    huge_bytes: int
    beside_seconds: int
    datums: int
    many_datums: int  # of a pipeline that gets one file more
    million_datums: int  # of one job, for its memory
    traced_datums: int  # of each stage of a chain
    datums_cost: int  # of the case that tells what one costs
    asked_seconds: int  # that one measurement of requests takes
    clients: int  # that commit to one branch
    commits_each: int
    listeners: int  # to events
    heard_commits: int  # that they hear of
    upload_bytes: int  # of the upload that shows the server's memory
    closed_files: int  # one after another, in a watched folder
    watched_files: int  # of a folder where nothing happens
    rest_seconds: int  # that this is measured
    page_pipelines: int  # and as many repositories, of the store that the page shows
    page_datums: int  # of its largest job
    page_runs: int
    agents: int  # workers of one server
    scale_datums: tuple[int, ...]  # of their jobs
    memory_bytes: int  # that a step finds ready to use
    disk_bytes: int  # of a place whose times are judged against a floor

FULL = Sizes(
    runs=5, large_runs=3, rival_runs=3, small_files=20_000, changed_files=200, large_bytes=GIB, source_parts=(), many_files=1_000_000,
    commits=10_000, branches=100, huge_bytes=20 * GIB, beside_seconds=60, datums=1_000, datums_cost=10_000, many_datums=100_000,
    million_datums=1_000_000, traced_datums=100_000,
    asked_seconds=4, clients=200, commits_each=20, listeners=1_000, heard_commits=50, upload_bytes=10 * GIB,
    closed_files=100, watched_files=100_000, rest_seconds=60,
    page_pipelines=500, page_datums=100_000, page_runs=5_000,
    agents=1_000, scale_datums=(100_000,),
    memory_bytes=GIB, disk_bytes=12 * GIB,
)
QUICK = Sizes(
    runs=3, large_runs=1, rival_runs=1, small_files=5_000, changed_files=200, large_bytes=128 * MIB, source_parts=("fs", "include", "net"),
    many_files=50_000, commits=300, branches=20, huge_bytes=1 * GIB, beside_seconds=8, datums=1_000, datums_cost=1_000, many_datums=5_000,
    million_datums=10_000, traced_datums=2_000,
    asked_seconds=1, clients=50, commits_each=4, listeners=100, heard_commits=10, upload_bytes=512 * MIB,
    closed_files=5, watched_files=5_000, rest_seconds=5,
    page_pipelines=40, page_datums=2_000, page_runs=200,
    agents=50, scale_datums=(2_000,),
    memory_bytes=512 * MIB, disk_bytes=4 * GIB,  # jobs wait below 2 GiB
)
