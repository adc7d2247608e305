"""The place where a case measures: a fresh journalled ext4, so that nobody's deleted files slow down the making of new ones.

Where there is no journal, making a file can cost ten times as much after mass deletes, and that would hide the tool.
Each case has its own place, so no case sees what another left, and the room is given back after each.
"""

import contextlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

from measure import run

GIB = 1 << 30


class Place:
    """A folder to measure in."""

    def __init__(self, folder):
        self.folder = folder

    def __truediv__(self, name):
        return self.folder / name

    def run(self, *args, synced=False, **options):
        """Runs a command whose time counts: what was written before it is on the disk by then; `synced`: its own too, within the time."""
        self.settle()
        return run(*args, sync=self.folder if synced else None, **options)

    def settle(self):
        subprocess.run(["sync", "-f", self.folder], check=True)

    def clear(self, name):
        """Deletes what is there under this name, if anything, and says where it was."""
        subprocess.run(["rm", "-rf", self.folder / name], check=True)
        return self.folder / name

    def warm(self, name):
        """Reads all files below, so that they are in the page cache."""
        subprocess.run(f"find {name} -type f -print0 | xargs -0 cat > /dev/null", shell=True, check=True, cwd=self.folder)


def kind():
    """What places lie on, for the table's head."""
    if os.geteuid() == 0:
        return "fresh ext4 with journal in a loop-mounted image, one for each case"
    return "**the temporary folder's own file system, since only root can mount an image: expect other ratios**"


def free_bytes():
    return shutil.disk_usage(tempfile.gettempdir()).free


@contextlib.contextmanager
def place():
    """A place that is gone afterwards, whatever happens."""
    with tempfile.TemporaryDirectory(prefix="pv-bench-") as temporary, contextlib.ExitStack() as stack:
        folder = pathlib.Path(temporary, "work")
        folder.mkdir()
        if os.geteuid() == 0:
            image = pathlib.Path(temporary, "disk")
            with open(image, "wb") as disk:
                disk.truncate(96 * GIB)  # sparse: only what is written takes room
            run("mkfs.ext4", "-q", "-m", "0", image)
            device = attach(image)
            stack.callback(run, "losetup", "--detach", device)
            run("mount", device, folder)
            stack.callback(unmount, folder)
        yield Place(folder)


def attach(image):
    """The image as a block device; without a second page cache under it where the file system below can do so."""
    direct = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", image], capture_output=True, text=True)
    return direct.stdout.strip() or run("losetup", "--find", "--show", image).output.strip()


def unmount(folder):
    """Lazily where something still lies in it: the device goes with the last user."""
    if subprocess.run(["umount", folder]).returncode != 0:
        print("bench: somebody is still in the measuring folder", file=sys.stderr)
        run("umount", "--lazy", folder)
