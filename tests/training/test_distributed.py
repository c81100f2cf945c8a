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
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(devices[0], two)

sys.path[:0] = sys.argv[1:3]
import keras
import kmtl
from kmtl.balancing import FAMO, GLS, NormalizedLosses, UPGrad
from loops import Watch
from small import some_inputs, some_labels, some_tasks

CASES = {
    "representation": lambda: Watch(),
    "shared": lambda: Watch(at="shared"),
    "every": lambda: Watch(every=2),
    "shared every": lambda: Watch(at="shared", every=2),
    "UPGrad": lambda: UPGrad(),
    "GLS": lambda: GLS(),
    "FAMO": lambda: FAMO(),
    "NormalizedLosses": lambda: NormalizedLosses(),
}

def train(scope, method, sharing):
    with scope:
        keras.utils.set_random_seed(0)
        trunk = kmtl.trunks.MLP([8, 6], activation="tanh", kernel_regularizer="l2")
        model = kmtl.build_mtl_model(
            (4,),
            some_tasks(),
            trunk=trunk,
            sharing=sharing,
            head_units=(5,),
            optimizer=keras.optimizers.SGD(0.1),
            balancing=method(),
        )
        model.compile(jit_compile=False)
    x, y = some_inputs(), some_labels(some_tasks())
    # The labels of one task are all in the first replica's half of a batch.
    y["buy"] = np.where(np.arange(24) % 8 < 3, y["buy"], np.nan)
    y["price"][:8] = np.nan  # and of another there is none in the first batch
    history = model.fit(x, y, batch_size=8, shuffle=False, verbose=0).history
    state = {k: v.numpy().tolist() for k, v in model.balancing_state.values.items()}
    weights = [w.numpy().tolist() for w in model.trainable_variables]
    logs = {k: v for k, v in history.items() if not k.endswith("auc")}
    return {"logs": logs, "state": state, "weights": weights}

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
results = {}
for name, method in CASES.items():
    sharings = {"Hard": kmtl.sharing.Hard(), "Branched": kmtl.sharing.Branched()}
    for kind, sharing in sharings.items():
        try:
            one = train(tf.distribute.get_strategy().scope(), method, sharing)
            results[f"{name} {kind}"] = [one, train(strategy.scope(), method, sharing)]
        except ValueError as error:
            results[f"{name} {kind}"] = str(error)
print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def results():
    folder = Path(__file__).parent
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(folder.parent), str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.slow
@pytest.mark.parametrize("sharing", ["Hard", "Branched"])
@pytest.mark.parametrize(
    "case",
    ["representation", "shared", "UPGrad", "GLS", "FAMO", "NormalizedLosses"],
)
def test_weights_logs_and_state_are_those_of_one_device(results, case, sharing):
    one, both = results[f"{case} {sharing}"]
    for ours, theirs in zip(both["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    assert set(both["logs"]) == set(one["logs"])
    for name, values in one["logs"].items():
        np.testing.assert_allclose(both["logs"][name], values, rtol=1e-4, atol=1e-6)
    for name, values in one["state"].items():
        np.testing.assert_allclose(both["state"][name], values, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("case", ["every Hard", "shared every Branched"])
def test_weights_in_some_steps_only_are_refused(results, case):
    assert results[case].startswith("`every` must be 1 with several replicas")
