"""Makes 75 pairs of files below the folder that is given, old/ and new/, most of them odd in one way, and prints what differs as JSON: by path the
fields of pv's `detail` that are to be found there. Reckoned by other means: `git diff --no-index` for lines, Python's json with exact
numbers and all pairs of a mapping, PyYAML, pandas, numpy, safetensors and Pillow."""

import io
import json
import pathlib
import subprocess
import sys
from collections import Counter
from decimal import Decimal

import numpy as np
import pandas as pd
import yaml
from PIL import Image, ImageOps, ImageSequence, PngImagePlugin
from safetensors.numpy import save

folder = pathlib.Path(sys.argv[1])
random = np.random.default_rng(13)
expected = {}
for side in ("old", "new"):
    (folder / side).mkdir(parents=True)


def pair(name, old, new):
    """Writes both sides; texts as UTF-8."""
    data = [side.encode() if isinstance(side, str) else side for side in (old, new)]
    assert data[0] != data[1], name
    for side, content in zip(("old", "new"), data):
        (folder / side / name).write_bytes(content)
    return data


# Lines, by git
def text(name, old, new, why=None):
    pair(name, old, new)
    command = ["git", "diff", "--no-index", "--text", "--numstat", str(folder / "old" / name), str(folder / "new" / name)]
    added, removed = subprocess.run(command, capture_output=True, text=True).stdout.split()[:2]
    expected["/" + name] = {"kind": "text", "lines_added": int(added), "lines_removed": int(removed)}
    if why:
        expected["/" + name]["why"] = {"has": why}


lines = [f"line {n} of many" for n in range(3000)]
changed = lines[:1000] + ["inserted", "twice"] + lines[1000:1500] + ["changed"] + lines[1501:2500] + lines[2600:]
text("plain.txt", "\n".join(lines) + "\n", "\n".join(changed) + "\n")
text("no-end.txt", "one\ntwo", "one\ntwo\n")
text("no-end-both.txt", "one\ntwo", "one\n2")
text("returns.txt", "one\ntwo\nthree\n", "one\r\ntwo\r\nthree\r\n")
text("one-return.txt", "one\ntwo\nthree\n", "one\r\ntwo\nthree\n")
text("blank.txt", "one\n\n\ntwo\n", "one\n\ntwo\n")
text("spaces.txt", "one \n\ttwo\n", "one\n    two\n")
text("moved.txt", "\n".join(lines[:50]) + "\n", "\n".join(lines[20:50] + lines[:20]) + "\n")
text("repeated.txt", "a\n" * 500, "a\n" * 497 + "b\n" + "a\n" * 5)
text("long-line.txt", "x" * 300_000 + "1" + "y" * 300_000 + "\n", "x" * 300_000 + "2" + "y" * 300_000 + "\n")
text("latin-1.txt", "Gr\xf6\xdfe\n".encode("latin-1"), "Gr\xf6\xdfer\n".encode("latin-1"))
text("wide.txt", "\ufeffZürich 東京 🦀\n", "Zürich 東京 🦀\n")
big = "\n".join(f"{n * 7919 % 1_000_003:07} some words to make it long" for n in range(260_000)) + "\n"
text("big.log", big, big.replace("0500000 some", "0500000 same") + "appended\n")
text("comments.json", '{\n  // why\n  "a": 1,\n  "b": 2\n}\n', '{\n  // why\n  "a": 1,\n  "b": 3\n}\n', "malformed JSON")
text("trailing.json", '[\n  1,\n  2,\n]\n', '[\n  1,\n  2,\n  3,\n]\n', "a trailing comma")
text("beyond.json", '{"x": 1e400}\n', '{"x": 1e401}\n', "a number out of the range of floats")
text("tab-in-text.json", '{"a": "x\ty"}\n', '{"a": "x\tz"}\n', "control character")
text("latin-1.json", '{"a": "é"}\n'.encode("latin-1"), '{"a": "è"}\n'.encode("latin-1"), "utf-8")
text("quotes.json", "{'a': 1}\n", "{'a': 2}\n", "malformed JSON")
text("tabs.yaml", "a:\n\t- 1\n", "a:\n\t- 2\n", "malformed YAML")
text("ragged.csv", "a,b\n1,2\n3,4\n", "a,b\n1,2,9\n3,4\n", "line 2 has 3 cells")
text("other-header.csv", "a,b\n1,2\n", "c,d\n1,2\n", "no column in common")


