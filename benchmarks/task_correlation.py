"""Does a mixture of experts help where tasks are little related?

The synthetic tasks of the MMoE paper (Ma et al., KDD 2018, section 3.2): two
regressions `y_t = w_t @ x + sum_i sin(alpha_i w_t @ x + beta_i) + noise` on 100 normal
inputs, with `w_2 = p w_1 + sqrt(1 - p^2) v` for unit vectors `w_1` and `v` at a right
angle; the cosine `p` stands for how related the tasks are. The paper shows a figure of
the training loss and does not say what `alpha` and `beta` are; here they are normal, as
in the PLE paper (Tang et al., RecSys 2020, section 5.2). Noise has variance 0.01.

Reported is the mean squared error on 10,000 test rows, in units of the variance of the
labels, averaged over both tasks; mean, median and the share of bad runs (an error
above twice the median) over seeds. All sides have 14,000 to 15,500 weights, heads with
a hidden layer of 8, and the same training: 10,000 rows, batches of 250, Adam, cosine
decay to 0. The learning rate is chosen for each side and cosine out of the same three,
on two seeds of their own, by the error on 5,000 further rows.

    python benchmarks/task_correlation.py                      # about 30 minutes
    python benchmarks/task_correlation.py --seeds 2 --epochs 5
"""

import argparse
from pathlib import Path

import keras
import numpy as np
from matplotlib.figure import Figure

import kmtl
from kmtl import regularizers, sharing

INPUTS, SINES, NOISE = 100, 6, 0.1
ROWS = {"train": 10_000, "valid": 5_000, "test": 10_000}
BATCH = 250
COSINES = [0.0, 0.5, 0.9, 1.0]
RATES = (1e-3, 3e-3, 1e-2)
TASKS = ("first", "second")
SIDES = {
    "single task": (None, 64),
    "shared bottom": (sharing.Hard(), 128),
    "soft, MeanL2": (sharing.Soft(regularizers.MeanL2(1e-3)), 64),
    "cross-stitch": (sharing.CrossStitch(), 64),
    "MMoE": (sharing.MMoE(experts=8), 16),
}


def make_data(cosine, seed):
    """Returns inputs and labels by part; labels have variance 1 in training."""
    rng = np.random.default_rng(seed)
    first, second = np.linalg.qr(rng.normal(size=(INPUTS, 2)))[0].T
    directions = [first, cosine * first + np.sqrt(1 - cosine**2) * second]
    alpha, beta = rng.normal(size=(2, SINES))
    data = {}
    for part, rows in ROWS.items():
        x = rng.normal(size=(rows, INPUTS))
        labels = {}
        for task, direction in zip(TASKS, directions, strict=True):
            along = x @ direction
            waves = np.sin(np.outer(along, alpha) + beta).sum(axis=1)
            labels[task] = along + waves + NOISE * rng.normal(size=rows)
        data[part] = (x.astype("float32"), labels)
    return data


def build(side, tasks, rate, seed, epochs):
    how, width = SIDES[side]
    keras.utils.set_random_seed(seed)
    steps = ROWS["train"] // BATCH * epochs
    decay = keras.optimizers.schedules.CosineDecay(rate, steps)
    return kmtl.build_mtl_model(
        (INPUTS,),
        [kmtl.RegressionTask(task, metrics=["mse"]) for task in tasks],
        trunk=kmtl.trunks.MLP([width]),
        sharing=how,
        head_units=(8,),
        optimizer=keras.optimizers.Adam(decay),
    )


def errors(side, data, rate, seed, epochs, part):
    """Trains a side; returns its mean error on a part, and its number of weights."""
    groups = [[task] for task in TASKS] if SIDES[side][0] is None else [TASKS]
    found, weights = [], 0
    for tasks in groups:
        model = build(side, tasks, rate, seed, epochs)
        x, y = data["train"]
        model.fit(
            x, {t: y[t] for t in tasks}, batch_size=BATCH, epochs=epochs, verbose=0
        )
        x, y = data[part]
        predicted = model.predict(x, batch_size=5_000, verbose=0)
        for task in tasks:
            error = np.square(predicted[task][:, 0] - y[task]).mean()
            found.append(error / np.var(data["train"][1][task]))
        weights += model.count_params()
    return float(np.mean(found)), weights


def choose_rate(side, cosine, epochs):
    means = {
        rate: np.mean(
            [
                errors(side, make_data(cosine, s), rate, s, epochs, "valid")[0]
                for s in (1000, 1001)
            ]
        )
        for rate in RATES
    }
    return min(means, key=means.get)


def draw(table, cosines, path):
    """Draws every run, and the median of each side, over the cosine."""
    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.subplots()
    for number, (side, by_cosine) in enumerate(table.items()):
        shift = 0.012 * (number - (len(table) - 1) / 2)
        places = [cosine + shift for cosine in cosines]
        for place, values in zip(places, by_cosine, strict=True):
            axes.plot(
                [place] * len(values), values, ".", color=f"C{number}", alpha=0.35
            )
        medians = [np.median(values) for values in by_cosine]
        axes.plot(places, medians, "o-", color=f"C{number}", label=side)
    axes.set_yscale("log")
    axes.set_xticks(cosines)
    axes.set_xlabel("cosine between the tasks' directions")
    axes.set_ylabel("test error / variance of the labels")
    axes.set_title("Every run, and the median over seeds")
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)


def main(args):
    print(f"test error, {args.seeds} seeds, {args.epochs} epochs")
    print(f"{'':<14} cosine  mean    median  bad runs  weights  rate")
    table = {side: [] for side in SIDES}
    for side in SIDES:
        for cosine in args.cosines:
            rate = choose_rate(side, cosine, args.epochs)
            runs = [
                errors(side, make_data(cosine, s), rate, s, args.epochs, "test")
                for s in range(args.seeds)
            ]
            values = np.array([error for error, _ in runs])
            table[side].append(values)
            middle = np.median(values)
            print(
                f"{side:<14} {cosine:<6g}  {values.mean():.4f}  {middle:.4f}  "
                f"{np.mean(values > 2 * middle):<8.0%}  {runs[0][1]:,}   {rate:g}",
                flush=True,
            )
    draw(table, args.cosines, args.picture)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument(
        "--cosines", type=float, nargs="+", default=[0.0, 0.5, 0.9, 1.0]
    )
    parser.add_argument(
        "--picture", type=Path, default=Path("benchmarks/output/task_correlation.png")
    )
    main(parser.parse_args())
