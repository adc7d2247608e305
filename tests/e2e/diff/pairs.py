"""Makes a pair of files of each kind below the folder that is given, old/ and new/, and prints what differs as JSON: by path of the file
the fields of pv's `detail` that are to be found there, reckoned by numpy, pandas, Pillow and the like."""

import json
import pathlib
import sys

import numpy as np
import pandas as pd
import yaml
from PIL import Image
from safetensors.numpy import save_file

folder = pathlib.Path(sys.argv[1])
random = np.random.default_rng(7)
expected = {}
for side in ("old", "new"):
    (folder / side).mkdir(parents=True)


def distance(old, new):
    old, new = np.asarray(old, dtype=np.float64), np.asarray(new, dtype=np.float64)
    finite = np.isfinite(old) & np.isfinite(new)
    a, b = old[finite], new[finite]
    equal = (old == new) | (np.isnan(old) & np.isnan(new))
    return {
        "elements": old.size,
        "changed": int((~equal).sum()),
        "l2": float(np.linalg.norm(b - a)),
        "relative": float(np.linalg.norm(b - a) / np.linalg.norm(a)),
        "max_abs": float(np.abs(b - a).max()),
        "cosine": float(a.ravel() @ b.ravel() / np.linalg.norm(a) / np.linalg.norm(b)),
        "old_nan": int(np.isnan(old).sum()),
        "new_nan": int(np.isnan(new).sum()),
        "old_infinite": int(np.isinf(old).sum()),
        "new_infinite": int(np.isinf(new).sum()),
    }


def tensors(pairs):
    """Of {name: (old or None, new or None)}: counts, and the distance of each changed tensor."""
    counts = dict(added=0, removed=0, reshaped=0, retyped=0, changed=0, unchanged=0)
    told = {}
    for name, (old, new) in pairs.items():
        if old is None or new is None:
            counts["added" if old is None else "removed"] += 1
        elif old.shape != new.shape:
            counts["reshaped"] += 1
        elif old.dtype != new.dtype:
            counts["retyped"] += 1
            told[name] = distance(old, new)
        elif np.array_equal(old, new, equal_nan=old.dtype.kind == "f"):
            counts["unchanged"] += 1
        else:
            counts["changed"] += 1
            told[name] = distance(old, new)
    return {"kind": "tensors", **counts, "tensors": told}


def normal(*shape, dtype=np.float32):
    return random.normal(size=shape).astype(dtype)


# Tensors
old = normal(300, 70)
new = old + normal(300, 70) * np.float32(0.01)
new[3, 4], new[5, 6], old[7, 8] = np.nan, np.inf, -np.inf
np.save(folder / "old/weights.npy", old)
np.save(folder / "new/weights.npy", new)
expected["/weights.npy"] = tensors({"array": (old, new)})

big = random.integers(-(2**40), 2**40, size=5000)
pairs = {
    "same": (normal(10), None),
    "added": (None, normal(4)),
    "removed": (normal(4), None),
    "reshaped": (normal(4, 6), normal(6, 4)),
    "retyped": (normal(50, dtype=np.float64), None),
    "half": (normal(900, dtype=np.float16), normal(900, dtype=np.float16)),
    "double": (normal(70_000, dtype=np.float64), None),
    "integers": (big, big + random.integers(-3, 3, size=5000)),
    "bytes": (random.integers(0, 255, 300).astype(np.uint8), random.integers(0, 255, 300).astype(np.uint8)),
    "flags": (random.integers(0, 2, 300).astype(bool), random.integers(0, 2, 300).astype(bool)),
    "swapped": (normal(40).astype(">f4"), normal(40).astype(">f4")),
}
pairs["same"] = (pairs["same"][0],) * 2
pairs["retyped"] = (pairs["retyped"][0], pairs["retyped"][0].astype(np.float32))
pairs["double"] = (pairs["double"][0], pairs["double"][0] * 1.001)
np.savez_compressed(folder / "old/model.npz", **{name: old for name, (old, _) in pairs.items() if old is not None})
np.savez(folder / "new/model.npz", **{name: new for name, (_, new) in pairs.items() if new is not None})
expected["/model.npz"] = tensors(pairs)
del pairs["swapped"]
save_file({name: old for name, (old, _) in pairs.items() if old is not None}, folder / "old/model.safetensors")
save_file({name: new for name, (_, new) in pairs.items() if new is not None}, folder / "new/model.safetensors")
expected["/model.safetensors"] = tensors(pairs)


# Images
def similarity(old, new):
    """Mean SSIM of luma, uniform windows of 8 × 8 at every fourth pixel."""
    weights = np.array([0.299, 0.587, 0.114])
    old, new = old.astype(np.float64) @ weights, new.astype(np.float64) @ weights
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    found = []
    for y in range(0, old.shape[0] - 7, 4):
        for x in range(0, old.shape[1] - 7, 4):
            a, b = old[y : y + 8, x : x + 8], new[y : y + 8, x : x + 8]
            covariance = ((a - a.mean()) * (b - b.mean())).mean()
            above = (2 * a.mean() * b.mean() + c1) * (2 * covariance + c2)
            found.append(above / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var() + b.var() + c2)))
    return float(np.mean(found))


def picture(width, height):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 2 % 256, y * 3 % 256, (x + y) % 256], axis=2).astype(np.uint8)


