"""Two replicas train as one device: sums of losses are over the global batch."""

import json
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from small import build, some_tasks

SCRIPT = """
import json, sys
import numpy as np
import tensorflow as tf

devices = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(devices[0], two)

sys.path.insert(0, sys.argv[1])
import keras
import kmtl
from small import some_inputs, some_labels, some_tasks

def train(scope):
    with scope:
        keras.utils.set_random_seed(0)
        trunk = kmtl.trunks.MLP([8], activation="tanh", kernel_regularizer="l2")
        model = kmtl.build_mtl_model(
            (4,), some_tasks(), trunk=trunk, optimizer=keras.optimizers.SGD(0.1)
        )
        model.compile(jit_compile=False)
    x, y = some_inputs(), some_labels(some_tasks())
    # The labels of one task are all in the first replica's half of a batch.
    y["buy"] = np.where(np.arange(24) % 8 < 3, y["buy"], np.nan)
    options = {"batch_size": 8, "epochs": 1, "shuffle": False, "verbose": 0}
    history = model.fit(x, y, **options).history
    evaluated = model.evaluate(x, y, batch_size=8, return_dict=True, verbose=0)
    outputs = {k: v.tolist() for k, v in model.predict(x, verbose=0).items()}
    weights = [w.tolist() for w in model.get_weights()]
    logs = {"fit": history, "evaluate": evaluated}
    return {**logs, "outputs": outputs, "weights": weights}

strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
assert strategy.num_replicas_in_sync == 2
one = train(tf.distribute.get_strategy().scope())
both = train(strategy.scope())
print(json.dumps([one, both]))
"""


@pytest.fixture(scope="module")
def results():
    finished = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(Path(__file__).parent)],
        check=False,
        capture_output=True,
        text=True,
    )
    assert finished.returncode == 0, finished.stderr[-3000:]
    return json.loads(finished.stdout.splitlines()[-1])


@pytest.mark.slow
def test_two_replicas_reach_the_weights_of_one(results):
    one, both = results
    for ours, theirs in zip(both["weights"], one["weights"], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("action", ["fit", "evaluate"])
def test_two_replicas_log_what_one_logs(results, action):
    one, both = results
    assert set(both[action]) == set(one[action])
    for name, value in one[action].items():
        # A pair of scores in one bin of the AUC is 0.007 of these few rows.
        tolerance = 0.01 if name.endswith("auc") else 0.0
        assert both[action][name] == pytest.approx(value, rel=1e-4, abs=tolerance), name


@pytest.mark.slow
def test_two_replicas_predict_what_one_predicts(results):
    one, both = results
    for name, values in one["outputs"].items():
        np.testing.assert_allclose(both["outputs"][name], values, rtol=1e-4, atol=1e-5)


def test_keras_distribution_is_refused(monkeypatch):
    class Parallel:
        """Stands for a `keras.distribution.DataParallel`."""

    monkeypatch.setattr(keras.distribution, "distribution", Parallel)
    with pytest.raises(ValueError, match="does nothing on the TensorFlow backend"):
        build(some_tasks())
