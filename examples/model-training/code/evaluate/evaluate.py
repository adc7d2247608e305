"""Tests one model: what it says of each row, and how often it is right."""

import csv
import json
from pathlib import Path

import numpy as np


def classify(weights, x):
    """Probabilities of the ten digits, a row a picture."""
    layers = sum(name.startswith("w") for name in weights.files)
    x = x / weights["scale"]
    for number in range(layers):
        x = x @ weights[f"w{number}"].astype(np.float64) + weights[f"b{number}"]
        if number + 1 < layers:
            x = np.maximum(x, 0)
    e = np.exp(x - x.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def metrics(labels, predicted, probabilities):
    of_label = probabilities[np.arange(len(labels)), labels]
    by_digit = {}
    for digit in range(10):
        hits = int(((predicted == digit) & (labels == digit)).sum())
        said, there = int((predicted == digit).sum()), int((labels == digit).sum())
        by_digit[str(digit)] = {"precision": round(hits / max(said, 1), 6), "recall": round(hits / max(there, 1), 6)}
    return {
        "accuracy": round(float((predicted == labels).mean()), 6),
        "errors": int((predicted != labels).sum()),
        "rows": len(labels),
        "log_loss": round(float(-np.log(np.maximum(of_label, 1e-12)).mean()), 4),
        "by_digit": by_digit,
    }


def main():
    (folder,) = Path("/pfs/train").iterdir()
    with open("/pfs/split/test.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    labels = np.array([int(row[1]) for row in rows])
    with np.load(folder / "weights.npz") as weights:
        probabilities = classify(weights, np.array([row[2:] for row in rows], dtype=float))
    predicted = probabilities.argmax(axis=1)
    out = Path("/pfs/out") / folder.name
    out.mkdir()
    (out / "metrics.json").write_text(json.dumps(metrics(labels, predicted, probabilities), indent=1) + "\n")
    with (out / "predictions.csv").open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "label", "predicted", "confidence", "correct"])
        for row, label, guess, chances in zip(rows, labels, predicted, probabilities):
            table.writerow([row[0], label, guess, f"{chances[guess]:.4f}", str(label == guess).lower()])


main()
