"""School: 139 schools, 15,362 exam scores; every row belongs to one task.

    python benchmarks/school.py --data FOLDER           # about 40 minutes, two cores
    python benchmarks/school.py --data FOLDER --splits 2 --only independent MeanL2

FOLDER holds `school.npz` with `X` float32 (15362, 27), `y` and `task` 0..138: the
Inner London Education Authority data as in `data/school.mat` of MALSAR
(https://github.com/jiayuzhou/MALSAR), without its constant column. Columns: three for
the year, share of pupils with free meals, share in the first band of verbal reasoning,
then 0/1 for gender, band, ethnic group, and gender and denomination of the school.

Protocol: 10 random splits 75/25 of each school; the two shares standardised, scores
centred and scaled, all on the training part; RMSE in points and explained variance,
1 - SSE / SST over all test rows. Every method chooses among four settings, on an inner
80/20 of the training part of split 0, and keeps its choice for all splits.

All models are kmtl models of 139 regression tasks: labels of other schools are missing,
and the losses are weighted by rows, so that the sum is the loss of a row as in the
papers. Strengths are printed for squared errors of standardised scores summed over
rows, as the papers count them. Linear methods have a weight vector a school and an
intercept of its own, which is not penalised; the penalties couple the 139 vectors.

* pooled: one task, one linear model for all schools;
* independent: a ridge penalty for each school;
* hard: a shared ReLU layer and 139 linear heads;
* `MeanL2` to `TraceNorm`: soft sharing with each regularizer. The graph links schools
  with similar shares, gender and denomination; the groups of `Hierarchical` are the
  nine combinations of gender and denomination;
* best: a shared ReLU layer beside the inputs, under linear heads drawn to their mean:
  hard sharing, then soft;
* deep: towers of a ReLU layer and a linear one, all kernels drawn to their mean, from
  no strength to a large one; by a gradient or by proximal steps. A strong gradient also
  fills the scale of Adam, which then hardly moves what the towers have in common;
  proximal steps leave it alone, and their limit is one network for all schools.

The models train with Adam on eight batches an epoch, each with an eighth of every
school: up to noise its loss is that of all rows, and the linear methods end within 0.1
points of explained variance of the minimum.
"""

import argparse
import functools
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd

import kmtl

SHARES = [3, 4]  # columns that are no 0/1: free meals and first band, in percent
FORM = slice(21, 27)  # gender and denomination of the school
BATCHES = 8
LINEAR, NONLINEAR = (0.1, 15), (0.02, 25)  # learning rate, epochs
UNITS = 32
KNOWN = {  # explained variance, closed forms or proximal gradients in float64
    "pooled": 33.8,
    "independent": 34.9,
    "GroupLasso": 36.0,
    "TraceNorm": 37.1,
    "MeanL2": 37.8,
}


class Split:
    """One split of rows into training and test, prepared on the training part."""

    def __init__(self, x, score, school, *, seed, share):
        rng = np.random.default_rng(seed)
        self.train = spread_evenly(school, rng) < share
        self.test = ~self.train
        x = x.copy()
        mean, spread = x[self.train][:, SHARES].mean(0), x[self.train][:, SHARES].std(0)
        x[:, SHARES] = (x[:, SHARES] - mean) / spread
        self.mean, self.spread = score[self.train].mean(), score[self.train].std()
        self.x, self.score, self.school = x, score, school
        self.names = [f"school_{i}" for i in range(school.max() + 1)]
        # Every run of rows this long has the same share of each school.
        rows = np.flatnonzero(self.train)
        self.rows = rows[np.argsort(spread_evenly(school[rows], rng))]

    def labels(self):
        """Standardised scores `(rows, tasks)`, missing for all schools but one."""
        values = np.full((len(self.rows), len(self.names)), np.nan, "float32")
        own = (self.score[self.rows] - self.mean) / self.spread
        values[np.arange(len(self.rows)), self.school[self.rows]] = own
        return pd.DataFrame(values, columns=self.names)

    def tasks(self):
        """A task a school, weighted by its rows: the total is the loss of a row."""
        weights = np.bincount(self.school[self.rows]) / len(self.rows)
        return [
            kmtl.RegressionTask(n, standardize=False, loss_weight=float(w), metrics=[])
            for n, w in zip(self.names, weights, strict=True)
        ]

    def measure(self, predicted):
        """Explained variance in percent and RMSE of standardised predictions."""
        truth = self.score[self.test]
        errors = truth - (predicted * self.spread + self.mean)
        total = np.square(truth - truth.mean()).sum()
        explained = 100 * (1 - np.square(errors).sum() / total)
        return explained, np.sqrt(np.square(errors).mean())


