"""Hundreds of tasks: nothing loops over them while the graph is made."""

import time

import keras
import numpy as np
import pytest
from small import TRUNK, build, evaluate, fit, some_inputs, some_labels

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask


def mixed(count):
    kinds = [
        BinaryTask,
        RegressionTask,
        lambda name: MulticlassTask(name, classes=3),
    ]
    return [kinds[i % 3](f"task_{i}") for i in range(count)]


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    return build(mixed(60), head_units=(4,))


def test_the_number_of_layers_does_not_depend_on_the_number_of_tasks(model):
    assert len(model.layers) == len(build(mixed(3), head_units=(4,)).layers)
    assert len(model.trainable_variables) == 2 + 3 * 4


def test_every_task_has_a_head_of_its_own(model):
    x, y = some_inputs(), some_labels(model.tasks)
    model.adapt_labels(y)
    outputs = model.predict(x, verbose=0)
    binary = np.stack([outputs[t.name] for t in model.tasks if type(t) is BinaryTask])
    assert list(outputs) == model.task_names
    assert binary.std(axis=0).min() > 1e-4


def test_all_tasks_learn(model):
    x, y = some_inputs(), some_labels(model.tasks)
    first = fit(model, x, y)
    last = fit(model, x, y, epochs=5)
    losses = [name for name in last if name.endswith("_loss")]
    assert sum(last[name] < first[name] for name in losses) > 50


def test_most_labels_may_be_missing(model):
    x, y = some_inputs(), some_labels(model.tasks)
    rng = np.random.default_rng(0)
    for labels in y.values():
        labels[rng.random(24) < 0.9] = np.nan
    y = {name: labels for name, labels in y.items() if not np.isnan(labels).all()}
    assert np.isfinite(fit(model, x, y)["loss"])


@pytest.mark.slow
def test_a_thousand_tasks_start_within_seconds(tmp_path):
    tasks = [BinaryTask(f"task_{i}") for i in range(1000)]
    x, y = some_inputs(64), some_labels(tasks, 64)
    started = time.monotonic()
    model = kmtl.build_mtl_model((4,), tasks, trunk=TRUNK, head_units=(4,))
    logs = fit(model, x, y, batch_size=64)
    assert time.monotonic() - started < 30  # 10 s is the aim, on a quiet machine
    assert len(logs) == 1 + 2 * 1000
    expected = model.predict(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    actual = loaded.predict(x, verbose=0)
    for name, values in expected.items():
        np.testing.assert_array_equal(actual[name], values)
    assert evaluate(loaded, x, y) == evaluate(model, x, y)
