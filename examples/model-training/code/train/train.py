"""Trains one model with one set of parameters; writes its weights as layers `w0 b0 w1 b1 …`, and how the training went.

Classifies by `x / SCALE` through the layers, with ReLU between them; the largest of the last layer's ten values is the digit.
"""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier

SCALE = 1  # brightness is 0 to 16
ROUNDS = 60


def train(parameters, x, y):
    """The layers, and the rounds it took."""
    if parameters["model"] == "logistic":
        model = LogisticRegression(C=parameters["c"], max_iter=ROUNDS).fit(x, y)
        return [(model.coef_.T, model.intercept_)], int(model.n_iter_.max())
    model = MLPClassifier(
        tuple(parameters["hidden"]), alpha=parameters["alpha"], max_iter=ROUNDS, random_state=parameters["seed"]
    ).fit(x, y)
    return list(zip(model.coefs_, model.intercepts_)), model.n_iter_


def main():
    warnings.simplefilter("ignore", ConvergenceWarning)  # `rounds` tells it
    (path,) = Path("/pfs/parameters").glob("*.json")
    parameters = json.loads(path.read_text())
    rows = np.loadtxt("/pfs/split/train.csv", delimiter=",", skiprows=1, usecols=range(1, 66))
    layers, rounds = train(parameters, rows[:, 1:] / SCALE, rows[:, 0].astype(int))
    out = Path("/pfs/out") / path.stem
    out.mkdir()
    weights = {"scale": np.float64(SCALE)}
    for number, (w, b) in enumerate(layers):
        weights |= {f"w{number}": w.astype(np.float32), f"b{number}": b.astype(np.float32)}
    np.savez(out / "weights.npz", **weights)
    told = {"parameters": parameters, "rows": len(rows), "rounds": rounds, "is_converged": rounds < ROUNDS}
    (out / "training.json").write_text(json.dumps(told, indent=1) + "\n")
    print(f"{path.stem}: {len(rows)} rows, {rounds} rounds")


main()
