"""Makes the data of the example: hand-written digits in two versions, and a grid of training parameters.

    prepare.py OUT

The digits are the data set that scikit-learn carries: 1,797 pictures of 8 by 8 points, each 0 to 16 bright. A row is one picture: its id, its label, its points.

OUT/digits-v1    batch-1.csv, 1,200 rows; every 30th label is wrong on purpose
OUT/digits-v2    batch-1.csv with these labels put right, and batch-2.csv, the other 597 rows
OUT/parameters   a JSON file for each model to train
"""

import argparse
import csv
import json
from pathlib import Path

from sklearn.datasets import load_digits

FIRST_BATCH, WRONG_EVERY = 1200, 30
GRID = {
    "logistic-c0.01": {"model": "logistic", "c": 0.01},
    "logistic-c1": {"model": "logistic", "c": 1.0},
    "network-16": {"model": "network", "hidden": [16], "alpha": 0.001, "seed": 1},
    "network-48": {"model": "network", "hidden": [48], "alpha": 0.001, "seed": 1},
}
HEADER = ["id", "label", *(f"p{point:02}" for point in range(64))]


def rows():
    """(number, label, points) of each picture."""
    digits = load_digits()
    for number, (label, points) in enumerate(zip(digits.target.tolist(), digits.data.astype(int).tolist())):
        yield number, label, points


def write(path, pictures, is_wrong=lambda number: False):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(HEADER)
        for number, label, points in pictures:
            table.writerow([f"d{number:04}", (label + 1) % 10 if is_wrong(number) else label, *points])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="an empty folder, or one that does not exist")
    out = parser.parse_args().out
    first, rest = list(rows())[:FIRST_BATCH], list(rows())[FIRST_BATCH:]
    write(out / "digits-v1/batch-1.csv", first, lambda number: number % WRONG_EVERY == 0)
    write(out / "digits-v2/batch-1.csv", first)
    write(out / "digits-v2/batch-2.csv", rest)
    (out / "parameters").mkdir()
    for name, parameters in GRID.items():
        (out / "parameters" / f"{name}.json").write_text(json.dumps(parameters, indent=1) + "\n")


main()
