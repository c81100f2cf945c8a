"""Writes `tensorflow_addons_golden.json`: what TensorFlow Addons computes and offers.

Run once, in an environment of its own (Python 3.10 or 3.11), because TensorFlow Addons
cannot be imported beside Keras 3:

    pip install tensorflow==2.15.1 tensorflow-addons==0.23.0 "numpy<2"
    python tests/data/make_tensorflow_addons_golden.py
"""

import itertools
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import tensorflow as tf
import tensorflow_addons as tfa

GOLDEN = Path(__file__).with_name("tensorflow_addons_golden.json")
TAUS = (0.1, 0.5, 0.9)
SHAPES = ((6, 1), (5, 3), (4, 2, 1))
CLASSES = (2, 3, 5)
WEIGHTAGES = (None, "linear", "quadratic")
SEEDS = (0, 1, 2)
ROWS, BATCHES = 12, 2
MODULES = (
    tfa.losses,
    tfa.metrics,
    tfa.optimizers,
    tfa.layers,
    tfa.callbacks,
    tfa.activations,
)


def pinball_case(tau, shape, seed):
    """One loss: value by value, and reduced with and without weights."""
    draw = np.random.default_rng(seed)
    y_true = draw.normal(size=shape).round(3)
    y_pred = draw.normal(size=shape).round(3)
    weights = draw.integers(0, 4, size=shape[:-1]).astype("float32")
    rows = tfa.losses.PinballLoss(tau=tau, reduction="none")
    loss = tfa.losses.PinballLoss(tau=tau, reduction="sum_over_batch_size")
    return {
        "tau": tau,
        "y_true": y_true.tolist(),
        "y_pred": y_pred.tolist(),
        "sample_weight": weights.tolist(),
        "rows": rows(y_true, y_pred).numpy().tolist(),
        "mean": float(loss(y_true, y_pred)),
        "weighted_mean": float(loss(y_true, y_pred, sample_weight=weights)),
    }


def kappa_case(num_classes, weightage, seed):
    """One metric over several batches, with and without weights."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(num_classes, size=(BATCHES, ROWS))
    # Two classes are one probability, more are one probability each.
    width = 1 if num_classes == 2 else num_classes
    scores = draw.random(size=(BATCHES, ROWS, width)).round(3)
    weights = draw.integers(0, 4, size=(BATCHES, ROWS)).astype("float32")
    plain, weighted = (
        tfa.metrics.CohenKappa(num_classes, weightage=weightage, sparse_labels=True)
        for _ in range(2)
    )
    for y_true, y_pred, weight in zip(labels, scores, weights, strict=True):
        plain.update_state(y_true, y_pred)
        weighted.update_state(y_true, y_pred, sample_weight=weight)
    return {
        "num_classes": num_classes,
        "weightage": weightage,
        "y_true": labels.tolist(),
        "y_pred": scores.tolist(),
        "sample_weight": weights.tolist(),
        "kappa": float(plain.result()),
        "weighted_kappa": float(weighted.result()),
    }


def public_names(module):
    """What a module offers, without its private modules and submodules."""
    names = {n: value for n, value in vars(module).items() if not n.startswith("_")}
    return sorted(n for n, v in names.items() if not isinstance(v, ModuleType))


def main():
    """Writes the cases, the public names, and the versions they come from."""
    pinball = [pinball_case(*c) for c in itertools.product(TAUS, SHAPES, SEEDS)]
    kappa = [kappa_case(*c) for c in itertools.product(CLASSES, WEIGHTAGES, SEEDS)]
    golden = {
        "versions": {
            "tensorflow": tf.__version__,
            "tensorflow_addons": tfa.__version__,
        },
        "public_names": {m.__name__.split(".")[-1]: public_names(m) for m in MODULES},
        "pinball": pinball,
        "cohen_kappa": kappa,
    }
    GOLDEN.write_text(json.dumps(golden) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