def spread_evenly(school, rng):
    """Gives each row a place in [0, 1); those of a school are random and even."""
    place = np.empty(len(school))
    for i in np.unique(school):
        rows = rng.permutation(np.flatnonzero(school == i))
        place[rows] = (np.arange(len(rows)) + rng.uniform()) / len(rows)
    return place


@keras.saving.register_keras_serializable("school")
class Ridge(kmtl.regularizers.TaskRegularizer):
    """Draws each school to zero: nothing is shared."""

    def penalty(self, weights):
        return keras.ops.sum(keras.ops.square(weights))


def graph(split):
    """Links of schools by what is known of them without scores."""
    about = np.concatenate([split.x[:, SHARES], 2 * split.x[:, FORM]], axis=1)
    table = pd.DataFrame(about[split.train]).groupby(split.school[split.train]).mean()
    squares = np.square(table.to_numpy()[:, None] - table.to_numpy()).sum(-1)
    links = np.exp(-squares / np.median(squares))
    np.fill_diagonal(links, 0.0)
    links /= links.sum(1).mean()  # as strong as the default graph in total
    return pd.DataFrame(links, index=split.names, columns=split.names)


def groups(split):
    """Schools of one gender and denomination."""
    first = [np.flatnonzero(split.school == i)[0] for i in range(len(split.names))]
    forms = ["".join(map(str, row)) for row in split.x[first][:, FORM].astype(int)]
    named = pd.Series(split.names).groupby(forms)
    return {form: list(names) for form, names in named}


def linear(inputs):
    return inputs


def soft(regularizer):
    """A method: linear towers, coupled by a regularizer of some strength."""

    def form(split, strength):
        made = regularizer(strength / len(split.rows), split)
        return linear, kmtl.sharing.Soft(made, heads=True)

    return form


def hard(_, units):
    return kmtl.trunks.MLP([int(units)]), kmtl.sharing.Hard()


def best(split, strength):
    """A shared layer beside the inputs, under linear heads drawn to their mean."""

    def trunk(inputs):
        hidden = keras.layers.Dense(
            UNITS, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-3)
        )
        return keras.layers.Concatenate()([inputs, hidden(inputs)])

    regularizer = kmtl.regularizers.MeanL2(strength / len(split.rows))
    coupled = kmtl.sharing.Soft(regularizer, heads=True)
    nothing = kmtl.trunks.as_trunk(linear)

    def sharing(trunk, inputs, tasks):  # hard, then soft
        return coupled(nothing, trunk(inputs), tasks)

    return trunk, sharing


def deep(split, setting):
    """A tower of two layers a school, all kernels drawn to their mean."""
    strength, proximal = setting
    regularizer = kmtl.regularizers.MeanL2(strength / len(split.rows))
    sharing = kmtl.sharing.Soft(regularizer, heads=True, proximal=proximal)
    return kmtl.trunks.MLP([UNITS]), sharing


R = kmtl.regularizers
METHODS = {  # name: how a model is made, four settings
    "independent": (soft(lambda s, _: Ridge(s)), (1, 3, 10, 30)),
    "hard": (hard, (4, 8, 16, 32)),
    "MeanL2": (soft(lambda s, _: R.MeanL2(s)), (10, 30, 100, 300)),
    "GraphLaplacian": (
        soft(lambda s, split: R.GraphLaplacian(s, graph=graph(split))),
        (10, 30, 100, 300),
    ),
    "Hierarchical": (
        soft(lambda s, split: R.Hierarchical(s, groups=groups(split))),
        (10, 30, 100, 300),
    ),
    "GroupLasso": (soft(lambda s, _: R.GroupLasso(s)), (10, 30, 100, 300)),
    "GroupLasso linf": (
        soft(lambda s, _: R.GroupLasso(s, norm="linf")),
        (100, 300, 1000, 3000),
    ),
    "TaskCovariance": (soft(lambda s, _: R.TaskCovariance(s)), (0.1, 0.3, 1, 3)),
    "TensorTraceNorm": (soft(lambda s, _: R.TensorTraceNorm(s)), (10, 30, 100, 300)),
    "TraceNorm": (soft(lambda s, _: R.TraceNorm(s)), (10, 30, 100, 300)),
    "best": (best, (10, 30, 100, 300)),
}
DEEP = {  # strengths of deep towers; those of proximal steps are on another scale
    "deep, gradient": (False, (0, 1, 10, 100, 1000, 10000)),
    "deep, proximal": (True, (1e3, 1e4, 1e5, 1e6)),
}


