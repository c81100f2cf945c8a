"""`add_task(distill=...)`: old tasks keep what they have learned."""

import keras
import numpy as np
import pytest
from growing import (
    NEW,
    X,
    Y,
    model_of,
    new_task,
)
from small import evaluate, fit, some_tasks

import kmtl


@pytest.fixture(scope="module")
def hard():
    model = model_of()
    model.train_on_batch(X, Y)
    return model


def test_distillation_starts_at_zero_and_is_logged():
    model = model_of(trunk=kmtl.trunks.MLP([8], activation="tanh"))
    larger = kmtl.add_task(model, new_task(), train="all", distill=1.0)
    logs = evaluate(larger, X, {**Y, **NEW})
    assert logs["distillation_loss"] == pytest.approx(0.0, abs=1e-6)
    fit(larger, X, NEW, epochs=2)
    logs = evaluate(larger, X, {**Y, **NEW})
    parts = [logs[f"{name}_loss"] for name in larger.task_names]
    assert 0 < logs["distillation_loss"] < logs["loss"]
    np.testing.assert_allclose(logs["loss"], sum(parts) + logs["distillation_loss"])


def divergence(old, new):
    """Of softmax probabilities at temperature 2; the mean over rows."""
    p, q = (
        np.exp(z / 2) / np.exp(z / 2).sum(axis=1, keepdims=True) for z in (old, new)
    )
    return (p * np.log(p / q)).sum(axis=1).mean()


def test_distillation_is_the_divergence_from_the_old_outputs():
    model = model_of(tasks=some_tasks()[:3])
    other = model_of(tasks=some_tasks()[:3], seed=1)
    larger = kmtl.add_task(model, new_task(), train="all", distill=0.5)
    old, new = (m.logits({"inputs": X}, training=False) for m in (model, other))
    loss = larger.distillation.loss({"inputs": X}, None, other.outputs_layer, new)
    old, new = ([np.asarray(z, "float64")[:, 0] for z in zs] for zs in (old, new))
    binary = [np.hstack([z, 0 * z]) for z in (old[0], new[0])]
    expected = divergence(*binary) + divergence(old[1], new[1])
    expected += np.square(old[2] - new[2]).mean()
    np.testing.assert_allclose(loss, 0.5 * expected, rtol=1e-4)


@pytest.mark.slow
def test_distillation_keeps_old_tasks_without_labels():
    def drift(**options):
        larger = kmtl.add_task(model, new_task(), train="all", **options)
        larger.compile(run_eagerly=False, jit_compile=False)
        fit(larger, X, NEW, epochs=20)
        return np.abs(larger(X)["buy"] - model(X)["buy"]).mean()

    model = model_of(trunk=kmtl.trunks.MLP([8], activation="tanh"))
    model.train_on_batch(X, Y)
    assert drift(distill=10.0) < 0.5 * drift()


@pytest.mark.slow
def test_distillation_ends_with_the_file(hard, tmp_path):
    larger = kmtl.add_task(hard, new_task(), train="all", distill=1.0)
    larger.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert "distillation_loss" not in evaluate(loaded, X, {**Y, **NEW})
