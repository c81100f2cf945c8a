"""What the benchmarks share: a fresh process a measurement and one clock."""

import json
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
