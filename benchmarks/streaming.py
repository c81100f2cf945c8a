"""Streaming: what training from files costs over training from a frame in memory.

A generated table, 20 columns of numbers, 10 of text and three tasks, written as Parquet
shards of 100,000 rows in row groups of 25,000.

* Speed: rows a second of `fit`, one epoch in batches of 1,024, encoding and for the
  files reading included, shuffled. The frame was read before its clock starts. `cached`
  reads what an epoch before has encoded. Sides take turns in one process; medians over
  the repeats, on at most 400,000 rows. The target is half the speed of the frame.
* Statistics: seconds of `build_mtl_model`.
* Memory: by how much a fresh process that has trained on 8,192 rows grows at its peak
  in `build_mtl_model` and `fit` from files, with a quarter of the rows and with all
  (Linux only). It must not grow with the rows.

    python benchmarks/streaming.py                     # about 4 minutes on two cores
    python benchmarks/streaming.py --rows 10_000_000
"""

import argparse
import gc
import json
import re
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from _measure import in_fresh_process

import kmtl

SHARD = 100_000
GROUP = 25_000
NUMBERS, TEXTS = 20, 10
FIT = {"batch_size": 1024, "verbose": 0}
TASKS = [
    kmtl.BinaryTask("click"),
    kmtl.MulticlassTask("kind"),
    kmtl.RegressionTask("price"),
]


def shard(number, rows):
    rng = np.random.default_rng(number)
    numbers = rng.normal(size=(rows, NUMBERS))
    columns = {f"number_{i}": column for i, column in enumerate(numbers.T)}
    for i in range(TEXTS):
        codes = rng.geometric(0.1, rows) % 50
        columns[f"text_{i}"] = np.array([f"value {c}" for c in range(50)])[codes]
    signal = numbers[:, 0] + (codes > 5)
    columns["click"] = (signal + rng.normal(size=rows) > 1).astype(int)
    columns["kind"] = np.array(["low", "mid", "high"])[np.digitize(signal, [0, 1])]
    columns["price"] = 100 + 5 * signal + rng.normal(size=rows)
    return pd.DataFrame(columns)


def write(folder, rows):
    for number in range(-(-rows // SHARD)):
        part = shard(number, min(SHARD, rows - number * SHARD))
        part.to_parquet(folder / f"{number:05d}.parquet", row_group_size=GROUP)


def process_status(field):
    """A field of the process status in bytes (Linux)."""
    status = Path("/proc/self/status").read_text()
    return 1024 * int(re.search(rf"^{field}:\s+(\d+) kB", status, re.MULTILINE)[1])


def files(folder, rows):
    return sorted(Path(folder).glob("*.parquet"))[: -(-rows // SHARD)]


def speed_of(call, rows):
    start = time.perf_counter()
    call()
    return rows / (time.perf_counter() - start)


def speeds(folder, rows, repeats):
    """Rows a second of each side, and seconds to build the model from two of them."""
    paths = files(folder, rows)
    sides = {
        "frame": pd.concat(map(pd.read_parquet, paths), ignore_index=True),
        "files": kmtl.data.read_parquet(paths),
        "cached": kmtl.data.read_parquet(paths, cache=Path(folder) / "cache"),
    }
    models = {}
    for side, data in sides.items():
        start = time.perf_counter()
        models[side] = kmtl.build_mtl_model(data, TASKS)
        print(f"build from {side:<6}  {time.perf_counter() - start:6.1f} s", flush=True)
        models[side].fit(sides["frame"].head(8192), **FIT)
    models["cached"].fit(sides["cached"], **FIT)
    runs = {side: [] for side in sides}
    for side in list(sides) * repeats:
        fit = partial(models[side].fit, sides[side], **FIT)
        runs[side].append(speed_of(fit, rows))
    return {side: statistics.median(values) for side, values in runs.items()}


def growth(folder, rows):
    """Bytes by which building and training from files grow the process at its peak."""
    small = pd.read_parquet(files(folder, rows)[0]).head(8192)
    kmtl.build_mtl_model(small, TASKS).fit(small, **FIT)
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # starts the peak (VmHWM) anew
    before = process_status("VmRSS")
    source = kmtl.data.read_parquet(files(folder, rows))
    kmtl.build_mtl_model(source, TASKS).fit(source, **FIT)
    return process_status("VmHWM") - before


def main(args):
    print(f"kmtl {kmtl.__version__}, {args.rows:,} rows\n")
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), args.rows)
        rows = min(args.rows, 400_000)
        found = speeds(folder, rows, args.repeats)
        for side, speed in found.items():
            ratio = speed / found["frame"]
            print(f"fit, {side:<6}  {speed:>10,.0f} rows/s  {ratio:5.2f}", flush=True)
        print("target for the ratio: at least 0.5\n")
        if Path("/proc/self/clear_refs").exists():
            for rows in (args.rows // 4, args.rows):
                grown = in_fresh_process(__file__, [folder, rows]) / 2**20
                print(f"growth, {rows:>10,} rows  {grown:>6,.0f} MiB", flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=800_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(growth(*json.loads(args.worker))))
    else:
        main(args)
