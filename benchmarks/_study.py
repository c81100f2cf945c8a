"""What the studies of balancing share: the sides, their tuning, the table."""

import functools
import inspect
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from kmtl import balancing

EQUAL = "equal weights"
TUNING_SEED = 1000
# Other forms of methods than their defaults.
MORE = {
    "STCH(warmup_epochs=1)": balancing.STCH(warmup_epochs=1),
    **{
        f'{method.__name__}(at="shared")': method(at="shared")
        for method in (balancing.MGDA, balancing.PCGrad, balancing.UPGrad)
    },
}


@dataclass(frozen=True)
class Setting:
    """What is chosen on validation: a learning rate and, for one side, loss weights."""

    rate: float
    weights: tuple[float, ...] | None = None

    def __str__(self):
        weights = "" if self.weights is None else f", {self.weights}"
        return f"{self.rate:g}{weights}"


@dataclass(frozen=True)
class Study:
    """One data set and how a network is trained on it.

    Attributes:
        tasks: The metric of each task, by name.
        build: `build(names, **settings)` builds a model for some of the tasks;
            `settings` are those of `compile`.
        parts: `"train"`, `"valid"` and `"test"`: inputs, and labels by task.
        rates: Learning rates to choose from.
        weights: Loss weights to choose from, one a task.
        batch: Rows of a batch.
        epochs: How long every network is trained.
    """

    tasks: Mapping[str, str]
    build: Callable[..., Any]
    parts: Mapping[str, tuple[Any, Mapping[str, Any]]]
    rates: Sequence[float]
    weights: Sequence[tuple[float, ...]]
    batch: int
    epochs: int

    def fit(self, names, setting, seed, method):
        """Trains a network by Adam with a rate that falls to 0 along a cosine."""
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        x, labels = self.part("train", names)
        steps = -(-len(labels[names[0]]) // self.batch) * self.epochs
        decay = keras.optimizers.schedules.CosineDecay(setting.rate, steps)
        weights = setting.weights or [1.0] * len(names)
        model = self.build(
            names,
            optimizer=keras.optimizers.Adam(decay),
            loss_weights=dict(zip(names, weights, strict=True)),
            balancing=method,
        )
        model.fit(x, labels, batch_size=self.batch, epochs=self.epochs, verbose=0)
        return model

    def part(self, part, names):
        x, labels = self.parts[part]
        return x, {name: labels[name] for name in names}

    def scores(self, model, names, part):
        """The metric of each task, by name."""
        x, labels = self.part(part, names)
        logs = model.evaluate(x, labels, batch_size=2048, return_dict=True, verbose=0)
        return {name: logs[f"{name}_{self.tasks[name]}"] for name in names}

    def choose(self, names, settings, method=None):
        """Returns the setting with the best mean score of the tasks on validation."""
        scores = {}
        for setting in settings:
            model = self.fit(names, setting, TUNING_SEED, method)
            by_task = self.scores(model, names, "valid")
            scores[setting] = np.mean(list(by_task.values()))
        return max(scores, key=scores.get)

    def choose_rate(self, names, method=None, weights=None):
        settings = [Setting(rate, weights) for rate in self.rates]
        return self.choose(names, settings, method)

    def run(self, names, setting, seeds, method=None):
        """Returns the scores of each task on the test part, one a seed."""
        scores = {name: [] for name in names}
        for seed in range(seeds):
            model = self.fit(names, setting, seed, method)
            for name, score in self.scores(model, names, "test").items():
                scores[name].append(score)
        return scores


def all_together(study, seeds, method=None, weights=None):
    """One network for all tasks."""
    names = list(study.tasks)
    setting = study.choose_rate(names, method, weights)
    return study.run(names, setting, seeds, method), str(setting), len(study.rates)


def tuned_weights(study, seeds):
    """The same with the best weights of a grid, at the rate best for equal weights."""
    names = list(study.tasks)
    equal = study.choose_rate(names)
    settings = [equal, *(replace(equal, weights=w) for w in study.weights)]
    setting = study.choose(names, settings)
    tried = len(study.rates) + len(study.weights)
    return study.run(names, setting, seeds), str(setting), tried


def alone(study, seeds):
    """A network for each task."""
    scores, settings = {}, []
    for name in study.tasks:
        setting = study.choose_rate([name])
        settings.append(str(setting))
        scores |= study.run([name], setting, seeds)
    return scores, "; ".join(settings), len(study.rates)


def methods():
    """All methods with their defaults, and a few in other forms, by title."""
    classes = {name: getattr(balancing, name) for name in balancing.__all__}
    by_default = {
        name: made()
        for name, made in classes.items()
        if inspect.isclass(made)
        and issubclass(made, balancing.Balancing)
        and not inspect.isabstract(made)
        and made is not balancing.FixedWeights
    }
    return by_default | MORE


def sides(weights):
    """How each row of the table is measured, by its title.

    Args:
        weights: Loss weights that are rows of their own.
    """
    baselines = {
        EQUAL: all_together,
        "tuned weights": tuned_weights,
        "single task": alone,
    }
    fixed = {
        f"weights {given}": functools.partial(all_together, weights=given)
        for given in weights
    }
    by_method = {
        title: functools.partial(all_together, method=method)
        for title, method in methods().items()
    }
    return baselines | fixed | by_method


def measured(title, measure, study, args):
    """Measures a side, or reads what was measured before."""
    name = "".join(c if c.isalnum() else "_" for c in title)
    path = args.results / f"{name}_{args.seeds}_{args.epochs}_{args.rows}.json"
    if not path.exists():
        start = time.perf_counter()
        scores, setting, tried = measure(study(), args.seeds)
        seconds = time.perf_counter() - start
        side = {
            "scores": scores,
            "setting": setting,
            "tried": tried,
            "seconds": seconds,
        }
        path.write_text(json.dumps(side), encoding="utf-8")
    return json.loads(path.read_text(encoding="utf-8"))


def differences(ours, theirs):
    """Ours minus theirs by seed, a column a task and one for their mean."""
    by_task = [np.subtract(ours[name], theirs[name]) for name in theirs]
    return np.stack([*by_task, np.mean(by_task, axis=0)], axis=1)


def row(title, side, equal):
    """A row of the table, in Markdown."""
    cells = [f"{np.mean(s):.4f} +- {np.std(s, ddof=1):.4f}" for s in side.values()]
    if title != EQUAL:
        by_seed = differences(side, equal)
        errors = by_seed.std(axis=0, ddof=1) / np.sqrt(len(by_seed))
        pairs = zip(by_seed.mean(axis=0), errors, strict=True)
        cells += [f"{mean:+.4f} +- {error:.4f}" for mean, error in pairs]
    else:
        cells += [""] * (len(side) + 1)
    return f"| {title} | {' | '.join(cells)} |"


def print_table(results, tasks):
    """Prints the sides, the largest mean difference to equal weights first."""
    equal = results[EQUAL]["scores"]
    order = sorted(
        results, key=lambda t: -differences(results[t]["scores"], equal)[:, -1].mean()
    )
    columns = [f"{name}: {metric}" for name, metric in tasks.items()]
    columns += [f"{name} - equal" for name in [*tasks, "mean"]]
    print(f"\n| side | {' | '.join(columns)} | setting | runs to choose it |")
    print("|" + "---|" * (len(columns) + 3))
    for title in order:
        side = results[title]
        shown = row(title, side["scores"], equal)
        print(f"{shown} {side['setting']} | {side['tried']} |")


def main(args, tasks, weights, make_study):
    """Measures the sides that are asked for, and equal weights.

    Args:
        args: The parsed arguments.
        tasks: The metric of each task, by name.
        weights: Loss weights to choose from.
        make_study: `make_study(args)` is called once something must be measured.
    """
    args.results.mkdir(parents=True, exist_ok=True)
    study, results = functools.cache(lambda: make_study(args)), {}
    for title, measure in sides(weights).items():
        if title in (EQUAL, *args.sides):
            results[title] = measured(title, measure, study, args)
            means = [f"{np.mean(s):.4f}" for s in results[title]["scores"].values()]
            print(f"{title}: {', '.join(means)}", flush=True)
    print_table(results, tasks)


def add_arguments(parser, weights, results):
    """Adds the arguments that the studies share."""
    parser.add_argument("--seeds", type=int, default=5)
    titles = list(sides(weights))
    parser.add_argument("--sides", nargs="+", choices=titles, default=titles)
    parser.add_argument(
        "--results", type=Path, default=Path(results), help="a folder to go on from"
    )
