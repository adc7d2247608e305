"""Makes the data of the example: frames of four cameras, two models, two sets of rules.

    prepare.py VIDEO OUT [--frames N]

The four cameras are four cuttings of one street scene (`vtest.avi` of Debian's opencv-doc), each enlarged. The frames get times of one night in
July 2026, 18:00 to 06:00 UTC, so that rules about hours have something to decide; that the video was filmed by day does not matter here.

OUT/batch1   three quarters of the N frames, as cam<1-4>_<unix time>.jpg, and two files with bad names
OUT/batch2   the last quarter, and one bad name
OUT/model-v1 OUT/model-v2   svm.npy, params.json
OUT/rules-v1 OUT/rules-v2   rules.json
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

START, NIGHT = 1782928800, 12 * 3600  # 1 July 2026, 18:00:00 UTC; seconds until 06:00
CUTTINGS = [(0, 40), (368, 40), (180, 150), (368, 200)]  # left and top of each camera's view, in pixels of the video
VIEW, FRAME = (400, 300), (640, 480)  # width and height: cut out, and as stored
BAD_NAMES = {"batch1": ["snapshot.jpg", "cam3_99.jpg"], "batch2": ["cam2-1700000000.jpg"]}

# v2 is the faster search: larger steps between sizes, and more asked of each window. Does it lose alarms? That is what a diff must tell.
MODELS = {
    "model-v1": {"win_stride": [8, 8], "padding": [8, 8], "scale": 1.05, "hit_threshold": 0.0, "final_threshold": 2},
    "model-v2": {"win_stride": [8, 8], "padding": [8, 8], "scale": 1.08, "hit_threshold": 0.3, "final_threshold": 2},
}
# By camera, in shares of the frame's width and height; `default` for the cameras that have no own.
ZONES = {
    "cam1": [{"name": "path along the tape", "polygon": [[0.0, 0.52], [0.6, 0.58], [0.8, 0.55], [0.8, 0.7], [0.0, 0.7]]}],
    "cam2": [{"name": "loading bay", "rectangle": [0.3, 0.0, 1.0, 0.66]}],
    "cam3": [{"name": "crossing", "polygon": [[0.15, 0.34], [0.65, 0.34], [0.65, 0.6], [0.4, 0.6]]}],
    "default": [{"name": "yard", "rectangle": [0.5, 0.35, 1.0, 1.0]}],
}
# v2 begins and ends the night earlier, and asks for a clearer sight: flags turn both ways.
RULES = {
    "rules-v1": {"label": "person in a closed area at night", "hours": "22-05", "min_score": 1.0, "zones": ZONES},
    "rules-v2": {"label": "person in a closed area at night", "hours": "20-04", "min_score": 1.5, "zones": ZONES},
}


def count_frames(path):
    """Frames in the video, by going through it: what its header says is not always true."""
    video, count = cv2.VideoCapture(str(path)), 0
    while video.grab():
        count += 1
    return count


def read_frames(path, wanted):
    """The frames of the given numbers; decodes no other, keeps no other."""
    video, frames = cv2.VideoCapture(str(path)), {}
    for number in range(max(wanted) + 1):
        video.grab()
        if number in wanted:
            frames[number] = video.retrieve()[1]
    return frames


def cut(frame, camera):
    left, top = CUTTINGS[camera]
    view = frame[top : top + VIEW[1], left : left + VIEW[0]]
    return cv2.resize(view, FRAME, interpolation=cv2.INTER_CUBIC)


def plan_frames(length, count):
    """(file, frame number in the video, camera) for each frame, over a video of `length` frames."""
    rounds = -(-count // len(CUTTINGS))  # each round, every camera takes one frame
    for i in range(count):
        turn, camera = divmod(i, len(CUTTINGS))
        # Each camera starts elsewhere in the video, so that no two show the same moment.
        number = (turn * length // rounds + camera * length // len(CUTTINGS)) % length
        time = START + turn * NIGHT // rounds + camera * 97
        yield f"{'batch1' if i < count * 3 // 4 else 'batch2'}/cam{camera + 1}_{time}.jpg", number, camera
    for batch, names in BAD_NAMES.items():
        for number, name in enumerate(names):
            yield f"{batch}/{name}", number, 0


def write_frames(video, out, count):
    plan = list(plan_frames(count_frames(video), count))
    frames = read_frames(video, {number for _, number, _ in plan})
    for name, number, camera in plan:
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(out / name), cut(frames[number], camera))


def write_models_and_rules(out):
    weights = cv2.HOGDescriptor_getDefaultPeopleDetector().astype(np.float32)
    for name, params in MODELS.items():
        (out / name).mkdir()
        np.save(out / name / "svm.npy", weights)
        (out / name / "params.json").write_text(json.dumps(params, indent=1) + "\n")
    for name, rules in RULES.items():
        (out / name).mkdir()
        (out / name / "rules.json").write_text(json.dumps(rules, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("video", type=Path)
    parser.add_argument("out", type=Path, help="an empty folder, or one that does not exist")
    parser.add_argument("--frames", type=int, default=64, help="frames in both batches together, at least 8")
    args = parser.parse_args()
    if args.frames < 8:
        parser.error("--frames must be at least 8")
    if not cv2.VideoCapture(str(args.video)).isOpened():
        parser.error(f"not a video that OpenCV can read: {args.video}")
    write_frames(args.video, args.out, args.frames)
    write_models_and_rules(args.out)


main()