def train(split, form, setting):
    """Builds and fits a model; returns standardised predictions for the test rows."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
    trunk, sharing = form(split, setting)
    model = kmtl.build_mtl_model(
        split.x.shape[1:], split.tasks(), trunk=trunk, sharing=sharing
    )
    schedule = LINEAR if trunk is linear else NONLINEAR
    return fit_and_predict(model, split, split.labels(), *schedule)


def pooled(split):
    """The predictions of one linear model for all schools."""
    keras.utils.set_random_seed(0)
    task = kmtl.RegressionTask("score", standardize=False, metrics=[])
    model = kmtl.build_mtl_model(split.x.shape[1:], [task], trunk=linear)
    labels = split.labels().mean(axis=1).to_frame("score")
    return fit_and_predict(model, split, labels, *LINEAR)


def fit_and_predict(model, split, labels, rate, epochs):
    decay = keras.optimizers.schedules.CosineDecay(rate, BATCHES * epochs)
    model.compile(keras.optimizers.Adam(decay))
    size = -(-len(split.rows) // BATCHES)
    x = split.x[split.rows]
    model.fit(x, labels, batch_size=size, epochs=epochs, shuffle=False, verbose=0)
    outputs = model.predict(split.x[split.test], batch_size=4096, verbose=0)
    table = np.concatenate(list(outputs.values()), axis=1)
    own = split.school[split.test] if len(outputs) > 1 else 0
    return table[np.arange(len(table)), own]


def choose(form, settings, data):
    """Returns the setting that is best on the inner split."""
    outer = Split(*data, seed=0, share=0.75)
    inner = Split(*(a[outer.train] for a in data), seed=1000, share=0.8)
    scores = {s: inner.measure(train(inner, form, s))[0] for s in settings}
    return max(scores, key=scores.get)


def row(name, setting, predict, data, splits):
    """Measures `predict(split)` on every split and prints a row of the table."""
    start, scores = time.perf_counter(), []
    for seed in range(splits):
        split = Split(*data, seed=seed, share=0.75)
        scores.append(split.measure(predict(split)))
    seconds = (time.perf_counter() - start) / splits
    (ev, rmse), (ev_sd, rmse_sd) = np.mean(scores, 0), np.std(scores, 0)
    print(
        f"{name:<16} {setting:>7}  {ev:6.2f} +- {ev_sd:4.2f}     {rmse:6.3f} +- "
        f"{rmse_sd:5.3f}  {KNOWN.get(name, ''):>5}  {seconds:7.1f}",
        flush=True,
    )


def load(folder):
    with np.load(folder / "school.npz") as file:
        return file["X"].astype("float32"), file["y"], file["task"].astype(int)


def main(args):
    data = load(args.data)
    print(
        f"{'':<16} {'setting':>7}  explained variance  {'RMSE':<15}  known  "
        "seconds a split"
    )
    for name in args.only:
        if name == "pooled":
            row(name, "", pooled, data, args.splits)
        elif name in DEEP:
            proximal, strengths = DEEP[name]
            for strength in strengths:
                setting = strength, proximal
                predict = functools.partial(train, form=deep, setting=setting)
                row(name, f"{strength:g}", predict, data, args.splits)
        else:
            form, settings = METHODS[name]
            setting = choose(form, settings, data)
            predict = functools.partial(train, form=form, setting=setting)
            row(name, setting, predict, data, args.splits)


if __name__ == "__main__":
    names = ["pooled", *METHODS, *DEEP]
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True, help="of school.npz")
    parser.add_argument("--splits", type=int, default=10)
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    main(parser.parse_args())
