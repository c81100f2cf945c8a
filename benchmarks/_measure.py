"""What the benchmarks share: a fresh process a measurement and one clock."""

import argparse
import json
import statistics
import subprocess
import sys
import time

import keras


def in_fresh_process(script, job):
    """Runs `script --worker JOB` and returns the JSON of its last line."""
    command = [sys.executable, script, "--worker", json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{job}:\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def batch_clock():
    """Returns a callback and the list into which it writes when each batch ends."""
    ends = []
    callback = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda *_, **__: ends.append(time.perf_counter())
    )
    return callback, ends


def medians(script, sides, job, repeats):
    """Runs each side in turn, each time in a process of its own.

    Args:
        script: What is run with `--worker [side, *job]`.
        sides: Names of the sides.
        job: What every side is told.
        repeats: How often each runs.

    Returns:
        By side the median of every quantity.
    """
    runs = {side: [] for side in sides}
    for side in sides * repeats:
        runs[side].append(in_fresh_process(script, [side, *job]))
    return {
        side: {k: statistics.median(r[k] for r in results) for k in results[0]}
        for side, results in runs.items()
    }


def run(parser, measure, main):
    """Adds what timings have in common to a parser, and measures or prints a table.

    Args:
        parser: The parser of a script.
        measure: Does the job of a worker; its result is printed as JSON.
        main: Prints the table from the parsed arguments.
    """
    parser.add_argument("--steps", type=int, default=100, help="batches to time")
    parser.add_argument("--repeats", type=int, default=3, help="processes a number")
    parser.add_argument("--quick", action="store_true", help="60 steps, one repeat")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        print(json.dumps(measure(*json.loads(args.worker))))
        return
    if args.quick:
        args.steps, args.repeats = 60, 1
    main(args)
