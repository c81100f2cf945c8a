"""Census-Income: one network for two tasks, against networks and trees for one.

The protocol of the MMoE paper (Ma et al., KDD 2018, section 6.3): predict income above
50,000 and never-married; education and marital status are not among the inputs, nor is
the weight of a row; all 199,523 training rows; the 99,762 test rows split 1:1 into
validation and test. Reported is exact ROC-AUC (scikit-learn, extra `bench`) on the test
half, mean and standard deviation over seeds; the validation half chooses the epoch of
every run, and the setting of every side out of the same grid of learning rates and
dropout, one seed each.

* kmtl, one model for both tasks, with every sharing of `kmtl.sharing`. Widths are such
  that the sharings have about as many weights as hard sharing of a trunk 256-128;
* kmtl, single task: the same call with one task, once for each;
* plain Keras: one functional model with both outputs, the usual preparation by hand
  (numbers standardised, an `Embedding` of width 16 a category);
* trees: scikit-learn's histogram gradient boosting, one model a task, native
  categories, the number of trees (100, 200, 400) chosen on the validation half.

All networks: Adam with cosine decay to 0, batches of 512. What is measured is kept in
the folder `--results`, one file a side, and not measured again.

    python benchmarks/census.py                            # 10 seeds: about two hours
    python benchmarks/census.py --sides "hard" "single task" "plain Keras" "trees"
    python benchmarks/census.py --seeds 2 --epochs 2 --trees 100 --results short
"""

import argparse
import functools
import json
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from _census import (
    BATCH,
    TASKS,
    Data,
    aucs,
    best_epoch,
    fit_kmtl,
    optimizer,
    truth,
)
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from kmtl import regularizers, sharing

TREES = (100, 200, 400)
GRID = [(rate, dropout) for dropout in (0.0, 0.1) for rate in (1e-3, 2e-3)]
# The sharing of a side and the widths of its trunk.
SHARINGS = {
    "hard": (sharing.Hard(), (256, 128)),
    "hard, half as wide": (sharing.Hard(), (128, 64)),
    "soft, MeanL2 0": (sharing.Soft(regularizers.MeanL2(0.0)), (128, 128)),
    "soft, MeanL2 1e-3": (sharing.Soft(regularizers.MeanL2(1e-3)), (128, 128)),
    "soft, MeanL2 1e-1": (sharing.Soft(regularizers.MeanL2(1e-1)), (128, 128)),
    "soft, TraceNorm 1e-3": (sharing.Soft(regularizers.TraceNorm(1e-3)), (128, 128)),
    "CrossStitch": (sharing.CrossStitch(), (128, 128)),
    "Sluice": (sharing.Sluice(), (128, 128)),
    "MMoE, 4 experts": (sharing.MMoE(experts=4), (64, 64)),
    "DSelectK, 2 of 4": (sharing.DSelectK(experts=4, k=2), (64, 64)),
    "CGC, 1 + 1 experts": (sharing.CGC(shared_experts=1, task_experts=1), (84, 84)),
    "PLE, 1 + 1 experts": (sharing.PLE(shared_experts=1, task_experts=1), (84, 84)),
    "AdaTT": (sharing.AdaTT(), (128, 128)),
    "MTAN": (sharing.MTAN(), (128, 64)),
    "FiLM": (sharing.FiLM(), (256, 128)),
    "Branched": (sharing.Branched(), (256, 64)),
    "LowLevel, married": (sharing.LowLevel({"married": 0}), (256, 128)),
}
BOTH, ALONE = [list(TASKS)], [[name] for name in TASKS]


def fit_keras(data, tasks, setting, seed, epochs):
    rate, dropout = setting
    keras.utils.set_random_seed(seed)
    numbers = keras.Input((len(data.numbers),), name="numbers")
    codes = keras.Input((len(data.texts),), dtype="int32", name="codes")
    parts = [numbers]
    for position, column in enumerate(data.texts):
        size = len(data.vocabularies[column]) + 1
        embed = keras.layers.Embedding(size, 16)
        parts.append(embed(codes[:, position]))
    shared = keras.layers.Concatenate()(parts)
    for units in (256, 128):
        shared = keras.layers.Dense(units, activation="relu")(shared)
        shared = keras.layers.Dropout(dropout)(shared)
    outputs = {
        name: keras.layers.Dense(1, activation="sigmoid", name=name)(shared)
        for name in tasks
    }
    model = keras.Model({"numbers": numbers, "codes": codes}, outputs)
    model.compile(
        optimizer(rate, len(data.train), epochs),
        loss=dict.fromkeys(tasks, "binary_crossentropy"),
        metrics={name: [keras.metrics.AUC(name="auc")] for name in tasks},
    )
    labels = {
        part: {
            name: truth(getattr(data, part), name).astype("float32") for name in tasks
        }
        for part in ("train", "valid")
    }
    model.fit(
        data.prepared["train"],
        labels["train"],
        validation_data=(data.prepared["valid"], labels["valid"]),
        batch_size=BATCH,
        validation_batch_size=8192,
        epochs=epochs,
        verbose=0,
        callbacks=[best_epoch(f"val_{tasks[0]}_auc")],
    )
    return model, data.prepared


