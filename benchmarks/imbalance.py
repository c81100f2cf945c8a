"""Imbalance: 99 to 1 between two related tasks of Census-Income, every strategy.

Rows belong to one task each: of 100,000 training rows 99,000 have the label of
`college` (a bachelor's degree or more) and 1,000 that of `income` (above 50,000, some
62 of them). Neither is among the inputs, nor is marital status.

* Every side is the same network (an embedding of the table, an MLP of 128 and 64, a
  linear head a task) and takes the same 800 steps, batches of 512, Adam with cosine
  decay to 0. Fifty steps count as an epoch, with which `annealed`, `max_repeats` and
  the two phases go. What differs is what comes in a batch. Where a batch holds one task
  only, `freeze_absent=True`.
* `single task` is one such network a task, each with all of these steps.
* Every side chooses its learning rate out of the same three (one seed), and in every
  run one of the 16 epochs, by the mean AUC of its tasks on 10,000 other rows of the
  training file with both labels. That is more than one has with so few labels.
* A seed also draws which rows have which label. Exact ROC-AUC on all 99,762 test rows.

The loss of a task is the mean over its rows of a batch: in mixed batches both tasks
count alike from step to step, however few rows one has. So the strategy decides how
many different rows a step sees, not how loud a task is. With one task a batch it
decides both, and so do loss weights: with those of one side every row counts alike.

    python benchmarks/imbalance.py                    # half an hour on one core
    python benchmarks/imbalance.py --sides sqrt uniform --seeds 2 --epochs 2
"""

import argparse
import functools
from pathlib import Path

import keras
import numpy as np
from _census import LEFT_OUT, read
from _study import differences, measured
from _task_sets import census_labels

import kmtl

LARGE, SMALL = "college", "income"
ROWS = {LARGE: 99_000, SMALL: 1_000}
HELD_OUT = 10_000
BATCH, STEPS = 512, 50
RATES = (2.5e-4, 1e-3, 4e-3)
TUNING_SEED = 1000
BASELINE = "proportional"
# With these every labelled row counts alike in mixed batches; their mean is 1.
WEIGHTED = "proportional, loss weights 1.98 and 0.02"
LOSS_WEIGHTS = {LARGE: 1.98, SMALL: 0.02}


