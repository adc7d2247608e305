"""threat: decides whether one detection is a threat.

`rules.json` says what a threat is: `zones` by device (`default` for the others), `min_score`, `hours` (UTC, such as "22-05") and the `label` of
the flag. Every detection gets a record, flagged or not, with the reasons: so a diff of two versions shows each decision that turned, and
"why was this one not flagged?" has an answer too.
"""

import json
import os
from datetime import datetime, timezone
from pathlib import Path

OUT = Path("/pfs/out")


def corners(zone):
    """The corners of a zone, each as a share (0 to 1) of the frame's width and height."""
    if "polygon" in zone:
        return zone["polygon"]
    x1, y1, x2, y2 = zone["rectangle"]
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def is_inside(x, y, polygon):
    """Ray casting: a point is inside if a ray from it crosses the outline an odd number of times."""
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, [*polygon[1:], polygon[0]]):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) / (y2 - y1) * (x2 - x1):
            inside = not inside
    return inside


def zone_of(box, frame, zones):
    """Name of the first zone that the person stands in, or None. The feet count: the head may reach over a fence far away."""
    x = (box["x"] + box["width"] / 2) / frame["width"]
    y = (box["y"] + box["height"] * 0.9) / frame["height"]  # HOG's window leaves a margin below the feet
    return next((zone["name"] for zone in zones if is_inside(x, y, corners(zone))), None)


def is_within(hour, hours):
    """Whether `hour` (0 to 23) lies in a span such as "22-05", which goes over midnight; the last hour is outside."""
    first, last = (int(part) for part in hours.split("-"))
    return first <= hour < last if first <= last else hour >= first or hour < last


def judge(detection, rules):
    """The decision: flagged or not, why, and the boxes that count. `score` is the best of these, else of those in a zone, else of all."""
    zones = rules["zones"].get(detection["device"], rules["zones"]["default"])
    placed = [{**box, "zone": zone_of(box, detection["frame"], zones)} for box in detection["boxes"]]
    in_zone = [box for box in placed if box["zone"]]
    matching = [box for box in in_zone if box["score"] >= rules["min_score"]]
    at, against = datetime.fromtimestamp(detection["time"], timezone.utc), []
    if not is_within(at.hour, rules["hours"]):
        against.append(f"{at:%H:%M} is outside {rules['hours']}")
    if not in_zone:
        against.append("nobody inside a zone")
    elif not matching:
        against.append(f"best score {max(box['score'] for box in in_zone)} is below {rules['min_score']}")
    return {
        "flagged": not against,
        "label": None if against else rules["label"],
        "reasons": against or [f"in zone {box['zone']}, score {box['score']}, at {at:%H:%M}" for box in matching],
        "score": max(box["score"] for box in matching or in_zone or placed),
        "boxes": matching,
    }


def main():
    detection = json.loads(Path(os.environ["detect"]).read_text())
    rules = json.loads((Path(os.environ["rules"]) / "rules.json").read_text())
    device, time, decision = detection["device"], detection["time"], judge(detection, rules)
    target = OUT / device / f"{time}.json"
    target.parent.mkdir(parents=True)
    target.write_text(json.dumps({"device": device, "time": time, **decision}, indent=1, sort_keys=True) + "\n")
    print(f"{device} {time}: {'flagged: ' if decision['flagged'] else ''}{'; '.join(decision['reasons'])}")


if __name__ == "__main__":
    main()
