"""Two replicas balance gradients as one device does."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf

devices = tf.config.list_physical_devices("CPU")
halves = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(devices[0], halves)

sys.path[:0] = sys.argv[1:3]
import keras
import kmtl
from kmtl.balancing import FAMO, GLS, NormalizedLosses, UPGrad
from loops import Watch
from small import some_inputs, some_labels, some_tasks

METHODS = {
    "representation": Watch(),
    "shared": Watch(at="shared"),
    "every": Watch(every=2),
    "shared every": Watch(at="shared", every=2),
    "UPGrad": UPGrad(),
    "GLS": GLS(),
    "FAMO": FAMO(),
    "NormalizedLosses": NormalizedLosses(),
}
SHARINGS = {"Hard": kmtl.sharing.Hard(), "Branched": kmtl.sharing.Branched()}
TASKS = some_tasks(metrics=[])

def train(strategy, case):
    method, sharing = case.rsplit(" ", 1)
    with strategy.scope():
        keras.utils.set_random_seed(0)
        trunk = kmtl.trunks.MLP([8, 6], activation="tanh", kernel_regularizer="l2")
        model = kmtl.build_mtl_model(
            (4,),
            TASKS,
            trunk=trunk,
            sharing=SHARINGS[sharing],
            head_units=(5,),
            optimizer=keras.optimizers.SGD(0.1),
            balancing=METHODS[method],
        )
        # A graph takes longer to trace than three steps without one.
        model.compile(run_eagerly=strategy is not two, jit_compile=False)
    x, y = some_inputs(), some_labels(TASKS)
    # The labels of one task are all in the first replica's half of a batch.
    y["buy"] = np.where(np.arange(24) % 8 < 3, y["buy"], np.nan)
    y["price"][:8] = np.nan  # and of another there is none in the first batch
    history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
    state = {k: v.numpy().tolist() for k, v in model.balancing_state.values.items()}
    weights = [w.numpy().tolist() for w in model.trainable_variables]
    return {"logs": history, "state": state, "weights": weights}

def train_in_vain(case):
    try:
        train(two, case)
    except ValueError as error:
        return str(error)

one = tf.distribute.get_strategy()
two = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
alike, refused = json.loads(sys.argv[3])
results = {case: [train(one, case), train(two, case)] for case in alike}
results |= {case: train_in_vain(case) for case in refused}
print(json.dumps(results))
"""


# What is done with the weights of a method does not depend on the sharing.
ALIKE = [
    *(
        f"{at} {kind}"
        for at in ("representation", "shared")
        for kind in ("Hard", "Branched")
    ),
    "UPGrad Hard",
    "GLS Branched",
    "FAMO Hard",
    "NormalizedLosses Branched",
]
REFUSED = ["every Hard", "shared every Branched"]
pytestmark = pytest.mark.slow


def trained(alike, refused):
    """Trains each case in a process with two devices; by case what came of it."""
    folder = Path(__file__).parent
    cases = json.dumps([alike, refused])
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder.parent), str(folder), cases],
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


def assert_alike(both, one, case):
    options = {"rtol": 1e-4, "atol": 1e-6, "err_msg": case}
    for ours, theirs in zip(both["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, **options)
    assert set(both["logs"]) == set(one["logs"])
    for kind in ("logs", "state"):
        for name, values in one[kind].items():
            np.testing.assert_allclose(both[kind][name], values, **options)


# One test: each process takes seconds to start.
def test_weights_logs_and_state_are_those_of_one_device():
    results = trained(ALIKE, [])
    assert list(results) == ALIKE
    for case, (one, both) in results.items():
        assert_alike(both, one, case)


def test_weights_in_some_steps_only_are_refused():
    results = trained([], REFUSED)
    assert list(results) == REFUSED
    for message in results.values():
        assert message.startswith("`every` must be 1 with several replicas")
