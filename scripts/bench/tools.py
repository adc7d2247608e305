"""pv and its rivals behind one face: a fresh store, put a folder, what changed, get it back.

Each leaves its result on the disk within the time taken: rivals are followed by a `sync`; a `put` of pv returns when it is durable.
"""

import json
import os
import shutil

from measure import Done, Failed, run


class Tool:
    """A store in a place. `put` takes a folder, `get` makes one; both know only the newest version."""

    name = ""

    def __init__(self, place):
        self.place = place
        self.folder = place / f"store-{self.name}"
        self.peak_bytes = 0

    def fresh(self):
        """Begins anew with an empty store. Untimed."""
        self.place.clear(self.folder.name)
        self.init()

    def run(self, *args, **options) -> Done:
        done = self.place.run(*args, env=self.env(), **options)
        self.peak_bytes = max(self.peak_bytes, done.peak_bytes)
        return done

    def env(self):
        return {}

    def stored(self):
        """What the store takes on the disk: allocated bytes, and files."""
        bytes_, files = 0, 0
        for folder, _, names in os.walk(self.stored_in()):
            for name in names:
                bytes_ += os.lstat(os.path.join(folder, name)).st_blocks * 512
                files += 1
        return bytes_, files

    def stored_in(self):
        return self.folder


class Pv(Tool):
    """The binary that `PV` names, with one repository `data`."""

    name = "pv"

    def __init__(self, place, name="pv"):
        super().__init__(place)
        self.folder = place / f"store-{name}"

    def init(self):
        self.pv("init", self.folder)
        self.pv("repo", "create", "data")

    def pv(self, *args, **options):
        return self.run(os.environ["PV"], *args, **options)

    def unsettled(self, *args):
        """The same at once, for long loops: what was written before may still be on its way to the disk."""
        done = run(os.environ["PV"], *args, env=self.env())
        self.peak_bytes = max(self.peak_bytes, done.peak_bytes)
        return done

    def env(self):
        return {"PV_AUTHOR": "bench", "PV_STORE": str(self.folder)}

    def put(self, source):
        return self.pv("put", "data", source)

    def diff(self):
        return self.pv("diff", "--name-only", "data@main^", "data@main")

    def get(self, to):
        return self.pv("get", "data", to, synced=True)


class Git(Tool):
    name = "git"

    def env(self):
        who = {f"GIT_{who}_{what}": "bench" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
        return {**who, "GIT_DIR": str(self.folder), "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_SYSTEM": "/dev/null"}

    def init(self):
        self.run("git", "init", "-q")
        self.run("git", "config", "gc.auto", "0")  # else it would go on in the background, beside the next step

    def put(self, source):
        script = "git add -A -f . && { git diff --cached --quiet HEAD 2>/dev/null || git commit -q -m bench; }"
        return self.run("sh", "-c", f"export GIT_WORK_TREE=.; {script}", cwd=source, synced=True)

    def diff(self):
        return self.run("git", "diff", "--name-only", "HEAD^", "HEAD")

    def get(self, to):
        to.mkdir()
        script = 'export GIT_WORK_TREE=. GIT_INDEX_FILE="$GIT_DIR/index-of-get"; git read-tree HEAD && git checkout-index -a -q'
        return self.run("sh", "-c", script, cwd=to, synced=True)


class Borg(Tool):
    name = "borg"

    def env(self):
        return {
            "BORG_REPO": str(self.stored_in()),
            "BORG_BASE_DIR": str(self.folder / "base"),
            "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        }

    def stored_in(self):
        return self.folder / "repository"

    def init(self):
        self.folder.mkdir()
        self.count = 0
        self.run("borg", "init", "-e", "none")

    def put(self, source):
        self.count += 1
        return self.run("borg", "create", f"::{self.count}", ".", cwd=source, synced=True)

    def diff(self):
        return self.run("borg", "diff", f"::{self.count - 1}", str(self.count))

    def get(self, to):
        to.mkdir()
        return self.run("borg", "extract", f"::{self.count}", cwd=to, synced=True)


class Restic(Tool):
    name = "restic"

    def env(self):
        return {
            "RESTIC_REPOSITORY": str(self.stored_in()),
            "RESTIC_CACHE_DIR": str(self.folder / "cache"),
            "RESTIC_PASSWORD": "bench",
        }

    def stored_in(self):
        return self.folder / "repository"

    def init(self):
        self.folder.mkdir()
        self.run("restic", "init")

    def put(self, source):
        return self.run("restic", "backup", "-q", ".", cwd=source, synced=True)

    def diff(self):
        snapshots = json.loads(self.run("restic", "snapshots", "--json").output)
        snapshots.sort(key=lambda snapshot: snapshot["time"])
        return self.run("restic", "diff", *(snapshot["id"] for snapshot in snapshots[-2:]))

    def get(self, to):
        return self.run("restic", "restore", "-q", "latest", "--target", to, synced=True)


def rivals(place, *kinds):
    """Those of the rivals that are installed, in the order given."""
    missing = [kind.name for kind in kinds if not shutil.which(kind.name)]
    if missing:
        raise Failed(f"not installed: {', '.join(missing)} (`scripts/setup.sh bench`)")
    return [kind(place) for kind in kinds]


def check_same(place, source, got):
    """Fails unless both folders hold the same files with the same bytes."""
    place.run("diff", "-rq", source, got)
