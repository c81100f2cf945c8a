"""Balancing with many tasks, in half precision, and on frames."""

import keras
import numpy as np
import pandas as pd
import pytest
from balanced import METHODS, balanced, train
from small import some_inputs

import kmtl
from kmtl import balancing

THOUSAND = [kmtl.BinaryTask(f"task_{i}", metrics=[]) for i in range(1000)]


@pytest.mark.slow
@pytest.mark.parametrize("method", [balancing.GLS(), balancing.CAGrad()], ids=repr)
def test_a_thousand_tasks_are_balanced(method):
    model = kmtl.build_mtl_model(
        (4,), THOUSAND, trunk=kmtl.trunks.MLP([16]), balancing=method
    )
    rng = np.random.default_rng(0)
    x = some_inputs(512)
    labels = rng.integers(0, 2, (1000, 512)).astype(float)
    labels[rng.random(labels.shape) < 0.3] = np.nan
    y = dict(zip(model.task_names[1:], labels[1:], strict=True))
    history = model.fit(x, y, batch_size=64, epochs=2, verbose=0).history
    assert history["loss"][1] < history["loss"][0]
    weights = np.array([history[f"{name}_weight"][1] for name in model.task_names])
    assert np.isnan(weights[0])
    assert np.isfinite(weights[1:]).all()


@pytest.fixture
def in_float16():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.slow
@pytest.mark.parametrize("name", METHODS)
@pytest.mark.usefixtures("in_float16")
def test_half_precision_gives_nearly_the_same_weights(name):
    half = balanced(METHODS[name])
    train(half, steps=1)
    weights = dict(half.task_weights)
    for _ in range(3):
        train(half)
    assert all(np.isfinite(weight).all() for weight in half.get_weights())
    keras.config.set_dtype_policy("float32")
    full = balanced(METHODS[name])
    train(full, steps=1)
    assert weights == pytest.approx(full.task_weights, rel=0.05, abs=0.02)


def some_frame(rows=60):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=rows),
            "city": rng.choice(["Rome", "Oslo", None], rows),
            "rich": rng.choice(["yes", "no", None], rows),
            "kind": rng.choice(["a", "b", "c"], rows),
            "age": rng.normal(40.0, 10.0, rows),
        }
    )
    frame.loc[::4, ["size", "age"]] = np.nan
    return frame


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [balancing.UPGrad(), balancing.NormalizedLosses(), balancing.FAMO()],
    ids=repr,
)
def test_a_frame_with_text_and_missing_values(method, tmp_path):
    frame = some_frame()
    tasks = [
        kmtl.BinaryTask("rich", positive="yes"),
        kmtl.MulticlassTask("kind"),
        kmtl.RegressionTask("age"),
    ]
    model = kmtl.build_mtl_model(
        frame, tasks, trunk=kmtl.trunks.MLP([8]), balancing=method
    )
    model.compile(run_eagerly=True)
    history = model.fit(
        frame, validation_data=frame, batch_size=20, epochs=2, verbose=0
    ).history
    assert all(np.isfinite(values).all() for values in history.values())
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.task_weights == model.task_weights
    pd.testing.assert_frame_equal(
        loaded.predict_frame(frame, verbose=0), model.predict_frame(frame, verbose=0)
    )
