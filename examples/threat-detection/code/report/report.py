"""report: all decisions as /threats.csv, and a timeline a device as /<device>.png.

A timeline is a row of stems, one a decision: time to the right, score upwards, red where it is flagged. All share one time axis, so that
cameras compare at a glance. Drawn with OpenCV alone, so the stages need no plotting library.
"""

import csv
import json
import os
from datetime import datetime, timezone
from pathlib import Path

import cv2
import numpy as np

OUT, HOUR = Path("/pfs/out"), 3600
WIDTH, HEIGHT, LEFT, RIGHT, TOP, BASE = 1200, 300, 70, 1160, 70, 245  # the image, and the plot's edges in it, in pixels
INK, GREY, PALE, RED = (50, 50, 50), (160, 150, 140), (230, 228, 225), (40, 40, 210)  # blue, green, red


def utc(time, form):
    return datetime.fromtimestamp(time, timezone.utc).strftime(form)


def write_csv(records):
    with open(OUT / "threats.csv", "w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["device", "time", "utc", "flagged", "score", "reasons"])
        for r in records:
            when, flagged = utc(r["time"], "%Y-%m-%d %H:%M:%S"), "true" if r["flagged"] else "false"
            rows.writerow([r["device"], r["time"], when, flagged, r["score"], "; ".join(r["reasons"])])


def text(image, words, x, y, size=0.45, colour=INK, centred=False):
    if centred:
        x -= cv2.getTextSize(words, cv2.FONT_HERSHEY_SIMPLEX, size, 1)[0][0] // 2
    cv2.putText(image, words, (int(x), y), cv2.FONT_HERSHEY_SIMPLEX, size, colour, 1, cv2.LINE_AA)


def draw_axes(image, first, last, top_score, x_of, y_of):
    every = max(1, round((last - first) / HOUR / 12)) * HOUR  # a label every hour, or fewer on a long axis
    for time in range(first, last + 1, every):
        cv2.line(image, (x_of(time), TOP), (x_of(time), BASE), PALE, 1)
        text(image, utc(time, "%H:%M"), x_of(time), BASE + 20, centred=True)
        if time == first or time % (24 * HOUR) < every:  # a new day
            text(image, utc(time, "%d %b"), x_of(time), BASE + 40, colour=GREY, centred=True)
    for score in range(0, top_score + 1, max(1, top_score // 4)):
        cv2.line(image, (LEFT, y_of(score)), (RIGHT, y_of(score)), PALE, 1)
        text(image, str(score), LEFT - 25, y_of(score) + 5)
    cv2.line(image, (LEFT, BASE), (RIGHT, BASE), INK, 1)


def draw_timeline(device, records, first, last, top_score):
    image = np.full((HEIGHT, WIDTH, 3), 255, np.uint8)
    x_of = lambda time: round(LEFT + (RIGHT - LEFT) * (time - first) / (last - first))
    y_of = lambda score: round(BASE - (BASE - TOP) * max(score, 0) / top_score)
    draw_axes(image, first, last, top_score, x_of, y_of)
    for r in sorted(records, key=lambda r: r["flagged"]):  # flags last, so that they lie on top
        at, colour = (x_of(r["time"]), y_of(r["score"])), RED if r["flagged"] else GREY
        cv2.line(image, (at[0], BASE), at, colour, 2 if r["flagged"] else 1, cv2.LINE_AA)
        cv2.circle(image, at, 6 if r["flagged"] else 4, colour, -1, cv2.LINE_AA)
    text(image, device, LEFT, 38, 0.8)
    text(image, f"{sum(r['flagged'] for r in records)} of {len(records)} flagged", LEFT + 110, 36, 0.5, RED)
    text(image, "score by time (UTC)", RIGHT - 150, 36, 0.45, GREY)
    cv2.imwrite(str(OUT / f"{device}.png"), image)


def main():
    records = [json.loads(path.read_text()) for path in Path(os.environ["threat"]).rglob("*.json")]
    records.sort(key=lambda r: (r["device"], r["time"]))
    write_csv(records)
    times, best = [r["time"] for r in records], max((r["score"] for r in records), default=0)
    first, last = min(times, default=0) // HOUR * HOUR, (max(times, default=0) // HOUR + 1) * HOUR
    for device in sorted({r["device"] for r in records}):
        draw_timeline(device, [r for r in records if r["device"] == device], first, last, max(1, int(best) + 1))


if __name__ == "__main__":
    main()
