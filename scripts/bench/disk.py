"""The place where a case measures: a fresh journalled ext4, so that nobody's deleted files slow down the making of new ones.

Where there is no journal, making a file can cost ten times as much after mass deletes, and that would hide the tool.
Each case has its own place, so no case sees what another left, and the room is given back after each.

Virtual machines hide the tool in two more ways. Their disks can take ten times as long to write a block for the first time
as to write it again: what is timed against a floor lies in an image that was written in whole before. And memory that was
free for seconds goes back to the host, and costs more to take anew than a file does to copy: each step finds some that was
used just before.
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

    def __init__(self, folder, helper, memory):
        self.folder = folder
        self.helper = helper
        self.memory = memory

    def __truediv__(self, name):
        return self.folder / name

    def run(self, *args, synced=False, **options):
        """Runs a command whose time counts: what was written before it is on the disk by then; `synced`: its own too, within the time."""
        self.settle()
        return run(*args, sync=self.folder if synced else None, **options)

    def settle(self):
        subprocess.run(["sync", "-f", self.folder], check=True)
        subprocess.run([self.helper, "touch", str(self.memory)], check=True)

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
        return "fresh ext4 with journal in a loop-mounted image, one for each case, all its blocks written once before (not for 4, 5, 9)"
    return "**the temporary folder's own file system, since only root can mount an image: expect other ratios**"


def free_bytes():
    return shutil.disk_usage(tempfile.gettempdir()).free


@contextlib.contextmanager
def place(helper, written, memory):
    """A place that is gone afterwards, whatever happens: of `written` bytes that were all written once, or (0) as large as need be.

    `memory`: how many bytes of it each step finds ready.
    """
    with tempfile.TemporaryDirectory(prefix="pv-bench-") as temporary, contextlib.ExitStack() as stack:
        folder = pathlib.Path(temporary, "work")
        folder.mkdir()
        if os.geteuid() == 0:
            image = pathlib.Path(temporary, "disk")
            with open(image, "wb") as disk:
                disk.truncate(written or 96 * GIB)
            write_once(image, written)
            run("mkfs.ext4", "-q", "-m", "0", "-E", "nodiscard", image)
            device = attach(image)
            stack.callback(run, "losetup", "--detach", device)
            run("mount", *([] if written else ["-o", "discard"]), device, folder)  # what is deleted gives its room back
            stack.callback(unmount, folder)
        yield Place(folder, helper, memory)


def write_once(image, size):
    """Fills the image, so that all its blocks exist and have been written."""
    block = os.urandom(4 << 20)
    with open(image, "r+b") as disk:
        for _ in range(size // len(block)):
            disk.write(block)
        disk.flush()
        os.fsync(disk.fileno())
        os.posix_fadvise(disk.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)  # nothing of it stays in the page cache


def attach(image):
    """The image as a block device; without a second page cache under it where the file system below can do so."""
    direct = subprocess.run(["losetup", "--find", "--show", "--direct-io=on", image], capture_output=True, text=True)
    return direct.stdout.strip() or run("losetup", "--find", "--show", image).output.strip()


def unmount(folder):
    """Lazily where something still lies in it: the device goes with the last user."""
    if subprocess.run(["umount", folder]).returncode != 0:
        print("bench: somebody is still in the measuring folder", file=sys.stderr)
        run("umount", "--lazy", folder)
