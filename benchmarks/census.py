"""Census-Income: one network for two tasks, against networks and trees for one.

The protocol of the MMoE paper (Ma et al., KDD 2018, section 6.3): predict income above
50,000 and never-married; education and marital status are not among the inputs, nor is
the weight of a row; all 199,523 training rows; the 99,762 test rows split 1:1 into
validation and test. Reported is exact ROC-AUC (scikit-learn, extra `bench`) on the test
half, mean and standard deviation over seeds; the validation half chooses the epoch of
every run, and the setting of every side out of the same grid (dropout 0, 0.2, 0.4, one
seed each).

* kmtl, two tasks: `build_mtl_model` on the frame, hard sharing;
* kmtl, single task: the same call with one task, once for each;
* plain Keras: one functional model with both outputs, the usual preparation by hand
  (numbers standardised, an `Embedding` of width 16 a category);
* trees: scikit-learn's histogram gradient boosting, one model a task, native
  categories, the number of trees (100, 200, 400) chosen on the validation half.

All networks: trunk 256-128, Adam with cosine decay to 0, batches of 512.

    python benchmarks/census.py                       # 10 seeds: about 20 minutes
    python benchmarks/census.py --seeds 2 --epochs 2 --trees 100
"""

import argparse
import time
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

import kmtl

DATA = Path(__file__).parents[1] / "examples" / "data" / "census_income"
CODES = [
    "industry_code",
    "occupation_code",
    "own_business_or_self_employed",
    "veterans_benefits",
    "year",
]
LEFT_OUT = ["income_50k", "marital_status", "education", "instance_weight"]
TASKS = {"income": "income_50k", "married": "marital_status"}
POSITIVE = {"income": "50000+.", "married": "Never married"}
TREES = (100, 200, 400)
GRID = [(rate, dropout) for rate in (1e-3, 2e-3) for dropout in (0.0, 0.1)]
BATCH = 512


def read(file):
    names = (DATA / "columns.txt").read_text().split()
    frame = pd.read_csv(DATA / file, names=names, skipinitialspace=True)
    return frame.astype(dict.fromkeys(CODES, "str"))


def truth(frame, task):
    return (frame[TASKS[task]] == POSITIVE[task]).to_numpy()


class Data:
    """The frames, and their columns prepared by hand for plain Keras and the trees."""

    def __init__(self):
        self.train, held_out = (
            read("census-income.data.xz"),
            read("census-income.test.xz"),
        )
        order = np.random.default_rng(0).permutation(len(held_out))
        half = len(held_out) // 2
        self.valid, self.test = held_out.iloc[order[:half]], held_out.iloc[order[half:]]
        self.columns = [c for c in self.train if c not in LEFT_OUT]
        self.numbers = [
            c for c in self.columns if pd.api.types.is_numeric_dtype(self.train[c])
        ]
        self.texts = [c for c in self.columns if c not in self.numbers]
        self.vocabularies = {
            c: sorted(self.train[c].fillna("").unique()) for c in self.texts
        }
        self.prepared = {
            part: self.prepare(getattr(self, part))
            for part in ("train", "valid", "test")
        }

    def prepare(self, frame):
        mean, spread = self.train[self.numbers].mean(), self.train[self.numbers].std()
        codes = [
            pd.Index(self.vocabularies[c]).get_indexer(frame[c].fillna("")) + 1
            for c in self.texts
        ]
        numbers = ((frame[self.numbers] - mean) / spread).to_numpy("float32")
        return {"numbers": numbers, "codes": np.stack(codes, 1).astype("int32")}


def optimizer(rate, rows, epochs):
    steps = -(-rows // BATCH) * epochs
    return keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(rate, steps))


def best_epoch(monitor):
    """Keeps the weights of the best epoch."""
    return keras.callbacks.EarlyStopping(
        monitor, mode="max", patience=1000, restore_best_weights=True
    )