old = picture(121, 83)
new = old.copy()
new[10:40, 20:60] = random.integers(0, 256, size=(30, 40, 3))
for name, of in (("frame.png", "png"), ("frame.bmp", "bmp"), ("frame.tiff", "tiff")):
    Image.fromarray(old).save(folder / "old" / name)
    Image.fromarray(new).save(folder / "new" / name)
    difference = np.abs(old.astype(int) - new.astype(int))
    expected["/" + name] = {
        "kind": "image",
        "pixels_changed": float((difference.max(axis=2) > 0).mean()),
        "mean_difference": float(difference.mean()),
        "max_difference": float(difference.max()),
        "similarity": similarity(old, new),
    }
grey_old, grey_new = old[:, :, 0].astype(np.uint16) * 200, new[:, :, 0].astype(np.uint16) * 200
Image.fromarray(grey_old).save(folder / "old/depth.png")
Image.fromarray(grey_new).save(folder / "new/depth.png")
difference = np.abs(grey_old.astype(int) - grey_new.astype(int))
expected["/depth.png"] = {
    "kind": "image",
    "pixels_changed": float((difference > 0).mean()),
    "mean_difference": float(difference.mean() / 257),
}
Image.fromarray(old).save(folder / "old/photo.jpg", quality=90)
Image.fromarray(new).save(folder / "new/photo.jpg", quality=90)
read = [np.asarray(Image.open(folder / side / "photo.jpg")) for side in ("old", "new")]
# Decoders of JPEG may differ by a little.
expected["/photo.jpg"] = {"kind": "image", "similarity": ("about", similarity(*read), 0.01)}
Image.fromarray(old).save(folder / "old/size.png")
Image.fromarray(old[:50]).save(folder / "new/size.png")
expected["/size.png"] = {"kind": "image", "new": {"format": "png", "width": 121, "height": 50, "color": "rgb8"}}

# Tables
old = pd.DataFrame({
    "camera": np.arange(5000) // 100,
    "frame": np.arange(5000) % 100,
    "score": random.random(5000).round(4),
    "label": random.choice(["cat", "dog", 'a "quoted", one'], 5000),
    "gone": 1,
})
new = old.drop(columns="gone").assign(added=2)
new.loc[random.choice(5000, 300, replace=False), "score"] += 1
new.loc[random.choice(5000, 200, replace=False), "label"] = "bird"
new = pd.concat([new.drop(index=random.choice(5000, 40, replace=False)),
                 pd.DataFrame({"camera": 99, "frame": np.arange(25), "score": 0.5, "label": "new", "added": 2})])
new = new.sample(frac=1, random_state=3)
for name, separator in (("scores.csv", ","), ("scores.tsv", "\t"), ("scores_semicolon.csv", ";")):
    old.to_csv(folder / "old" / name, index=False, sep=separator)
    new.to_csv(folder / "new" / name, index=False, sep=separator)
    both = old.merge(new, on=["camera", "frame"], suffixes=("_old", "_new"))
    cells = {column: int((both[f"{column}_old"] != both[f"{column}_new"]).sum()) for column in ("score", "label")}
    rows = int(((both.score_old != both.score_new) | (both.label_old != both.label_new)).sum())
    expected["/" + name] = {
        "kind": "table",
        "key": ["camera", "frame"],
        "old_rows": len(old),
        "new_rows": len(new),
        "columns_added": ["added"],
        "columns_removed": ["gone"],
        "rows_added": len(new) - len(both),
        "rows_removed": len(old) - len(both),
        "rows_changed": rows,
        "cells_changed": sum(cells.values()),
        "columns": [{"column": column, "cells": count} for column, count in cells.items()],
    }

# Values
old = {"run": {"rate": 0.1, "layers": [64, 32], "name": "a"}, "auc": 0.763981, "gone": {"x": 1}, "big": 2**60}
new = {"run": {"rate": 0.05, "layers": [64, 32, 8], "name": "b"}, "auc": 0.801807, "added": None, "big": 2**60 + 1}


def flat(value, path=()):
    if isinstance(value, dict) and value:
        return {k: v for key, inner in value.items() for k, v in flat(inner, (*path, key)).items()}
    if isinstance(value, list) and value:
        return {k: v for key, inner in enumerate(value) for k, v in flat(inner, (*path, str(key))).items()}
    return {".".join(path): value}


def values(old, new):
    a, b = flat(old), flat(new)
    told = []
    for path in sorted(a.keys() | b.keys()):
        if path in a and path in b and a[path] == b[path]:
            continue
        change = {"path": path}
        change.update({"old": a[path]} if path in a else {})
        change.update({"new": b[path]} if path in b else {})
        if isinstance(a.get(path), (int, float)) and isinstance(b.get(path), (int, float)):
            change["change"] = b[path] - a[path]
            change["relative"] = (b[path] - a[path]) / abs(a[path])
        told.append(change)
    both = a.keys() & b.keys()
    return {
        "kind": "metrics",
        "changed": sum(a[path] != b[path] for path in both),
        "added": len(b.keys() - a.keys()),
        "removed": len(a.keys() - b.keys()),
        "unchanged": sum(a[path] == b[path] for path in both),
        "values": told,
    }


for name, write in (("metrics.json", json.dumps), ("metrics.yaml", yaml.safe_dump)):
    (folder / "old" / name).write_text(write(old))
    (folder / "new" / name).write_text(write(new))
    expected["/" + name] = values(old, new)

# Bytes
old = random.bytes(3_000_000)
new = old[:1_000_000] + b"inserted" + old[1_000_000:]
(folder / "old/blob.bin").write_bytes(b"\0" + old)
(folder / "new/blob.bin").write_bytes(b"\0" + new)
prefix = next(n for n, (a, b) in enumerate(zip(old, new)) if a != b)
expected["/blob.bin"] = {"kind": "bytes", "old_bytes": 3_000_001, "new_bytes": 3_000_009, "first_difference": prefix + 1}

print(json.dumps(expected))
