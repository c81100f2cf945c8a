"""Do groups of tasks gain what `suggest_groups` predicts?

For each seed the affinity of the tasks is measured in one network for all of them, as
long as its validation loss falls. Then groupings are trained, each group in a network
of its own of the same width: all tasks together, those that are suggested, as many at
random, and some more at random. The real gain of a grouping is the mean over tasks of
its ROC-AUC on test rows minus that of a network for the task alone, each network at the
epoch that is best for its tasks on validation rows; the predicted one is the mean, or
the sum, of the affinities of the other tasks of its group. Their units differ, so that
only their correlation over the groupings says how much a prediction is worth.

* generated: `kmtl.testing.make_related_tasks`, groups of 3, 2 and 1 tasks.
* census: six questions about the people of Census-Income, on few rows.
* tox21, fdu_mtl (with `--data FOLDER`): the assays and domains of
  `benchmarks/is_sharing_worth_it.py`, which says what the folder holds.

    python benchmarks/task_groups.py                                  # about 15 minutes
    python benchmarks/task_groups.py --quick
    python benchmarks/task_groups.py --data FOLDER --problems tox21

Needs the extra `bench`.
"""

import argparse
import functools
import itertools
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import is_sharing_worth_it
import keras
import numpy as np
import pandas as pd
from _census import read

import kmtl
from kmtl.analysis import suggest_groups, task_affinity
from kmtl.trunks import MLP

NETWORKS = (2, 3, 4)
GAINS = ("mean", "sum")
TITLES = ["together"]
TITLES += [f"{way}, {most}" for most in NETWORKS for way in (*GAINS, "random")]
CENSUS = {  # the column of a task and what it asks for
    "rich": ("income_50k", "50000+."),
    "unmarried": ("marital_status", "Never married"),
    "man": ("sex", "Male"),
    "graduate": ("education", "Bachelors degree(BA AB BS)"),
    "householder": ("detailed_household_summary_in_household", "Householder"),
    "joint": ("tax_filer_status", "Joint both under 65"),
}
# They say the same as one that is asked for.
CENSUS_LEFT_OUT = ["detailed_household_and_family_stat", "instance_weight"]


@dataclass(frozen=True)
class Problem:
    """Some tasks, and how a network is trained for them.

    Attributes:
        tasks: The tasks.
        inputs: What `build_mtl_model` takes.
        parts: Inputs and labels to train, to choose an epoch and to test on.
        trunk: The trunk of a network.
        rate: The learning rate.
        epochs: How long every network is trained.
        batch: Rows of a batch.
        measured: How affinity is measured, other than that.
    """

    tasks: list[Any]
    inputs: Any
    parts: list[tuple[Any, ...]]
    trunk: MLP
    rate: float
    epochs: int
    batch: int = 64
    measured: Mapping[str, int] = field(default_factory=lambda: {"every": 5})

    def build(self, sharing, seed):
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        return kmtl.build_mtl_model(
            self.inputs,
            self.tasks,
            trunk=self.trunk,
            sharing=sharing,
            optimizer=keras.optimizers.Adam(self.rate),
        )

    def affinity(self, seed):
        model = self.build(kmtl.sharing.Hard(), seed)
        train, valid, _ = self.parts
        stop = keras.callbacks.EarlyStopping("val_loss", mode="min")
        fit = {
            "epochs": self.epochs,
            "batch_size": self.batch,
            "validation_data": valid[0] if len(valid) == 1 else valid,
            "callbacks": [stop],
            **self.measured,
        }
        with warnings.catch_warnings():
            # Few rows, or none, have labels of both tasks: of no matter to affinity.
            warnings.filterwarnings("ignore", message="Less than 40%")
            return task_affinity(model, *train, **fit).affinity

    def scores(self, groups, seeds):
        """The test ROC-AUC of each task with a network a group, mean over seeds."""
        return np.mean([self.scores_of_one(groups, seed) for seed in seeds], axis=0)

    def scores_of_one(self, groups, seed):
        model = self.build(kmtl.sharing.Branched(groups, shared_stages=0), seed)
        train, valid, test = self.parts
        found = [ScoreEpochs(*part) for part in (valid, test)]
        fit = {"epochs": self.epochs, "batch_size": self.batch, "verbose": 0}
        model.fit(*train, callbacks=found, **fit)
        losses, scores = (pd.DataFrame(part.logs) for part in found)
        return np.array(
            [
                scores.at[best_epoch(losses, groups, name), f"{name}_auc"]
                for name in model.task_names
            ]
        )


class ScoreEpochs(keras.callbacks.Callback):
    """Notes all losses and metrics on some rows after each epoch."""

    def __init__(self, *rows):
        super().__init__()
        self.rows, self.logs = rows, []

    def on_epoch_end(self, epoch, logs=None):
        del epoch, logs
        fit = {"batch_size": 2048, "return_dict": True, "verbose": 0}
        self.logs.append(self.model.evaluate(*self.rows, **fit))


def best_epoch(losses, groups, name):
    """The epoch after which the network of a task has the least validation loss."""
    (group,) = (group for group in groups if name in group)
    return losses[[f"{other}_loss" for other in group]].sum(axis=1).idxmin()


def generated(seed, args):
    rows = args.rows or 2000
    made = kmtl.testing.make_related_tasks(
        (3, 2, 1), opposed=1, rows=rows + 5000, noise=0.3, seed=seed
    )
    ends = [0, rows, rows + 1000, None]
    parts = [
        (made.x[i:j], {name: labels[i:j] for name, labels in made.y.items()})
        for i, j in itertools.pairwise(ends)
    ]
    return Problem(made.tasks, made.x.shape[1:], parts, MLP([16]), 0.005, 15)