def fit_kmtl(data, tasks, setting, seed, epochs):
    rate, dropout = setting
    keras.utils.set_random_seed(seed)
    specs = [
        kmtl.BinaryTask(name, label=TASKS[name], positive=POSITIVE[name])
        for name in tasks
    ]
    model = kmtl.build_mtl_model(
        data.features,
        specs,
        trunk=kmtl.trunks.MLP([256, 128], dropout=dropout),
        optimizer=optimizer(rate, len(data.train), epochs),
    )
    model.fit(
        data.encoded["train"],
        {name: data.train[TASKS[name]] for name in tasks},
        validation_data=(
            data.encoded["valid"],
            {name: data.valid[TASKS[name]] for name in tasks},
        ),
        batch_size=BATCH,
        validation_batch_size=8192,
        epochs=epochs,
        verbose=0,
        callbacks=[best_epoch(f"val_{tasks[0]}_auc")],
    )
    return model, data.encoded


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


def aucs(model, inputs, frame, tasks):
    predicted = model.predict(inputs, batch_size=8192, verbose=0)
    return {t: roc_auc_score(truth(frame, t), predicted[t][:, 0]) for t in tasks}


def choose_setting(fit, data, tasks, epochs):
    """Returns the setting of the grid that is best for the first task on validation."""
    scores = {}
    for setting in GRID:
        model, inputs = fit(data, tasks, setting, seed=1000, epochs=epochs)
        scores[setting] = aucs(model, inputs["valid"], data.valid, tasks)[tasks[0]]
    return max(scores, key=scores.get)


def run_networks(title, fit, task_lists, data, args):
    """Trains a side for every seed; prints its row of the table."""
    results, parameters, seconds, settings = {}, 0, 0.0, []
    for tasks in task_lists:
        setting = choose_setting(fit, data, tasks, args.epochs)
        settings.append("{:g}, {:g}".format(*setting))
        for seed in range(args.seeds):
            start = time.perf_counter()
            model, inputs = fit(data, tasks, setting, seed, args.epochs)
            seconds += (time.perf_counter() - start) / args.seeds
            for name, auc in aucs(model, inputs["test"], data.test, tasks).items():
                results.setdefault(name, []).append(auc)
        parameters += model.count_params()
    cells = [f"{np.mean(a):.4f} +- {np.std(a, ddof=1):.4f}" for a in results.values()]
    print(
        f"{title:<20}  {'  '.join(cells)}  {parameters:>10,}  {seconds:>7.0f}  "
        f"rate, dropout: {'; '.join(settings)}",
        flush=True,
    )
    return results


def run_trees(data, limit):
    cells, start, chosen = [], time.perf_counter(), []
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
        for trees in [n for n in TREES if n <= limit]:
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
        cells.append(f"{roc_auc_score(truth(data.test, task), scores):.4f}{'':10}")
    seconds = time.perf_counter() - start
    print(
        f"{'trees, single task':<20}  {'  '.join(cells)}  {'':>10}  {seconds:>7.0f}  "
        f"{' and '.join(chosen)} trees",
        flush=True,
    )


def paired(title, ours, theirs):
    """Prints the mean difference by seed, and twice its standard error."""
    for task in TASKS:
        gains = np.subtract(ours[task], theirs[task])
        error = 2 * gains.std(ddof=1) / np.sqrt(len(gains))
        print(f"{title}, {task}: {gains.mean():+.4f} +- {error:.4f}")


def main(args):
    data = Data()
    exclude = [c for c in LEFT_OUT if c in data.train]
    data.features = kmtl.TabularFeatures.from_frame(data.train, exclude=exclude)
    data.encoded = {
        part: data.features.encode(getattr(data, part))
        for part in ("train", "valid", "test")
    }
    print(f"test ROC-AUC, mean +- standard deviation over {args.seeds} seeds")
    print(
        f"{'':<20}  {'income':<16}  {'never married':<16}  parameters  "
        "seconds  setting chosen on validation"
    )
    both, alone = [list(TASKS)], [[name] for name in TASKS]
    shared = run_networks("kmtl, two tasks", fit_kmtl, both, data, args)
    single = run_networks("kmtl, single task", fit_kmtl, alone, data, args)
    plain = run_networks("plain Keras", fit_keras, both, data, args)
    run_trees(data, args.trees)
    print("\ndifferences by seed, mean +- 2 standard errors")
    paired("two tasks - single task", shared, single)
    paired("kmtl - plain Keras", shared, plain)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--trees", type=int, default=max(TREES), help="at most")
    main(parser.parse_args())