# Values, by Python's json with all digits
class Pairs(list):
    """A mapping with all its pairs."""


def number(text):
    """A number exactly; `NaN` equals itself here."""
    return text if text in ("NaN", "Infinity", "-Infinity") else Decimal(text)


def exact(text):
    return json.loads(text, object_pairs_hook=Pairs, parse_float=number, parse_int=number, parse_constant=number)


def leaves(value, path=()):
    """Leaves by path; of a key that is given twice the second has another path."""
    if isinstance(value, Pairs) and value:
        seen, found = Counter(), {}
        for key, inner in value:
            seen[key] += 1
            found.update(leaves(inner, (*path, (key, seen[key]))))
        return found
    if isinstance(value, list) and not isinstance(value, Pairs) and value:
        return {k: v for at, inner in enumerate(value) for k, v in leaves(inner, (*path, at)).items()}
    sort = type(value).__name__ if not isinstance(value, str) or value not in ("NaN", "Infinity", "-Infinity") else "number"
    return {path: (sort, value)}


def reckoned(old, new):
    both = old.keys() & new.keys()
    return {
        "kind": "metrics",
        "changed": sum(old[path] != new[path] for path in both),
        "added": len(new.keys() - old.keys()),
        "removed": len(old.keys() - new.keys()),
        "unchanged": sum(old[path] == new[path] for path in both),
    }


def values(name, old, new, **more):
    pair(name, old, new)
    expected["/" + name] = {**reckoned(leaves(exact(old)), leaves(exact(new))), **more}


values("nested.json", '{"a": {"b": [1, 2, {"c": null}]}, "d": "x"}', '{"a": {"b": [1, 3, {"c": true}]}, "e": "x"}')
values("order.json", '{"a": 1, "b": 2}', '{"b": 2, "a": 1}')
values("spaced.json", '{"a":[1,2]}', '{\n  "a": [1, 2]\n}\n')
values("one.json", '{"a": 1, "b": 2.50, "c": 1e2, "d": -0}', '{"a": 1.0, "b": 2.5, "c": 100, "d": 0}')
values("beyond-64.json", '{"id": 18446744073709551616}', '{"id": 18446744073709551617}')
values("beyond-53.json", '{"id": 9007199254740993}', '{"id": 9007199254740992}')
values("digits.json", '{"x": 0.1, "y": 3}', '{"x": 0.10000000000000000001, "y": 3}')
values("python.json", '{"loss": NaN, "acc": 0.5, "top": Infinity}', '{"loss": NaN, "acc": 0.75, "top": -Infinity}')
values("twice.json", '{"a": 1, "a": 2, "b": 0}', '{"a": 3, "a": 2, "b": 0}', repeated_keys=["a"])
values("twice-one.json", '{"a": 1, "a": 2}', '{"a": 1}', repeated_keys=["a"])
values("sorts.json", '{"a": "1", "b": true, "c": null, "d": []}', '{"a": 1, "b": "true", "c": 0, "d": {}}')
values("escapes.json", '{"\\u0061": "\\u00e9\\ud83e\\udd80"}', '{"a": "é🦀", "b": 1}')
values("dots.json", '{"a.b": 1, "a": {"b": 2}}', '{"a.b": 1, "a": {"b": 3}}')
values("scalar.json", "1", "2")

pair("lines.jsonl", '{"a": 1}\n{"a": 2}\n', '{"a": 1}\n{"a": 3}\n')
expected["/lines.jsonl"] = {"kind": "metrics", "changed": 1, "added": 0, "removed": 0, "unchanged": 1}