def ways(epochs):
    """The options of `sample_tasks`, by title."""
    mixed = {
        "proportional": {},
        "sqrt": {"strategy": "sqrt"},
        "temperature=5": {"strategy": "temperature", "temperature": 5},
        "uniform": {"strategy": "uniform"},
        "annealed": {"strategy": "annealed", "anneal_epochs": epochs},
        "uniform, max_repeats=2": {"strategy": "uniform", "max_repeats": 2},
        "large, then uniform": {
            "strategy": "uniform",
            "starts": {SMALL: max(epochs // 2, 1)},
        },
    }
    apart = {
        f"{title}, one task a batch": mixed[title] | {"mixed": False}
        for title in ("proportional", "sqrt", "uniform")
    }
    return mixed | apart


class Study:
    """The rows, the network and its training."""

    def __init__(self, epochs):
        self.epochs = epochs
        train, test = (read(f"census-income.{part}.xz") for part in ("data", "test"))
        order = np.random.default_rng(0).permutation(len(train))
        self.pool = order[HELD_OUT:]
        features = kmtl.TabularFeatures.from_frame(
            train.iloc[self.pool], exclude=LEFT_OUT
        )
        self.features, self.x = features, features.encode(train)
        self.labels = census_labels(train)
        self.held_out = self.take(order[:HELD_OUT])
        self.test = features.encode(test), census_labels(test)

    def take(self, rows):
        x = {name: values[rows] for name, values in self.x.items()}
        return x, {task: labels[rows] for task, labels in self.labels.items()}

    def data(self, tasks, seed):
        """The rows of each task, no row of both."""
        drawn = np.random.default_rng(seed).permutation(self.pool)
        rows = dict(
            zip(ROWS, np.split(drawn[: sum(ROWS.values())], [ROWS[LARGE]]), strict=True)
        )
        parts = {task: self.take(rows[task]) for task in tasks}
        return {task: (x, labels[task]) for task, (x, labels) in parts.items()}

    def fit(self, tasks, options, rate, seed, loss_weights=None):
        """Trains a network; returns it, its best epoch and the score of that."""
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        decay = keras.optimizers.schedules.CosineDecay(rate, STEPS * self.epochs)
        model = kmtl.build_mtl_model(
            self.features,
            [kmtl.BinaryTask(task) for task in tasks],
            trunk=kmtl.trunks.MLP([128, 64]),
            optimizer=keras.optimizers.Adam(decay),
            loss_weights=loss_weights,
        )
        model.compile(freeze_absent=not options.get("mixed", True))
        sampler = kmtl.data.sample_tasks(
            self.data(tasks, seed), batch_size=BATCH, steps=STEPS, seed=seed, **options
        )
        x, labels = self.held_out
        scores = model.fit(
            sampler,
            validation_data=(x, {task: labels[task] for task in tasks}),
            validation_batch_size=4096,
            epochs=self.epochs,
            callbacks=best_epoch(tasks),
            verbose=0,
        ).history["mean_auc"]
        return model, np.argmax(scores) + 1, max(scores)

    def run(self, tasks, options, seeds, **settings):
        """Scores on the test rows by task, one a seed, and what was chosen."""
        fit = functools.partial(self.fit, tasks, options, **settings)
        tried = {rate: fit(rate=rate, seed=TUNING_SEED)[2] for rate in RATES}
        rate, scores, epochs = max(tried, key=tried.get), [], []
        x, labels = self.test
        y = {task: labels[task] for task in tasks}
        for seed in range(seeds):
            model, epoch, _ = fit(rate=rate, seed=seed)
            scores.append(
                model.evaluate(x, y, batch_size=8192, return_dict=True, verbose=0)
            )
            epochs.append(epoch)
        by_task = {task: [s[f"{task}_auc"] for s in scores] for task in tasks}
        return by_task, f"{rate:g}, epoch {np.mean(epochs):.1f}"


def best_epoch(tasks):
    """Logs the mean AUC of the tasks on held-out rows and keeps the best weights."""

    def add_mean(_, logs):
        logs["mean_auc"] = np.mean([logs[f"val_{task}_auc"] for task in tasks])

    mean = keras.callbacks.LambdaCallback(on_epoch_end=add_mean)
    best = keras.callbacks.EarlyStopping(
        "mean_auc", mode="max", patience=1000, restore_best_weights=True
    )
    return [mean, best]


def together(study, seeds, options, **settings):
    """One network for both tasks."""
    return *study.run(list(ROWS), options, seeds, **settings), len(RATES)


def alone(study, seeds):
    """A network for each task."""
    found = [study.run([task], {}, seeds) for task in ROWS]
    scores = {task: s for by_task, _ in found for task, s in by_task.items()}
    return scores, "; ".join(setting for _, setting in found), len(RATES)


def passes(options, epochs):
    """How often a row of the small task is seen in training, on average."""
    rows = {
        task: (np.zeros((count, 1)), np.zeros(count)) for task, count in ROWS.items()
    }
    sampler = kmtl.data.sample_tasks(rows, batch_size=BATCH, steps=STEPS, **options)
    return sum(sampler.table(epoch)["passes"][SMALL] for epoch in range(epochs))


def row(title, side, baseline, seen):
    """A row of the table, in Markdown."""
    cells = [
        f"{np.mean(s):.4f} +- {np.std(s, ddof=1):.4f}" for s in side["scores"].values()
    ]
    by_seed = differences(side["scores"], baseline)[:, :-1]
    errors = by_seed.std(axis=0, ddof=1) / np.sqrt(len(by_seed))
    pairs = zip(by_seed.mean(axis=0), errors, strict=True)
    cells += ["" if title == BASELINE else f"{m:+.4f} +- {e:.4f}" for m, e in pairs]
    return f"| {title} | {seen} | {' | '.join(cells)} | {side['setting']} |"


def print_table(results, epochs):
    columns = [f"{task}: AUC" for task in ROWS]
    columns += [f"{task} - {BASELINE}" for task in ROWS]
    print(f"\n| side | passes over {SMALL} | {' | '.join(columns)} | chosen |")
    print("|" + "---|" * (len(columns) + 3))
    options = ways(epochs) | {WEIGHTED: {}}
    for title, side in results.items():
        seen = f"{passes(options[title], epochs):.0f}" if title in options else ""
        print(row(title, side, results[BASELINE]["scores"], seen))


def main(args):
    args.results.mkdir(parents=True, exist_ok=True)
    study, results = functools.cache(lambda: Study(args.epochs)), {}
    sides = {
        title: functools.partial(together, options=options)
        for title, options in ways(args.epochs).items()
    }
    sides |= {
        WEIGHTED: functools.partial(together, options={}, loss_weights=LOSS_WEIGHTS),
        "single task": alone,
    }
    for title in dict.fromkeys([BASELINE, *(args.sides or sides)]):
        results[title] = measured(title, sides[title], study, args)
        means = [f"{np.mean(s):.4f}" for s in results[title]["scores"].values()]
        print(f"{title}: {', '.join(means)}", flush=True)
    print_table(results, args.epochs)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    titles = [*ways(16), WEIGHTED, "single task"]
    parser.add_argument("--sides", nargs="+", choices=titles)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("benchmarks/output/imbalance"),
        help="a folder to go on from",
    )
    parser.set_defaults(rows=sum(ROWS.values()))
    main(parser.parse_args())
