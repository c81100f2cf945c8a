"""Sampling: what mixing many data sets costs over reading one of the same size.

Random rows with 20 features, batches of 1,024, as many rows in all whatever the number
of tasks. One side reads them as the data of one task, the other as those of 2 to 100
tasks of unequal size (the first as large as all others together), for a model of as
many tasks on both sides. Sides take turns in one process. What counts is CPU time of
all threads, the least of the repeats: unlike the clock, it is the same on a busy
machine. Of towers it is the clock: their steps are of many small operations, for which
TensorFlow's threads wait for each other, and spend CPU time by it.

* Reading: an epoch of packed batches, without training; of rows in memory
  (`sample_tasks` on arrays) and of datasets of batches.
* Epoch: one of `fit(sampler)` and of `fit(x, y)` with the same rows as wide arrays,
  both with what comes before their first batch.

* Towers: a training step of 139 towers, one for each school of the School data,
  where each row goes through the tower of its own task alone, and of one tower for all
  rows; 28 features, 22 to 251 rows a task, labels of regressions, batches at hand.

    python benchmarks/sampling.py                      # about 5 minutes on two cores
"""

import argparse
import functools
import gc
import time

import numpy as np
import tensorflow as tf

import kmtl
from kmtl._prepare import prepare_sampler
from kmtl.data import Epoch, sample_tasks

FEATURES = 20
BATCH = 1024
TOWER_FEATURES = 28
TOWERS = [
    ([32], 1024),
    ([64], 1024),
    ([64], 4096),
    ([64, 64], 4096),
    ([256, 128], 4096),
]
WAYS = {
    "proportional": {"strategy": "proportional"},
    "sqrt": {"strategy": "sqrt"},
    "one task a batch": {"strategy": "sqrt", "mixed": False},
}


