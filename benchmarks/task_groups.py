"""Do groups of tasks gain what `suggest_groups` predicts?

For each seed the affinity of the tasks is measured in one network for all of them. Then
groupings are trained, each group in a network of its own of the same width: all tasks
together, the groupings that are suggested for at most two, three and four networks, and
some at random. The real gain of a grouping is the mean over tasks of its ROC-AUC on
test rows minus that of a network for the task alone; the predicted one is the mean
affinity of the other tasks of its group. Their units differ, so that only their
correlation over the groupings says how much a prediction is worth.

* generated: `kmtl.testing.make_related_tasks`, groups of 3, 2 and 1 tasks.
* census: six questions about the people of Census-Income, on few rows.
* tox21 (with `--data FOLDER`, where `tox21.npz` lies): twelve assays.

    python benchmarks/task_groups.py                                  # about 20 minutes
    python benchmarks/task_groups.py --quick
    python benchmarks/task_groups.py --data FOLDER --problems tox21
"""

import argparse
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd

import kmtl
from kmtl.analysis import suggest_groups, task_affinity

MOST_GROUPS = (2, 3, 4)
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
        train: Inputs and labels.
        test: Inputs and labels.
        units: Widths of the trunk.
        rate: The learning rate.
        epochs: How long every network is trained.
    """

    tasks: list[Any]
    inputs: Any
    train: tuple[Any, Any]
    test: tuple[Any, Any]
    units: tuple[int, ...]
    rate: float
    epochs: int
    batch: int = 64

    def build(self, sharing, seed):
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        return kmtl.build_mtl_model(
            self.inputs,
            self.tasks,
            trunk=kmtl.trunks.MLP(self.units),
            sharing=sharing,
            optimizer=keras.optimizers.Adam(self.rate),
        )

    def affinity(self, seed):
        model = self.build(kmtl.sharing.Hard(), seed)
        fit = {"epochs": self.epochs, "batch_size": self.batch}
        with warnings.catch_warnings():
            # Few rows of Tox21 are labelled for some pairs: of no matter to affinity.
            warnings.filterwarnings("ignore", message="Less than 40%")
            return task_affinity(model, *self.train, every=5, **fit).affinity

    def scores(self, groups, seeds):
        """The test ROC-AUC of each task with a network a group, mean over seeds."""
        return np.mean([self.scores_of_one(groups, seed) for seed in seeds], axis=0)

    def scores_of_one(self, groups, seed):
        model = self.build(kmtl.sharing.Branched(groups, shared_stages=0), seed)
        fit = {"epochs": self.epochs, "batch_size": self.batch, "verbose": 0}
        model.fit(*self.train, **fit)
        logs = model.evaluate(*self.test, batch_size=2048, return_dict=True, verbose=0)
        return np.array([logs[f"{name}_auc"] for name in model.task_names])


def generated(seed, args):
    rows = args.rows or 2000
    made = kmtl.testing.make_related_tasks(
        (3, 2, 1), opposed=1, rows=rows + 4000, noise=0.3, seed=seed
    )
    train, test = (
        (made.x[part], {name: labels[part] for name, labels in made.y.items()})
        for part in (slice(rows), slice(rows, None))
    )
    return Problem(made.tasks, made.x.shape[1:], train, test, (16,), 0.005, 10)


def census(seed, args):
    from _census import read  # noqa: PLC0415 - reads the examples' data

    rows = args.rows or 4000
    whole = read("census-income.data.xz").drop(columns=CENSUS_LEFT_OUT)
    grown = whole[whole["age"] >= 18].sample(rows + 20_000, random_state=seed)
    tasks = [
        kmtl.BinaryTask(name, label=label, positive=positive)
        for name, (label, positive) in CENSUS.items()
    ]
    train, test = grown.iloc[:rows], grown.iloc[rows:]
    return Problem(tasks, train, (train,), (test,), (32,), 0.003, 5)


def tox21(seed, args):
    from toxcast import load  # noqa: PLC0415 - needs SciPy and scikit-learn

    x, y, _ = load(args.data, "tox21")
    order = np.random.default_rng(seed).permutation(len(x))[: args.rows or len(x)]
    cut = len(order) * 3 // 4
    parts = [(x[i], y.iloc[i].reset_index(drop=True)) for i in np.split(order, [cut])]
    tasks = [kmtl.BinaryTask(name) for name in y]
    return Problem(tasks, x.shape[1:], *parts, (128,), 0.0005, 5)


PROBLEMS: dict[str, Callable[..., Problem]] = {
    "generated": generated,
    "census": census,
    "tox21": tox21,
}


def random_groups(names, rng):
    """Puts each task into one of a random number of groups."""
    place = rng.integers(rng.integers(2, len(names)), size=len(names))
    return [[n for n, p in zip(names, place, strict=True) if p == g] for g in {*place}]


def predicted(affinity, groups):
    """The mean over tasks of the mean affinity of the others of their group."""
    gains = [
        affinity.loc[[other for other in group if other != name], name].mean()
        for group in groups
        for name in group
        if len(group) > 1
    ]
    return float(np.sum(gains)) / len(affinity)


def measure(problem, seed, args):
    """Predicted and real gains of groupings, a row each."""
    affinity = problem.affinity(seed).fillna(0.0)
    names, rng = list(affinity), np.random.default_rng(seed)
    groupings = [("together", [names])]
    groupings += [
        (f"suggested, {most}", suggest_groups(affinity, groups=most).groups)
        for most in MOST_GROUPS
    ]
    groupings += [("random", random_groups(names, rng)) for _ in range(args.random)]
    seeds = range(seed, seed + args.networks)
    alone = problem.scores([[name] for name in names], seeds)
    rows = [
        {
            "grouping": title,
            "predicted": predicted(affinity, groups),
            "real": float((problem.scores(groups, seeds) - alone).mean()),
        }
        for title, groups in groupings
    ]
    return pd.DataFrame(rows)


def report(name, tables):
    """Prints what came of a problem, one table a seed."""
    pearson, ranks = (
        [t[["predicted", "real"]].corr(method=m).iloc[0, 1] for t in tables]
        for m in ("pearson", "spearman")
    )
    real = pd.DataFrame([t.groupby("grouping")["real"].mean() for t in tables])
    shown = ["together", *(f"suggested, {most}" for most in MOST_GROUPS), "random"]
    cells = [with_spread(values) for values in (pearson, ranks)]
    cells += [with_spread(real[title], digits=4) for title in shown]
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def with_spread(values, digits=2):
    spread = f" +- {np.std(values, ddof=1):.{digits}f}" if len(values) > 1 else ""
    return f"{np.mean(values):+.{digits}f}{spread}"


def main(args):
    columns = ["correlation", "of ranks", "together"]
    columns += [f"at most {most}" for most in MOST_GROUPS] + ["at random"]
    print(f"| tasks | {' | '.join(columns)} |\n{'|---' * (len(columns) + 1)}|")
    for name in args.problems:
        tables = []
        for seed in range(args.seeds):
            tables.append(measure(PROBLEMS[name](seed, args), seed, args))
            if args.verbose:
                print(tables[-1].to_string(), flush=True)
        report(name, tables)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--problems", nargs="+", choices=PROBLEMS)
    parser.add_argument("--data", type=Path, help="folder of tox21.npz")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--random", type=int, default=8, help="random groupings a seed")
    parser.add_argument("--rows", type=int, help="training rows")
    parser.add_argument(
        "--networks", type=int, default=1, help="how many a real gain is the mean of"
    )
    parser.add_argument("--quick", action="store_true", help="one seed, few rows")
    parser.add_argument("--verbose", action="store_true", help="show each grouping")
    args = parser.parse_args()
    if args.problems is None:
        args.problems = [n for n in PROBLEMS if n != "tox21" or args.data is not None]
    if "tox21" in args.problems and args.data is None:
        parser.error("--data is needed for tox21: the folder of tox21.npz")
    if args.quick:
        args.seeds, args.random, args.rows = 1, 2, 300
    main(args)
