"""Reviews of 16 domains, a task each: does one network for all of them pay?

    python benchmarks/reviews_by_domain.py --data FOLDER      # an hour on one core

FOLDER holds `train.csv.gz` (25,379 rows, about 1,600 a domain) and `test.csv.gz` (6,400
rows, 400 a domain) with columns `task`, `label` (1 for praise) and `text`: FDU-MTL, 14
product domains of Amazon, IMDB and MR, from Liu, Qiu and Huang, "Adversarial Multi-task
Learning for Text Classification", ACL 2017 (labelled reviews as in
https://github.com/m1ci/of-demo, `data/mtl-dataset`).

The first 200 words of a review; the mean of their embeddings (32), an MLP of 64, a
linear head a domain; Adam with cosine decay to 0, batches of 64, eight epochs (30 for
networks of one domain). 200 training rows of a domain choose the learning rate (of
three, one seed) and the epoch, by the mean accuracy over the domains that a network
has, and are not trained on.

* hard sharing: one network with 16 heads, `sample_tasks`; rows of all domains in a
  batch, or one domain a batch with `freeze_absent=True`;
* one task: one network with one head, as if all were one domain;
* single task: 16 networks.
"""

import argparse
from functools import partial
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from _task_sets import binary

import kmtl

WORDS, BATCH = 200, 64
RATES = (1e-3, 3e-3, 1e-2)
TUNING_SEED = 1000


def read(file):
    frame = pd.read_csv(file)
    words = frame["text"].str.split().str[:WORDS]
    return frame[["task", "label"]].assign(review=words.str.join(" "))


class Study:
    """The rows, the network and its training."""

    def __init__(self, folder):
        train, test = read(folder / "train.csv.gz"), read(folder / "test.csv.gz")
        place = train.sample(frac=1, random_state=0).groupby("task").cumcount()
        is_held_out = place.reindex(train.index) < 200
        self.parts = {
            "train": train[~is_held_out],
            "valid": train[is_held_out],
            "test": test,
        }
        self.domains = sorted(train["task"].unique())
        self.features = kmtl.TabularFeatures.from_frame(
            self.parts["train"][["review"]], text=["review"]
        )
        self.encoded = {
            part: self.features.encode(frame) for part, frame in self.parts.items()
        }

    def rows(self, part, tasks):
        """Inputs and labels by task, those of other tasks missing.

        A task called "all" has the labels of all domains.
        """
        frame = self.parts[part]
        known = {
            task: frame["label"].where((frame["task"] == task) | (task == "all"))
            for task in tasks
        }
        labels = pd.DataFrame(known)
        has_label = labels.notna().any(axis=1).to_numpy()
        x = {name: values[has_label] for name, values in self.encoded[part].items()}
        return x, labels[has_label].reset_index(drop=True)

    def sampler(self, tasks, *, mixed, seed):
        x, labels = self.rows("train", tasks)
        own = {task: labels[task].notna().to_numpy() for task in tasks}
        data = {
            task: ({n: v[rows] for n, v in x.items()}, labels[task][rows].to_numpy())
            for task, rows in own.items()
        }
        return kmtl.data.sample_tasks(data, batch_size=BATCH, mixed=mixed, seed=seed)

    def fit(self, tasks, rate, seed, *, mixed=True, epochs=8):
        """Trains a network; returns it and the score of its best epoch."""
        keras.backend.clear_session()
        keras.utils.set_random_seed(seed)
        sampler = self.sampler(tasks, mixed=mixed, seed=seed)
        decay = keras.optimizers.schedules.CosineDecay(rate, sampler.steps * epochs)
        model = kmtl.build_mtl_model(
            self.features,
            [binary(task) for task in tasks],
            trunk=kmtl.trunks.MLP([64]),
            optimizer=keras.optimizers.Adam(decay),
        )
        model.compile(freeze_absent=not mixed)
        logs = model.fit(
            sampler,
            validation_data=self.rows("valid", tasks),
            validation_batch_size=1024,
            epochs=epochs,
            callbacks=best_epoch(tasks),
            verbose=0,
        ).history
        return model, max(logs["mean_accuracy"])

    def errors(self, tasks, seeds, **options):
        """Test errors in percent `(seeds, tasks)`, and the learning rate."""
        tried = {r: self.fit(tasks, r, TUNING_SEED, **options)[1] for r in RATES}
        rate, found = max(tried, key=tried.get), []
        for seed in range(seeds):
            model, _ = self.fit(tasks, rate, seed, **options)
            x, y = self.rows("test", tasks)
            logs = model.evaluate(x, y, batch_size=1024, return_dict=True, verbose=0)
            found.append([100 * (1 - logs[f"{task}_accuracy"]) for task in tasks])
        return np.array(found), rate


def best_epoch(tasks):
    """Logs the mean accuracy on held-out rows and keeps the best weights."""

    def add_mean(_, logs):
        logs["mean_accuracy"] = np.mean(
            [logs[f"val_{task}_accuracy"] for task in tasks]
        )

    mean = keras.callbacks.LambdaCallback(on_epoch_end=add_mean)
    best = keras.callbacks.EarlyStopping(
        "mean_accuracy", mode="max", patience=1000, restore_best_weights=True
    )
    return [mean, best]


def alone(study, seeds):
    """A network for each domain."""
    found = [study.errors([task], seeds, epochs=30) for task in study.domains]
    return np.concatenate([errors for errors, _ in found], axis=1), "its own"


def main(args):
    study = Study(args.data)
    sides = {
        "hard sharing": partial(study.errors, study.domains),
        "hard sharing, one domain a batch": partial(
            study.errors, study.domains, mixed=False
        ),
        "one task": partial(study.errors, ["all"]),
        "single task": partial(alone, study),
    }
    print("| side | test error, % | best domain | worst domain | learning rate |")
    print("|---|---|---|---|---|")
    for title, measure in sides.items():
        errors, rate = measure(args.seeds)
        by_seed, by_domain = errors.mean(axis=1), errors.mean(axis=0)
        spread = f"{by_seed.mean():.2f} +- {by_seed.std(ddof=1):.2f}"
        ends = f"{by_domain.min():.1f} | {by_domain.max():.1f}"
        ends = ends if len(by_domain) > 1 else " | "
        print(f"| {title} | {spread} | {ends} | {rate} |", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seeds", type=int, default=3)
    main(parser.parse_args())
