"""A funnel: who clicks, who buys after a click, and who buys at all?

The script makes impressions of a shop, of which the true probabilities are known, and
compares, beside the best that is possible,

* separate: three models, each trained on the rows that have its label;
* multi-task: the same three tasks on one trunk;
* ESMM: conversion has no loss of its own, click x conversion is trained on all
  impressions (Ma et al. 2018), so its three answers always fit together;
* chain: the head of the purchase sees the click - its label in training, its
  predicted probability afterwards (classifier chains, Read et al. 2011).

Do not expect ESMM to win by AUC here: it does not tell a click without a purchase from
no click when it learns conversion, and this shop has enough clicks to learn it from.
The script draws the learning curves of ESMM, saves, loads and exports it for TensorFlow
Serving and asks it about two impressions.

    python examples/funnel.py
"""

import argparse
import dataclasses
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from _report import EXPORTS, OUTPUT, print_table, save_curves, serve

import kmtl

parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
parser.add_argument("--rows", type=int, default=40_000, help="impressions to make")
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--output", type=Path, default=OUTPUT, help="picture and model")
parser.add_argument("--exports", type=Path, default=EXPORTS, help="exported models")
args = parser.parse_args()

# 1. The data: 60 items with a hidden appeal; interest drives clicks and purchases.
ITEMS = 60


def sigmoid(z):
    """Turns log-odds into probabilities."""
    return 1 / (1 + np.exp(-z))


def make_impressions(count, rng):
    """Returns a frame with labels, and the true probabilities by task."""
    appeal, quality = rng.normal(size=(2, ITEMS))
    item = rng.integers(0, ITEMS, count)
    age = rng.integers(18, 80, count)
    visits = rng.poisson(3, count)
    discount = rng.choice([0, 10, 20, 30], size=count, p=[0.6, 0.2, 0.1, 0.1])
    price = rng.lognormal(3, 0.6, count)
    young = (45 - age) / 20
    interest = appeal[item] + 0.5 * young + 0.3 * (visits - 3)
    ctr = sigmoid(interest + 0.03 * discount - 2.2)
    value = quality[item] - 1.2 * np.log(price / 20) + 0.04 * discount
    cvr = sigmoid(value + 0.8 * interest * (visits > 2) - 4.0)
    click = rng.random(count) < ctr
    buy = click & (rng.random(count) < cvr)
    frame = pd.DataFrame(
        {
            "item": [f"item {i}" for i in item],
            "age": age,
            "visits": visits,
            "discount": discount,
            "price": price.round(2),
            "click": click.astype(int),
            "buy": buy.astype(int),
        }
    )
    return frame, pd.DataFrame({"ctr": ctr, "cvr": cvr, "ctcvr": ctr * cvr})


rng = np.random.default_rng(args.seed)
frame, truth = make_impressions(args.rows, rng)
part = rng.choice(3, size=len(frame), p=[0.6, 0.1, 0.3])
train, valid, test = (frame[part == i] for i in range(3))
truth = truth[part == 2]
print(f"{len(train):,} impressions to train, of which {train.click.mean():.1%} clicked")
print(f"and {train.buy.mean():.1%} bought")

# 2. The tasks. Conversion is a question about clicks only: `only_if`. Purchases are
# rare, so their loss is small: a weight keeps clicks from deciding what is learned.
ctr = kmtl.BinaryTask("ctr", label="click")
cvr = kmtl.BinaryTask("cvr", label="buy", only_if="ctr")
ctcvr = kmtl.BinaryTask("ctcvr", label="buy", loss_weight=5.0)
unseen_cvr = kmtl.BinaryTask("cvr", label="buy", only_if="ctr", loss_weight=0.0)
product = kmtl.ProductTask("ctcvr", ["ctr", "cvr"], label="buy", loss_weight=5.0)
MODELS = {
    "multi-task": [ctr, cvr, ctcvr],
    "ESMM": [ctr, unseen_cvr, product],
    "chain": [ctr, dataclasses.replace(ctcvr, condition_on="ctr")],
}
no_ctr = kmtl.AuxiliaryTask(dataclasses.replace(ctr, loss_weight=0.0))
ALONE = {"ctr": [ctr], "cvr": [no_ctr, cvr], "ctcvr": [ctcvr]}  # cvr needs its clicks