# Lists of records, by pandas and by what they say
def records(name, old, new, key):
    """By key: leaves of records of both; a record of one side is one value."""
    pair(name, json.dumps(old), json.dumps(new))
    by_key = [{tuple(row[field] for field in key): row for row in side} for side in (old, new)]
    both = by_key[0].keys() & by_key[1].keys()
    at = lambda rows, k: leaves(exact(json.dumps(rows[k])))
    sums = Counter()
    for k in both:
        for what, count in reckoned(at(by_key[0], k), at(by_key[1], k)).items():
            sums[what] += count if what != "kind" else 0
    expected["/" + name] = {
        "kind": "metrics",
        "changed": sums["changed"],
        "added": sums["added"] + len(by_key[1].keys() - both),
        "removed": sums["removed"] + len(by_key[0].keys() - both),
        "lists": [{"path": "(all)", "by": "key", "key": list(key), "old_items": len(old), "new_items": len(new)}],
    }


rows = [{"id": f"r{n}", "decision": "yes" if n % 2 else "no", "s": n / 10} for n in range(40)]
records("inserted.json", rows, [{"id": "NEW", "decision": "no", "s": 9}, *rows], ["id"])
records("shuffled.json", rows, [{**row, "s": row["s"] + 1} if row["id"] == "r7" else row for row in rows[::-1]], ["id"])
pairs_of_two = [{"camera": n // 5, "frame": n % 5, "score": n / 7} for n in range(40)]
records("two-keys.json", pairs_of_two, [{**row, "score": row["score"] + (row["frame"] == 3)} for row in pairs_of_two[2:]], ["camera", "frame"])


def bag(name, old, new):
    """Without a key: equal records, wherever they are; what is left is of one side."""
    pair(name, json.dumps(old), json.dumps(new))
    one, other = (Counter(json.dumps(row, sort_keys=True) for row in side) for side in (old, new))
    expected["/" + name] = {"kind": "metrics", "changed": 0, "added": (other - one).total(), "removed": (one - other).total()}


log = [{"level": ["INFO", "WARN"][n % 2], "part": "abc"[n % 3]} for n in range(60)]
bag("log.json", log, [{"level": "NEW", "part": "z"}, *log[::-1]])
bag("log-less.json", log, log[4:])


# YAML, by PyYAML
def plain(value):
    """Leaves of what PyYAML reads."""
    def walk(value, path):
        if isinstance(value, dict) and value:
            return {k: v for key, inner in value.items() for k, v in walk(inner, (*path, key)).items()}
        if isinstance(value, list) and value:
            return {k: v for at, inner in enumerate(value) for k, v in walk(inner, (*path, at)).items()}
        if isinstance(value, float):
            value = "nan" if value != value else Decimal(repr(value))
        elif isinstance(value, int) and not isinstance(value, bool):
            value = Decimal(value)
        return {path: (type(value).__name__, value)}

    return walk(value, ())


def document(name, old, new):
    pair(name, old, new)
    load = lambda text: (lambda found: found[0] if len(found) == 1 else found)(list(yaml.safe_load_all(text)))
    expected["/" + name] = reckoned(plain(load(old)), plain(load(new)))


document("spellings.yaml", "a: True\nb: FALSE\nc: ~\nd: 'true'\n", "a: true\nb: false\nc: null\nd: true\n")
document("numbers.yaml", "a: .5\nb: 1.0\nc: 0x10\nd: .nan\n", "a: 0.5\nb: 1\nc: 16\nd: .NaN\n")
document("large.yaml", "id: 18446744073709551617\n", "id: 18446744073709551618\n")
document("anchors.yaml", "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n", "x: {a: 1, b: 2}\ny: {a: 1, b: 4}\n")
document("documents.yaml", "a: 1\n---\na: 2\n", "a: 1\n---\na: 3\n")
document("blocks.yaml", "a: |\n  one\n  two\nb: [1, 2]\n", 'a: "one\\ntwo\\n"\nb:\n- 1\n- 2\n')


# Tables, by pandas
def table(name, old, new, key, old_separator=",", new_separator=",", **more):
    """By key columns: pandas merges the two."""
    pair(name, old.to_csv(index=False, sep=old_separator), new.to_csv(index=False, sep=new_separator))
    read = lambda side, separator: pd.read_csv(folder / side / name, sep=separator)
    old, new = read("old", old_separator), read("new", new_separator)
    columns = [column for column in old.columns if column in new.columns and column not in key]
    both = old.merge(new, on=key, suffixes=("\0old", "\0new"))
    differs = {}
    for column in columns:
        one, other = both[f"{column}\0old"], both[f"{column}\0new"]
        differs[column] = (one != other) & ~(one.isna() & other.isna())
    frame = pd.DataFrame(differs)
    expected["/" + name] = {
        "kind": "table",
        "key": key,
        "old_rows": len(old),
        "new_rows": len(new),
        "rows_added": len(new) - len(both),
        "rows_removed": len(old) - len(both),
        "rows_changed": int(frame.any(axis=1).sum()),
        "cells_changed": int(frame.to_numpy().sum()),
        **more,
    }


base = pd.DataFrame({"score": random.random(300).round(3), "id": [f"k{n}" for n in range(300)], "n": np.arange(300) % 7, "flag": np.arange(300) % 3 == 0})
other = base.copy()
other.loc[[5, 50, 77], "score"] += 1
other.loc[[5, 9], "flag"] = ~other.loc[[5, 9], "flag"]
table("value-first.csv", base, other, ["id"])
table("shuffled.csv", base, other.sample(frac=1, random_state=5).iloc[3:], ["id"], reordered=True)
table("separated.csv", base, other, ["id"], ",", ";", notes=["the separator changed: `,` → `;`"])
table("tabs.tsv", base, other, ["id"], "\t", "\t")
written = other.copy()
written["n"] = written["n"].astype(float)
table("written.csv", base, written, ["id"])
quoted = base.assign(text=[f'say "{n}", then; {n % 4}\nmore' for n in range(300)])
table("quoted.csv", quoted, quoted.assign(n=base["n"] + (base["n"] == 3)), ["id"])
wide = pd.DataFrame({"camera": np.arange(400) // 20, "frame": np.arange(400) % 20, "x": random.random(400).round(2)})
table("two-keys.csv", wide, wide.iloc[7:].assign(x=lambda side: side["x"] + (side["frame"] == 4)), ["camera", "frame"])
table("columns.csv", base, other[["id", "flag", "score"]].assign(new=1), ["id"], columns_removed=["n"], columns_added=["new"])
holes = base.assign(n=base["n"].where(base["n"] != 2))
table("holes.csv", holes, holes.assign(n=holes["n"].where(holes["n"] != 3)), ["id"])


def multiset(name, old, new):
    """Without a key: equal rows wherever they are."""
    pair(name, old.to_csv(index=False), new.to_csv(index=False))
    one, other = (Counter(map(tuple, side.itertuples(index=False))) for side in (old, new))
    expected["/" + name] = {"kind": "table", "by": "content", "rows_added": (other - one).total(),
                            "rows_removed": (one - other).total(), "rows_changed": 0, "cells_changed": 0}


levels = pd.DataFrame({"level": random.choice(["INFO", "WARN"], 200), "part": random.choice(list("abc"), 200), "n": random.integers(0, 4, 200)})
multiset("no-key.csv", levels, pd.concat([pd.DataFrame({"level": ["X"], "part": ["Y"], "n": [9]}), levels]))
multiset("no-key-shuffled.csv", levels, levels.sample(frac=1, random_state=1).iloc[:-9])


# Pixels, by Pillow and numpy
def image(name, write, old, new, turned=False):
    """Of all frames: the share of pixels that differ, and the frames that do."""
    data = pair(name, *(write(side) for side in (old, new)))
    frames = [[np.asarray((ImageOps.exif_transpose(frame) if turned else frame).convert("RGBA")).astype(int)
               for frame in ImageSequence.Iterator(Image.open(io.BytesIO(side)))] for side in data]
    differs = [(a != b).any(axis=2) for a, b in zip(*frames)]
    found = {"kind": "image", "pixels_changed": float(np.concatenate([side.ravel() for side in differs]).mean())}
    if max(map(len, frames)) > 1:
        found.update(frames_changed=sum(bool(side.any()) for side in differs), old={"frames": len(frames[0])}, new={"frames": len(frames[1])})
    expected["/" + name] = found


def plain_image(seed, mode="RGB", size=(24, 16)):
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 4)).astype(np.uint8)
    return Image.fromarray(pixels, "RGBA").convert(mode)


def saved(format, **options):
    def write(side):
        frames = side if isinstance(side, list) else [side]
        data = io.BytesIO()
        more = {"save_all": True, "append_images": frames[1:]} if len(frames) > 1 else {}
        frames[0].save(data, format, **more, **options)
        return data.getvalue()

    return write


dotted = plain_image(1)
dotted.putpixel((3, 3), (1, 2, 3))
image("dot.png", saved("PNG"), plain_image(1), dotted)
image("alpha.png", saved("PNG"), Image.new("RGBA", (8, 8), (1, 2, 3, 255)), Image.new("RGBA", (8, 8), (1, 2, 3, 0)))
image("palette.png", saved("PNG"), plain_image(1).quantize(16), plain_image(2).quantize(16))
image("one-bit.png", saved("PNG"), plain_image(1, "1"), plain_image(2, "1"))
grey = [Image.new("L", (20, 20), shade) for shade in (0, 80, 160)]
image("frames.gif", saved("GIF", duration=100), grey, [grey[0], grey[2], grey[2].point(lambda shade: 200)])
image("more-frames.gif", saved("GIF", duration=100), grey[:2], grey)
image("pages.tif", saved("TIFF"), [plain_image(1), plain_image(2)], [plain_image(1), plain_image(3)])
image("frames.webp", saved("WEBP", lossless=True, duration=100), [plain_image(n) for n in (1, 2, 3)], [plain_image(n) for n in (1, 2, 4)])
text_chunk = PngImagePlugin.PngInfo()
text_chunk.add_text("who", "else")
data = [saved("PNG")(plain_image(1)), saved("PNG", pnginfo=text_chunk)(plain_image(1))]
pair("metadata.png", *data)
expected["/metadata.png"] = {"kind": "image", "pixels_changed": 0.0, "notes": [{"has": "metadata"}]}
square = Image.new("RGB", (24, 24), "red")
square.paste("blue", (0, 0, 8, 8))

turns = []
for orientation in (1, 6):
    exif = Image.Exif()
    exif[0x0112] = orientation
    turns.append(saved("PNG", exif=exif)(square))
pair("turned.png", *turns)
seen = [np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(side)))) for side in turns]
expected["/turned.png"] = {"kind": "image", "pixels_changed": float((seen[0] != seen[1]).any(axis=2).mean()), "new": {"orientation": 6}}
whole = saved("JPEG")(plain_image(5, size=(64, 64)))
pair("cut.jpg", whole, whole[: len(whole) // 2])
expected["/cut.jpg"] = {"kind": "bytes", "why": {"has": "truncated"}, "first_difference": len(whole) // 2}


# Tensors, by numpy
def array(name, old, new, **more):
    data = []
    for side in (old, new):
        written = io.BytesIO()
        np.save(written, side)
        data.append(written.getvalue())
    pair(name, *data)
    expected["/" + name] = {"kind": "tensors", **more}


array("zero.npy", np.array([0.0, 1.0]), np.array([-0.0, 1.0]), unchanged=1, changed=0)
array("nan.npy", np.array([np.nan, 1.0, np.inf]), np.array([np.nan, np.nan, np.inf]), changed=1,
      tensors={"array": {"changed": 1, "elements": 3, "old_nan": 1, "new_nan": 2}})
array("large.npy", np.array([2**63 - 1]), np.array([2**63 - 2]), changed=1, tensors={"array": {"max_abs": 1.0}})
array("scalar.npy", np.array(1.5), np.array(2.5), changed=1, tensors={"array": {"elements": 1, "l2": 1.0}})
weights = {"w": np.arange(6, dtype=np.float32)}
pair("meta.safetensors", save(weights, {"format": "pt", "epoch": "1"}), save(weights, {"format": "pt", "epoch": "2"}))
expected["/meta.safetensors"] = {"kind": "tensors", "unchanged": 1, "metadata": [{"key": "epoch", "old": "1", "new": "2"}]}

assert len(expected) >= 60, len(expected)
print(json.dumps(expected))
