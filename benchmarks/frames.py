"""Frames: what `fit(frame)` costs over arrays that somebody encoded beforehand.

Census-Income, the training file of the repository: 199,523 rows, 38 columns of numbers
and text, three tasks. The other side is plain functional Keras: the same layers up to
the representation (cloned), a chain of `Dense` a head, a dict of losses, on arrays
encoded before its clock starts.

* Encoding: `TabularFeatures.from_frame` (statistics), and `encode` (the arrays).
* Epoch: one epoch of `fit`, batches of 1,024, from its first to its last batch, and the
  whole call, which for kmtl holds the encoding. Both models were traced before. Sides
  take turns in one process; medians over the repeats.
* Memory: by how much the process grows at its peak in `fit(frame)`, in a process of its
  own that has trained on 4,096 rows before, in units of the encoded arrays. Linux only.

    python benchmarks/frames.py                        # about 3 minutes on two cores
"""

import argparse
import gc
import json
import re
import statistics
import time
from pathlib import Path

import keras
import pandas as pd
from _measure import batch_clock, in_fresh_process

import kmtl

DATA = Path(__file__).parents[1] / "examples" / "data" / "census_income"
CODES = [
    "industry_code",
    "occupation_code",
    "own_business_or_self_employed",
    "veterans_benefits",
    "year",
]
NOT_FEATURES = ["instance_weight", "income_50k", "marital_status", "education"]
FIT = {"batch_size": 1024, "epochs": 1, "verbose": 0}
TASKS = [
    kmtl.BinaryTask("income", label="income_50k", positive="50000+."),
    kmtl.MulticlassTask("marital", label="marital_status"),
    kmtl.MulticlassTask("education"),
]


def read(rows=None):
    names = (DATA / "columns.txt").read_text().split()
    file = DATA / "census-income.data.xz"
    frame = pd.read_csv(file, names=names, skipinitialspace=True, nrows=rows)
    return frame.astype(dict.fromkeys(CODES, "category"))


def build(frame):
    return kmtl.build_mtl_model(
        frame.drop(columns="instance_weight"),
        TASKS,
        trunk=kmtl.trunks.MLP([256, 128], dropout=0.1),
        head_units=(32,),
    )


def build_plain(encoder, classes):
    """The same network as plain Keras: cloned encoder, a chain of `Dense` a head."""
    encoder = keras.models.clone_model(encoder)
    outputs = {}
    for name, count in classes.items():
        hidden = keras.layers.Dense(32, activation="relu")(encoder.output)
        activation = "softmax" if count > 2 else "sigmoid"
        head = keras.layers.Dense(count if count > 2 else 1, activation, name=name)
        outputs[name] = head(hidden)
    model = keras.Model(encoder.input, outputs)
    softmax, sigmoid = "sparse_categorical_crossentropy", "binary_crossentropy"
    auc = keras.metrics.AUC(name="auc")
    model.compile(
        optimizer="adam",
        loss={n: softmax if count > 2 else sigmoid for n, count in classes.items()},
        metrics={n: ["accuracy"] if c > 2 else [auc] for n, c in classes.items()},
    )
    return model


def time_of(call, repeats=3):
    """Returns the median seconds of a call, and what it returns."""
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        result = call()
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), result


def epoch(model, *data):
    """Seconds of one epoch: between its batches, and of the whole call of `fit`."""
    clock, ends = batch_clock()
    start = time.perf_counter()
    model.fit(*data, callbacks=[clock], **FIT)
    whole = time.perf_counter() - start
    return (ends[-1] - ends[0]) * len(ends) / (len(ends) - 1), whole


def process_status(field):
    """A field of the process status in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1])


def growth():
    """Bytes by which `fit(frame)` grows the process at its peak."""
    frame = read()
    model = build(frame)
    model.fit(frame.head(4096), **FIT)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak (VmHWM) anew
    before = process_status("VmRSS")
    model.fit(frame, **FIT)
    return process_status("VmHWM") - before


def show(what, mine, other, target):
    ratio = f"{mine / other:.2f}" if other else "-"
    other = f"{other:.2f}" if other else "-"
    print(f"{what:<34}  {mine:>7.2f}  {other:>11}  {ratio:>5}  {target}", flush=True)


def main(args):
    frame = read()
    print(f"kmtl {kmtl.__version__}, Keras {keras.__version__}, {len(frame):,} rows\n")
    print(f"{'':<34}  {'kmtl':>7}  {'plain Keras':>11}  ratio  target")
    seconds, features = time_of(
        lambda: kmtl.TabularFeatures.from_frame(frame, exclude=NOT_FEATURES)
    )
    show("statistics of the frame, s", seconds, None, "")
    seconds, arrays = time_of(lambda: features.encode(frame))
    show("encoding the frame, s", seconds, None, "under 3")

    model = build(frame)
    labels = {task.name: frame[task.column].factorize()[0] for task in TASKS}
    classes = {name: int(codes.max()) + 1 for name, codes in labels.items()}
    plain = build_plain(model.encoder, classes)
    epoch(model, frame.head(4096))
    first = {name: array[:4096] for name, array in arrays.items()}
    epoch(plain, first, {name: codes[:4096] for name, codes in labels.items()})
    runs = [
        (epoch(model, frame), epoch(plain, arrays, labels)) for _ in range(args.repeats)
    ]
    for index, what in enumerate(
        ["one epoch, its batches, s", "one epoch, the call, s"]
    ):
        mine, other = (
            statistics.median(r[side][index] for r in runs) for side in (0, 1)
        )
        show(what, mine, other, "ratio at most 1.15")

    encoded = sum(array.nbytes for array in arrays.values())
    if Path("/proc/self/clear_refs").exists():
        peak = in_fresh_process(__file__, "growth")
        show("growth of fit, encoded arrays", peak / encoded, None, "at most 3")
    print(f"\nThe encoded arrays take {encoded / 2**20:.0f} MiB.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(growth()))
    else:
        main(args)