# 3. Training: the best epoch is kept.
def fit(tasks):
    """Builds and trains one model."""
    keras.utils.set_random_seed(args.seed)
    model = kmtl.build_mtl_model(
        train,
        tasks,
        features=kmtl.TabularFeatures.from_frame(train, exclude=["click", "buy"]),
        trunk=kmtl.trunks.MLP([64, 32], dropout=0.2),
        head_units=(16,),
    )
    best = keras.callbacks.EarlyStopping(
        "val_loss", patience=3, restore_best_weights=True
    )
    history = model.fit(
        train,
        validation_data=valid,
        batch_size=256,
        epochs=args.epochs,
        verbose=2,
        callbacks=[best],
    )
    return model, history.history


predictions = {"separate": {}}
for name, tasks in ALONE.items():
    print(f"\nseparate model: {name}")
    model, _ = fit(tasks)
    predictions["separate"][name] = model.predict(test, verbose=0)[name][:, 0]
for name, tasks in MODELS.items():
    print(f"\nmodel: {name}")
    model, history = fit(tasks)
    outputs = model.predict(test, verbose=0)
    predictions[name] = {task: output[:, 0] for task, output in outputs.items()}
    if name == "ESMM":
        esmm, esmm_history = model, history
predictions["the truth"] = truth


# 4. Which is best? Conversion is measured on clicks, and against the truth on all rows.
def auc(labels, scores):
    """The share of pairs, a positive and a negative row, in the right order."""
    ranks = pd.Series(np.asarray(scores)).rank().to_numpy()
    positive = np.asarray(labels) == 1
    pairs = positive.sum() * (~positive).sum()
    below = ranks[positive].sum() - positive.sum() * (positive.sum() + 1) / 2
    return float(below / pairs)


def distance(one, other):
    """The mean absolute difference, or a dash where there is none."""
    value = float(np.abs(np.asarray(one) - np.asarray(other)).mean())
    return "-" if np.isnan(value) else value


clicked = (test.click == 1).to_numpy()
rows = []
for name, scores in predictions.items():
    has_cvr = "cvr" in scores
    cvr_scores = scores["cvr"] if has_cvr else np.full(len(test), np.nan)
    rows.append(
        [
            name,
            auc(test.click, scores["ctr"]),
            auc(test.buy[clicked], cvr_scores[clicked]) if has_cvr else "-",
            auc(test.buy, scores["ctcvr"]),
            distance(cvr_scores, truth.cvr),
            distance(scores["ctr"] * cvr_scores, scores["ctcvr"]),
        ]
    )
print_table(
    "Test results",
    ["model", "ctr auc", "cvr auc", "ctcvr auc", "cvr - truth", "ctr x cvr - ctcvr"],
    rows,
)
save_curves(
    esmm_history,
    {"ctr": "auc", "cvr": "auc", "ctcvr": "auc"},
    args.output / "funnel.png",
)

# 5. Save and load: the tasks and how they hang together come back with the weights.
path = args.output / "funnel.keras"
path.parent.mkdir(parents=True, exist_ok=True)
esmm.save(path)
loaded = keras.models.load_model(path)

# 6. Export: columns in, three probabilities out, the last the product of the others.
version = kmtl.export_saved_model(loaded, args.exports / "funnel")
print(f"Exported to {version}; served from there:")
two = test[list(loaded.features.names)].head(2)
for name, output in serve(version, two.to_dict("list")).items():
    print(f"  {name}: {', '.join(f'{p:.4f}' for p in output[:, 0])}")