def census(seed, args):
    rows = args.rows or 4000
    whole = read("census-income.data.xz").drop(columns=CENSUS_LEFT_OUT)
    grown = whole[whole["age"] >= 18].sample(rows + 21_000, random_state=seed)
    tasks = [
        kmtl.BinaryTask(name, label=label, positive=positive)
        for name, (label, positive) in CENSUS.items()
    ]
    ends = [0, rows, rows + 1000, None]
    parts = [(grown.iloc[i:j],) for i, j in itertools.pairwise(ends)]
    return Problem(tasks, parts[0][0], parts, MLP([32]), 0.003, 8)


def divide(x, y, tasks, shares, seed):
    labels = pd.DataFrame(y)
    parts = kmtl.data.split(labels, tasks, shares, seed=seed)
    return [(x[part.index], part) for part in parts]


def tox21(seed, args):
    rows, tasks, settings = is_sharing_worth_it.tox21(args.data, None)
    parts = divide(*rows, tasks, (0.7, 0.1, 0.2), seed)
    shape, batch = rows[0].shape[1:], settings["batch_size"]
    return Problem(tasks, shape, parts, settings["trunk"], 0.001, 15, batch)


def fdu_mtl(seed, args):
    rows, tasks, settings = is_sharing_worth_it.fdu_mtl(args.data, None)
    tasks = [kmtl.BinaryTask(task.name, metrics=["auc"]) for task in tasks]
    parts = [*divide(*rows, tasks, (0.9, 0.1), seed), settings["test"]]
    shape, batch = rows[0].shape[1:], settings["batch_size"]
    # A row has one label, so that a batch of 256 has 16 rows a task: that is noise.
    measured = {"every": 1, "batch_size": 1024}
    trunk = settings["trunk"]
    return Problem(tasks, shape, parts, trunk, 0.003, 15, batch, measured)


PROBLEMS: dict[str, Callable[..., Problem]] = {
    "generated": generated,
    "census": census,
    "tox21": tox21,
    "fdu_mtl": fdu_mtl,
}


def random_groups(names, networks, rng):
    """Deals the tasks to so many networks, each of which gets one."""
    dealt = [*range(networks), *rng.integers(networks, size=len(names) - networks)]
    place = rng.permutation(dealt)
    return [
        [n for n, p in zip(names, place, strict=True) if p == group]
        for group in range(networks)
    ]


def predicted(affinity, groups, gain):
    """The mean over tasks of the mean, or sum, of what the others do to it."""
    gains = [
        affinity.loc[[other for other in group if other != name], name].agg(gain)
        for group in groups
        for name in group
        if len(group) > 1
    ]
    return float(np.sum(gains)) / len(affinity)


def groupings(affinity, count, rng):
    """All groupings to train, by pairs of a title and groups."""
    names = list(affinity)
    found = [("together", [names])]
    for networks in NETWORKS:
        for gain in GAINS:
            groups = suggest_groups(affinity, groups=networks, gain=gain).groups
            found.append((f"{gain}, {networks}", groups))
        for _ in range(count):
            drawn = random_groups(names, networks, rng)
            found.append((f"random, {networks}", drawn))
    for _ in range(3 * count):
        networks = rng.integers(2, len(names))
        found.append(("random", random_groups(names, networks, rng)))
    return found


def measure(problem, seed, args):
    """Predicted and real gains of groupings, a row each."""
    affinity = problem.affinity(seed).fillna(0.0)
    seeds = range(seed, seed + args.networks)
    alone = problem.scores([[name] for name in affinity], seeds)
    score = functools.cache(lambda groups: problem.scores(groups, seeds))
    rows = []
    for title, groups in groupings(affinity, args.random, np.random.default_rng(seed)):
        gains = {gain: predicted(affinity, groups, gain) for gain in GAINS}
        real = score(tuple(map(tuple, groups))) - alone
        rows.append({"grouping": title, **gains, "real": float(real.mean())})
        if args.verbose:
            print(len(groups), rows[-1], flush=True)
    return pd.DataFrame(rows)


def report(name, tables):
    """Prints what came of a problem, one table a seed."""
    # A grouping may be suggested more than once.
    single = [t.drop_duplicates([*GAINS, "real"]) for t in tables]
    cells = [
        with_spread([t[[gain, "real"]].corr(method=by).iloc[0, 1] for t in single])
        for gain in GAINS
        for by in ("pearson", "spearman")
    ]
    real = pd.DataFrame([t.groupby("grouping")["real"].mean() for t in tables])
    cells += [with_spread(real[title], digits=4) for title in TITLES]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def with_spread(values, digits=2):
    spread = f" +- {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):+.{digits}f}{spread}"


def main(args):
    columns = [f"{gain}, {by}" for gain in GAINS for by in ("correlation", "of ranks")]
    columns += TITLES
    print(f"| tasks | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|")
    for name in args.problems:
        seeds = range(args.seeds)
        report(name, [measure(PROBLEMS[name](s, args), s, args) for s in seeds])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS)
    parser.add_argument("--data", type=Path, help="for tox21, fdu_mtl")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument(
        "--random", type=int, default=2, help="random groupings of each size a seed"
    )
    parser.add_argument("--rows", type=int, help="training rows of generated, census")
    parser.add_argument(
        "--networks", type=int, default=1, help="how many a real gain is the mean of"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, few rows")
    parser.add_argument("--verbose", action="store_true", help="show each grouping")
    args = parser.parse_args()
    if args.problems is None:
        args.problems = ["generated", "census"]
    if {"tox21", "fdu_mtl"} & {*args.problems} and args.data is None:
        parser.error("--data is needed for tox21 and fdu_mtl: the folder they lie in")
    if args.quick:
        args.seeds, args.random, args.rows = 1, 1, 300
    main(args)
