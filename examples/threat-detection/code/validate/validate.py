"""validate: sorts frames into /valid and /invalid by their name.

A frame is `<device>_<unix time>.jpg`, for example `cam7_1782842400.jpg`; the time has ten digits or more, so a plain counter is no time. Later
stages take device and time from the name, so a bad name must stop here; it is kept in /invalid, where someone can see it, rather than dropped.
"""

import os
import re
from pathlib import Path

FRAME_NAME = re.compile(r"[A-Za-z0-9-]+_[0-9]{10,}\.jpg")
ROOT = Path("/pfs/images")
OUT = Path("/pfs/out")


def files_of(path):
    """The files of this datum: the glob `/*` matches a file, or a directory with all that is in it."""
    return sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]


def target_of(path):
    """Where a frame goes. A frame in a subdirectory is invalid whatever its name: two of one name would meet in /valid."""
    inside = path.relative_to(ROOT)
    is_frame = len(inside.parts) == 1 and FRAME_NAME.fullmatch(path.name)
    return OUT / ("valid" if is_frame else "invalid") / inside


def main():
    for path in files_of(Path(os.environ["images"])):
        target = target_of(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(path)  # a link to an input is stored by reference: no byte is copied
        print(f"{path.name}: {target.parent.relative_to(OUT).parts[0]}")


if __name__ == "__main__":
    main()
