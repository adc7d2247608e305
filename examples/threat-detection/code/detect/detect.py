"""detect: finds the people in one frame.

The model is data, not code: `svm.npy` holds the weights of a linear SVM over HOG features (float32), `params.json` how the detector searches.
So a new model is a commit to `model`, and every result names the commit it was made with. Writes /<device>/<unix time>.json, and nothing for a
frame without people: a datum without output is a success too.
"""

import json
import os
from pathlib import Path

import cv2
import numpy as np

OUT = Path("/pfs/out")


def load_detector(model):
    """The detector with the weights of the model."""
    detector = cv2.HOGDescriptor()
    weights = np.load(model / "svm.npy", allow_pickle=False)  # a pickle could run code: data must stay data
    detector.setSVMDetector(weights.astype(np.float32).ravel())
    return detector


def find_people(detector, frame, params):
    """Boxes as {x, y, width, height, score}, in pixels, best first."""
    boxes, scores = detector.detectMultiScale(
        frame,
        hitThreshold=params["hit_threshold"],
        winStride=tuple(params["win_stride"]),
        padding=tuple(params["padding"]),
        scale=params["scale"],
        groupThreshold=params["final_threshold"],
    )
    # Rounded and sorted: the same frame and model must give the same bytes, or the cache and `pv verify --rerun` are worth nothing.
    found = [
        {"x": int(x), "y": int(y), "width": int(w), "height": int(h), "score": round(float(score), 3)}
        for (x, y, w, h), score in zip(boxes, np.ravel(scores))
    ]
    return sorted(found, key=lambda box: (-box["score"], box["x"], box["y"], box["width"]))


def main():
    cv2.setNumThreads(1)  # pv runs datums side by side; threads in here would also find boxes in any order
    path, model = Path(os.environ["validate"]), Path(os.environ["model"])
    frame = cv2.imread(str(path))
    if frame is None:
        raise SystemExit(f"{path.name}: not an image that OpenCV can read")

    params = json.loads((model / "params.json").read_text())
    boxes = find_people(load_detector(model), frame, params)
    print(f"{path.name}: {len(boxes)} found")
    if not boxes:
        return

    device, time = path.stem.rsplit("_", 1)
    height, width = frame.shape[:2]
    record = {"device": device, "time": int(time), "frame": {"width": width, "height": height}, "boxes": boxes}
    target = OUT / device / f"{time}.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps(record, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
