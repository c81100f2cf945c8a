"""Sampling on real data: are shares exact, do runs resume, is streaming the same?

Data sets whose rows belong to one task each; every strategy of
`kmtl.data.sample_tasks`, batches of 64, five epochs. First, for `sqrt`, the tasks from
the largest to the smallest: rows, shares that are requested and drawn, passes over
their rows in all epochs. Then, by strategy:

* drawn - requested: rows (or batches of one task each) of a task in an epoch, the
  largest difference; and the chi-square of all of them (near 1: nearer to the shares
  than chance comes).
* fewest rows: what an epoch draws of a task that has started. Above 0 none starves.
* passes: how often an epoch goes through the rows of a task, at most; seen: how often a
  single row was drawn in all epochs, at most. `max_repeats` bounds the first.
* resumed: are the batches of an epoch from its middle on, in a sampler of its own,
  those of the run that was not interrupted, bit for bit?
* files: is training on Parquet shards in order that on the frame, bit for bit, weights
  and logs? (Rounding differs where many tasks make `fit` compute for the rows of a
  frame only their own heads; it cannot know that rows of files have one task each.) And
  are the batches of a data set a task, read from Parquet shards, those of the arrays
  with the same order?

    python benchmarks/sampling_data.py                     # Census: 3 tasks, 90 to 1
    python benchmarks/sampling_data.py --set school --data FOLDER       # 139 tasks
    python benchmarks/sampling_data.py --set fdu_mtl --data FOLDER      # 16 domains

FOLDER: see `school.py` and `reviews_by_domain.py`.
"""

import argparse
import hashlib
import tempfile
from pathlib import Path

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from _task_sets import load
from scipy.stats import chi2

import kmtl
from kmtl._prepare import prepare_sampler
from kmtl.data import Epoch, sample_tasks

EPOCHS, BATCH = 5, 64


def ways(starts):
    """The options of `sample_tasks`, by title; `starts` are those of two phases."""
    return {
        "proportional": {},
        "sqrt": {"strategy": "sqrt"},
        "temperature=5": {"strategy": "temperature", "temperature": 5},
        "uniform": {"strategy": "uniform"},
        "annealed": {"strategy": "annealed", "anneal_epochs": EPOCHS},
        "uniform, max_repeats=2": {"strategy": "uniform", "max_repeats": 2},
        "two phases": {"strategy": "sqrt", "starts": starts},
        "sqrt, one task a batch": {"strategy": "sqrt", "mixed": False},
    }


def digests(model, sampler, epochs):
    """One digest a batch, of all its bytes."""
    epoch, found = Epoch(), []
    dataset = prepare_sampler(model, sampler, epoch)
    for epoch.number in epochs:
        for batch in dataset.as_numpy_iterator():
            parts = [part.tobytes() for part in tf.nest.flatten(batch)]
            found.append(hashlib.sha256(b"".join(parts)).hexdigest())
    return found


def resumes(model, sampler):
    whole = digests(model, sampler, range(2))
    step = sampler.steps // 2
    return whole[sampler.steps + step :] == digests(model, sampler.skip(step), [1])


def counts(sampler):
    """What is requested and drawn by epoch and task, and how often a row at most.

    In rows, or in batches where each holds one task.
    """
    tables = pd.concat({epoch: sampler.table(epoch) for epoch in range(EPOCHS)})
    draws = pd.concat(
        sampler.draws(epoch).assign(epoch=epoch) for epoch in range(EPOCHS)
    )
    seen = draws.groupby(["task", "row"]).size().max()
    if not sampler.schedule.mixed:
        draws = draws.drop_duplicates(["epoch", "batch"])
    drawn = draws.groupby(["epoch", "task"]).size()
    tables["drawn"] = drawn.reindex(tables.index, fill_value=0)
    total = tables["drawn"].groupby(level=0).transform("sum")
    tables["requested"] = tables["probability"] * total
    return tables[tables["probability"] > 0], seen


def line(title, model, data, options):
    """A row of the table, in Markdown."""
    sampler = sample_tasks(data, batch_size=BATCH, **options)
    table, seen = counts(sampler)
    difference = table["drawn"] - table["requested"]
    statistic = (difference**2 / table["requested"]).sum()
    freedom = len(table) - EPOCHS
    cells = [
        title,
        f"{difference.abs().max():.2f}",
        f"{chi2.sf(statistic, freedom):.3f}",
        f"{table['rows'].min():,}",
        f"{table['passes'].max():.2f}",
        seen,
        "yes" if resumes(model, sampler) else "NO",
    ]
    print(f"| {' | '.join(map(str, cells))} |", flush=True)


