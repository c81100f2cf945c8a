"""Serving: one multi-task model against one model a task, in TensorFlow's C API.

The network of `examples/census_income.py` (a trunk of 256 and 128, a head of 32 and 1 a
task) on raw columns of Census-Income: 31 of strings and 7 of numbers. The process that
is timed loads exported versions with the C++ loader of TensorFlow Serving and has no
Python of TensorFlow in it. A time is that of one `TF_SessionRun`: what a server does
between reading a request and writing the answer.

* all heads: the signature `serving_default` of the multi-task model;
* one head: its signature `predict_task0`;
* one model: a single-task model, `serving_default`;
* N models: as many single-task models as there are tasks, asked one after another;
* preprocessing: the raw columns made into numbers, and no more.

All sides run in turn, in an order drawn anew each round (N models in every tenth), so
that each finds the caches as others left them. Medians and 99th percentiles over the
rounds; rows a second follow from the median. One thread each; `--threads 0` lets
TensorFlow take all.

Then the seconds to export and to load a model of 617 tasks: `export_saved_model` with
its own checks, `kmtl.load`, and the C++ loader. Imports and building are not counted.

    python benchmarks/serving.py            # about 3 minutes on two cores
    python benchmarks/serving.py --quick    # about 1 minute, without 100 tasks
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import _c_api
import numpy as np
from _array_files import load_arrays

MODELS = Path(__file__).with_name("_serving_models.py")
MANY = 617
WARM_UP = 10


class Models:
    """Several versions that a request asks one after another."""

    def __init__(self, calls):
        self.calls = calls

    def run(self):
        for call in self.calls:
            call.run()


def write_models(folder, tasks):
    """Exports everything in a process of its own; returns what it tells."""
    command = [sys.executable, MODELS, folder, *map(str, [MANY, *tasks])]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def sides_of(folder, tasks, threads):
    """Loads every version; returns a function from rows to the calls of each side."""
    versions = {name: folder / name / "1" for name in ("1", *map(str, tasks))}
    shared = {n: _c_api.Session(versions[str(n)], threads) for n in tasks}
    alone = [_c_api.Session(versions["1"], threads) for _ in range(max(tasks))]
    preprocessing = _c_api.Session(folder / "preprocessing" / "1", threads)

    def calls(rows):
        one = [session.call("serving_default", rows) for session in alone]
        sides = {
            ("one model", 1): one[0],
            ("preprocessing", 1): preprocessing.call("serving_default", rows),
        }
        for n, session in shared.items():
            sides["all heads", n] = session.call("serving_default", rows)
            sides["one head", n] = session.call("predict_task0", rows)
            sides[f"{n} models", n] = Models(one[:n])
        return sides

    return calls


def measure(calls, rounds):
    """Runs the sides in turn, many models in every tenth round only.

    Returns:
        The milliseconds by side.
    """
    for call in list(calls.values()) * WARM_UP:
        call.run()
    draw = random.Random(0)
    times = {side: [] for side in calls}
    for turn in range(rounds):
        order = [s for s, c in calls.items() if turn % 10 == 0 or type(c) is not Models]
        draw.shuffle(order)
        for side in order:
            start = time.perf_counter()
            calls[side].run()
            times[side].append(1e3 * (time.perf_counter() - start))
    return times


def target(batch, what, tasks, beside):
    if beside != "one model":
        return ""
    if what == "one head":
        return "at most 1.15"
    wanted = {"all heads": tasks == 10, "preprocessing": batch == 256}
    limits = {"all heads": "at most 1.3", "preprocessing": "at most 0.5"}
    return limits[what] if wanted[what] else ""


def show(batch, what, tasks, taken, beside="", other=None):
    """Prints one row of the table."""
    middle, high = np.quantile(taken, [0.5, 0.99])
    cells = [
        f"{batch:>5}",
        f"{tasks:>5}",
        f"{what:<13}",
        f"{middle:>7.3f}",
        f"{high:>7.3f}",
        f"{1e3 * batch / middle:>9,.0f}",
    ]
    if other is not None:
        median = np.median(other)
        cells += [f"{beside:<10}", f"{median:>7.3f}", f"{middle / median:>6.2f}"]
        cells.append(target(batch, what, tasks, beside))
    print("  ".join(cells).rstrip(), flush=True)


def show_batch(batch, tasks, times):
    """Prints what was measured with one size of batch."""
    one = times["one model", 1]
    show(batch, "one model", 1, one)
    show(batch, "preprocessing", 1, times["preprocessing", 1], "one model", one)
    for n in tasks:
        shared = times["all heads", n]
        show(batch, "all heads", n, shared, "one model", one)
        show(batch, "all heads", n, shared, f"{n} models", times[f"{n} models", n])
        show(batch, "one head", n, times["one head", n], "one model", one)


def main(args):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        told = write_models(folder, args.tasks)
        calls = sides_of(folder, args.tasks, args.threads)
        start = time.perf_counter()
        _c_api.Session(folder / "many" / "1", args.threads)
        loaded = time.perf_counter() - start
        rows = load_arrays(folder / "rows.npz")
    threads = args.threads or "all"
    print(f"kmtl {told['version']}, {args.rounds} rounds, threads: {threads}\n")
    heading = f"{'ms':>7}  {'p99':>7}  {'rows/s':>9}  {'beside':<10}  {'ms':>7}   ratio"
    print(f"batch  tasks  {'':<13}  {heading}  target")
    for batch in (1, 256):
        first = {column: values[:batch] for column, values in rows.items()}
        show_batch(batch, args.tasks, measure(calls(first), args.rounds))
    print(f"\n{MANY} tasks, seconds (target: at most 15 each)")
    print(f"export {told['export']:.1f}, load {told['load']:.1f}, C API {loaded:.1f}")
    if "tensorflow" in sys.modules:
        sys.exit("Python's TensorFlow is in the process that was timed.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tasks", type=int, nargs="+", default=[2, 10, 100])
    parser.add_argument("--rounds", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=1, help="0: as TensorFlow wants")
    parser.add_argument("--quick", action="store_true", help="2, 10 tasks, 200 rounds")
    args = parser.parse_args()
    if args.quick:
        args.tasks, args.rounds = [2, 10], 200
    main(args)