def choose_setting(fit, data, tasks, args):
    """Returns the setting of the grid that is best for the first task on validation."""
    scores = {}
    for setting in GRID[: args.settings]:
        model, inputs = fit(data, tasks, setting, seed=1000, epochs=args.epochs)
        scores[setting] = aucs(model, inputs["valid"], data.valid, tasks)[tasks[0]]
    return max(scores, key=scores.get)


def measure_networks(fit, task_lists, data, args):
    """Trains a side for every seed."""
    results, parameters, seconds, settings = {}, 0, 0.0, []
    for tasks in task_lists:
        setting = choose_setting(fit, data, tasks, args)
        settings.append("{:g}, {:g}".format(*setting))
        for seed in range(args.seeds):
            start = time.perf_counter()
            model, inputs = fit(data, tasks, setting, seed, args.epochs)
            seconds += (time.perf_counter() - start) / args.seeds
            for name, auc in aucs(model, inputs["test"], data.test, tasks).items():
                results.setdefault(name, []).append(auc)
        parameters += model.count_params()
    note = f"rate, dropout: {'; '.join(settings)}"
    return {
        "aucs": results,
        "parameters": parameters,
        "seconds": seconds,
        "setting": note,
    }


def measure_trees(data, args):
    start, chosen, results = time.perf_counter(), [], {}
    frames = {
        part: pd.concat(
            [
                getattr(data, part)[data.numbers].reset_index(drop=True),
                pd.DataFrame(data.prepared[part]["codes"], columns=data.texts),
            ],
            axis=1,
        )
        for part in ("train", "valid", "test")
    }
    for task in TASKS:
        best = (0.0, 0, None)
        for trees in [n for n in TREES if n <= args.trees]:
            model = HistGradientBoostingClassifier(
                max_iter=trees,
                categorical_features=[
                    c for c in data.texts if len(data.vocabularies[c]) < 250
                ],
                early_stopping=False,
                random_state=0,
            ).fit(frames["train"], truth(data.train, task))
            scores = model.predict_proba(frames["valid"])[:, 1]
            auc = roc_auc_score(truth(data.valid, task), scores)
            best = max(best, (auc, trees, model), key=lambda b: b[0])
        chosen.append(str(best[1]))
        scores = best[2].predict_proba(frames["test"])[:, 1]
        results[task] = [roc_auc_score(truth(data.test, task), scores)]
    return {
        "aucs": results,
        "parameters": 0,
        "seconds": time.perf_counter() - start,
        "setting": f"{' and '.join(chosen)} trees",
    }


def sides():
    """How each side of the table is measured, by its title."""
    shared = {
        title: functools.partial(fit_kmtl, sharing=how, units=units)
        for title, (how, units) in SHARINGS.items()
    }
    measures = {
        title: functools.partial(measure_networks, fit, BOTH)
        for title, fit in shared.items()
    }
    measures["single task"] = functools.partial(measure_networks, fit_kmtl, ALONE)
    measures["plain Keras"] = functools.partial(measure_networks, fit_keras, BOTH)
    measures["trees"] = measure_trees
    return measures


def measured(title, measure, data, args):
    """Measures a side, or reads what was measured before."""
    name = "".join(c if c.isalnum() else "_" for c in title)
    path = args.results / f"{name}_{args.seeds}_{args.epochs}_{args.settings}.json"
    if not path.exists():
        path.write_text(json.dumps(measure(data(), args)), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def row(title, side):
    cells = [
        f"{np.mean(a):.4f}"
        + (f" +- {np.std(a, ddof=1):.4f}" if len(a) > 1 else " " * 10)
        for a in side["aucs"].values()
    ]
    return (
        f"{title:<21}  {'  '.join(cells)}  {side['parameters']:>10,}  "
        f"{side['seconds']:>7.0f}  {side['setting']}"
    )


def gains(ours, theirs):
    """The mean difference by seed of each task, and twice its standard error."""
    cells = []
    for task in TASKS:
        by_seed = np.subtract(ours["aucs"][task], theirs["aucs"][task])
        error = 2 * by_seed.std(ddof=1) / np.sqrt(len(by_seed))
        cells.append(f"{by_seed.mean():+.4f} +- {error:.4f}")
    return "  ".join(cells)


def main(args):
    args.results.mkdir(parents=True, exist_ok=True)
    data = functools.cache(Data)
    print(f"test ROC-AUC, mean +- standard deviation over {args.seeds} seeds")
    print(
        f"{'':<21}  {'income':<16}  {'never married':<16}  parameters  seconds  "
        "setting chosen on validation"
    )
    results = {}
    for title, measure in sides().items():
        if title in args.sides:
            results[title] = measured(title, measure, data, args)
            print(row(title, results[title]), flush=True)
    for other in ("hard", "single task", "plain Keras"):
        if other in results:
            print(f"\ndifference to {other!r} by seed, mean +- 2 standard errors")
            for title, side in results.items():
                if title not in (other, "trees"):
                    print(f"{title:<21}  {gains(side, results[other])}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument(
        "--settings", type=int, default=len(GRID), help="how many of the grid are tried"
    )
    parser.add_argument("--trees", type=int, default=max(TREES), help="at most")
    parser.add_argument("--sides", nargs="+", choices=sides(), default=list(sides()))
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("benchmarks/output/census"),
        help="a folder",
    )
    main(parser.parse_args())