def shares(data):
    """Prints rows, shares and passes of each task with the strategy `sqrt`."""
    table, _ = counts(sample_tasks(data, "sqrt", batch_size=BATCH))
    total = table[["size", "requested", "drawn", "passes"]].groupby(level=1).sum()
    shown = pd.DataFrame(
        {
            "rows": total["size"] // EPOCHS,
            "requested": total["requested"] / total["requested"].sum(),
            "drawn": total["drawn"] / total["drawn"].sum(),
            "passes": total["passes"],
        }
    )
    print(shown.sort_values("rows", ascending=False).to_string(max_rows=16))


def write(frame, folder, shards):
    folder.mkdir(parents=True)
    for part, rows in enumerate(np.array_split(np.arange(len(frame)), shards)):
        frame.iloc[rows].to_parquet(folder / f"{part:03d}.parquet", row_group_size=5000)
    return kmtl.data.read_parquet(folder / "*.parquet", chunk_rows=5000)


def trains_alike(task_set, folder):
    """Whether shards and the frame give the same, and how far weights are apart."""
    wide = kmtl.data.pivot_labels(task_set.frame, task="task", label="label")
    ends, features = [], task_set.features()
    for table in (wide, write(wide, folder / "wide", 8)):
        keras.utils.set_random_seed(0)
        model = kmtl.build_mtl_model(
            features, task_set.tasks, trunk=kmtl.trunks.MLP([32])
        )
        logs = model.fit(table, batch_size=1024, shuffle=False, verbose=0).history
        weights = np.concatenate([w.ravel() for w in model.get_weights()])
        ends.append((logs, weights))
    apart = np.abs(ends[0][1] - ends[1][1]).max()
    return ends[0][0] == ends[1][0] and apart == 0, apart


def from_shards(frame, features, folder):
    """A dataset of the rows of a task, a frame of a shard at a time."""
    source = write(frame, folder, 3)

    def batches():
        for part in source:
            yield features.encode(part), part["label"].to_numpy()

    specs = tf.nest.map_structure(
        lambda a: tf.TensorSpec((None, *a.shape[1:]), a.dtype), next(batches())
    )
    return tf.data.Dataset.from_generator(batches, output_signature=specs)


def mixes_alike(model, task_set, features, folder):
    """Whether data sets in shards give the batches of arrays in the same order."""
    frames = task_set.rows()
    arrays = {t: (features.encode(f), f["label"].to_numpy()) for t, f in frames.items()}
    memory = sample_tasks(arrays, batch_size=BATCH)
    order = memory.draws().groupby("task")["row"].apply(list)
    streams = sample_tasks(
        {
            task: from_shards(frame.iloc[order[task]], features, folder / task)
            for task, frame in frames.items()
        },
        batch_size=BATCH,
    )
    return digests(model, memory, [0]) == digests(model, streams, [0])


def main(args):
    task_set = load(args.set, args.data)
    sizes = task_set.frame["task"].value_counts()
    features = task_set.features()
    model = kmtl.build_mtl_model(features, task_set.tasks)
    data = {
        task: (features.encode(frame), frame["label"].to_numpy())
        for task, frame in task_set.rows().items()
    }
    print(
        f"{args.set}: {len(sizes)} tasks of {sizes.min():,} to {sizes.max():,} rows\n"
    )
    shares(data)
    print(
        "\n| strategy | drawn - requested, at most | chi-square p | fewest rows | "
        "passes, at most | seen, at most | resumed |\n" + "|---" * 7 + "|"
    )
    small_later = dict.fromkeys(sizes.index[len(sizes) // 2 :], 2)
    for title, options in ways(small_later).items():
        line(title, model, data, options)
    with tempfile.TemporaryDirectory() as folder:
        trained, apart = trains_alike(task_set, Path(folder))
        print(f"\ntraining from Parquet shards = from the frame: {trained}", end="")
        print(f", largest difference of weights {apart:.1e}")
        mixed = mixes_alike(model, task_set, features, Path(folder))
        print(f"batches of data sets in shards = of arrays: {mixed}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "--set", choices=["census", "school", "fdu_mtl"], default="census"
    )
    parser.add_argument("--data", type=Path, help="a folder with the set")
    main(parser.parse_args())