def rows_of(tasks, rows):
    """Arrays by task name, the first task with half of all rows."""
    rng = np.random.default_rng(0)
    counts = np.full(tasks, rows // (2 * max(tasks - 1, 1)))
    counts[0] = rows - counts[1:].sum()
    return {
        f"task_{number}": (
            rng.random((count, FEATURES), dtype="float32"),
            rng.integers(0, 2, count),
        )
        for number, count in enumerate(counts)
    }


def as_datasets(data):
    return {
        task: tf.data.Dataset.from_tensor_slices(rows).batch(BATCH)
        for task, rows in data.items()
    }


def build(tasks):
    names = [f"task_{number}" for number in range(tasks)]
    return kmtl.build_mtl_model(
        (FEATURES,),
        [kmtl.BinaryTask(name, metrics=[]) for name in names],
        trunk=kmtl.trunks.MLP([64]),
    )


def reader(data, tasks, **options):
    """Returns a function that reads an epoch of packed batches."""
    sampler = sample_tasks(data, batch_size=BATCH, **options)
    epoch = Epoch()
    dataset = prepare_sampler(build(tasks), sampler, epoch)

    def read():
        epoch.number += 1
        for _ in dataset:
            pass

    return read


def seconds(run, clock):
    gc.collect()
    start = clock()
    run()
    return clock() - start


def in_turns(sides, repeats, clock=time.process_time):
    """The least seconds of each side, after a warm-up of each."""
    for run in sides.values():
        run()
    taken = {name: [] for name in sides}
    for _ in range(repeats):
        for name, run in sides.items():
            taken[name].append(seconds(run, clock))
    return {name: min(values) for name, values in taken.items()}


def reading(args, kind, wrap):
    """Prints a table of reading, one line a number of tasks."""
    print(f"\nReading, {kind}: CPU seconds of one data set, then ratios to it")
    print(f"{'tasks':>6} {'one set':>8}  " + "  ".join(f"{way:>16}" for way in WAYS))
    for tasks in args.tasks:
        data = wrap(rows_of(tasks, args.rows))
        sides = {"one": reader(wrap(rows_of(1, args.rows)), tasks)}
        sides |= {way: reader(data, tasks, **o) for way, o in WAYS.items()}
        found = in_turns(sides, args.repeats)
        ratios = "  ".join(f"{found[way] / found['one']:16.2f}" for way in WAYS)
        print(f"{tasks:>6} {found['one']:8.3f}  {ratios}", flush=True)


def wide(data):
    """The rows of all tasks as arrays, labels of other tasks missing."""
    sizes = [len(y) for _, y in data.values()]
    starts = np.cumsum([0, *sizes])
    labels = {task: np.full(starts[-1], np.nan) for task in data}
    for start, (task, (_, y)) in zip(starts, data.items(), strict=False):
        labels[task][start : start + len(y)] = y
    return np.concatenate([x for x, _ in data.values()]), labels


def epochs_of_fit(args):
    """Prints what an epoch of `fit` takes with a sampler and with wide arrays."""
    print("\nEpoch of fit: CPU seconds with wide arrays, then the ratio of a sampler")
    print(f"{'tasks':>6} {'arrays':>8}  {'proportional':>16}")
    for tasks in args.tasks:
        data, model = rows_of(tasks, args.rows), build(tasks)
        x, y = wide(data)
        sampler = sample_tasks(data, batch_size=BATCH)
        sides = {
            "arrays": functools.partial(model.fit, x, y, batch_size=BATCH, verbose=0),
            "sampler": functools.partial(model.fit, sampler, verbose=0),
        }
        found = in_turns(sides, args.repeats)
        ratio = found["sampler"] / found["arrays"]
        print(f"{tasks:>6} {found['arrays']:8.3f}  {ratio:16.2f}", flush=True)


def tower_data(tasks=139):
    rng = np.random.default_rng(0)
    return {
        f"task_{number}": (
            rng.normal(size=(rows, TOWER_FEATURES)).astype("float32"),
            rng.normal(size=rows),
        )
        for number, rows in enumerate(rng.integers(22, 252, tasks))
    }


def steps_of(data, widths, *, whole=False, **options):
    """Returns a function that takes all steps of an epoch, and how many these are."""
    tasks = [kmtl.RegressionTask(task, metrics=[]) for task in data]
    model = kmtl.build_mtl_model(
        (TOWER_FEATURES,),
        tasks,
        trunk=kmtl.trunks.MLP(widths),
        sharing=kmtl.sharing.Branched(shared_stages=0),  # a tower for each task
    )
    if whole:
        model.gains_by_own_slices = lambda: False
    sampler = sample_tasks(data, **options)
    model.adapt_labels(sampler)
    batches = list(prepare_sampler(model, sampler, Epoch()))
    step = tf.function(model.train_step, reduce_retracing=True)
    model.optimizer.build(model.trainable_variables)

    def run():
        for batch in batches:
            step(batch)

    return run, len(batches)


def towers(args):
    """Prints what a step of 139 towers takes beside that of one."""
    data = tower_data()
    one = {"task_0": tuple(map(np.concatenate, zip(*data.values(), strict=True)))}
    print("\nTowers: milliseconds of a step, then ratios of 139 towers to one")
    print(f"{'towers':>10} {'batch':>6} {'one':>6}  {'own':>6} {'alone':>6} {'all':>6}")
    for widths, size in TOWERS:
        sides = {
            "one": steps_of(one, widths, batch_size=size),
            "own": steps_of(data, widths, batch_size=size),
            "alone": steps_of(data, widths, batch_size=size, mixed=False),
            "all": steps_of(data, widths, batch_size=size, whole=True),
        }
        runs = {name: run for name, (run, _) in sides.items()}
        found = in_turns(runs, 2 * args.repeats, time.perf_counter)
        a_step = {name: found[name] / count for name, (_, count) in sides.items()}
        ratios = " ".join(
            f"{a_step[name] / a_step['one']:6.1f}" for name in ("own", "alone", "all")
        )
        milliseconds = 1000 * a_step["one"]
        print(f"{widths!s:>10} {size:>6} {milliseconds:6.2f}  {ratios}", flush=True)


def main(args):
    reading(args, "rows in memory", lambda data: data)
    reading(args, "datasets", as_datasets)
    epochs_of_fit(args)
    towers(args)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 10, 30, 100])
    parser.add_argument("--repeats", type=int, default=5)
    main(parser.parse_args())
