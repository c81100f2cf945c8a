"""Tasks that train with a model and are left out of what it predicts."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from small import build, evaluate, some_inputs, some_labels, some_tasks

import kmtl

X = some_inputs()


def tasks():
    """One of two tasks of a stack is auxiliary, and one alone in its group."""
    return [
        kmtl.AuxiliaryTask(task) if task.name in ("click", "price") else task
        for task in some_tasks()
    ]


@pytest.fixture(scope="module")
def model():
    return build(tasks())


def test_an_auxiliary_task_is_a_task_with_a_mark():
    task = kmtl.RegressionTask("hint", loss="mae")
    assert kmtl.AuxiliaryTask(task) == kmtl.RegressionTask(
        "hint", loss="mae", auxiliary=True
    )


def test_it_is_no_output(model, tmp_path):
    assert list(model.output) == ["colour", "buy"]
    assert list(model(X)) == list(model.predict(X, verbose=0)) == ["colour", "buy"]
    assert list(model.predict_on_batch(X)) == ["colour", "buy"]
    assert list(model.predict_frame(X, verbose=0)) == ["colour", "buy"]
    assert model.task_names == ["click", "colour", "price", "buy"]
    path = kmtl.export_saved_model(model, tmp_path)
    served = tf.saved_model.load(str(path)).signatures["serving_default"]
    assert set(served.structured_outputs) == {"colour", "buy"}


def test_it_trains_and_is_logged_like_the_others(model):
    plain = build(some_tasks())
    y = some_labels(some_tasks())
    logs, expected = (
        m.train_on_batch(X, y, return_dict=True) for m in (build(tasks()), plain)
    )
    assert logs == pytest.approx(expected, rel=1e-6)
    assert "price_mae" in evaluate(model, X, y)


def test_it_comes_back_from_a_file(model, tmp_path):
    model.save(tmp_path / "m.keras")
    loaded = keras.models.load_model(tmp_path / "m.keras")
    assert loaded.tasks == model.tasks
    before, after = (m(X) for m in (model, loaded))
    for name, values in before.items():
        np.testing.assert_array_equal(after[name], values)


def test_statistics_of_its_labels_are_not_needed_to_predict():
    hint = kmtl.AuxiliaryTask(kmtl.RegressionTask("hint"))
    model = build([kmtl.BinaryTask("a"), hint])
    assert list(model.predict(X, verbose=0)) == ["a"]
    y = {"a": np.arange(24) % 2, "hint": np.arange(24)}
    assert np.isfinite(model.train_on_batch(X, y, return_dict=True)["hint_mae"])


def test_a_model_must_predict_something():
    with pytest.raises(ValueError, match=r"only auxiliary tasks, \['a'\]"):
        build([kmtl.AuxiliaryTask(kmtl.BinaryTask("a"))])


@pytest.mark.parametrize("wrong", ["hint", None, kmtl.RegressionTask])
def test_only_a_task_can_be_auxiliary(wrong):
    with pytest.raises(TypeError, match="takes a task such as"):
        kmtl.AuxiliaryTask(wrong)


@pytest.mark.slow
def test_a_hint_helps_and_noise_hurts():
    # Caruana 1997, section 3.2: with 20 % wrong labels the sign of a product of two
    # numbers is hard to learn; the product itself shows the way to the features. In a
    # narrow trunk noise takes up units.
    accuracy = {
        hint: np.mean([accuracy_with(hint, seed) for seed in range(2)])
        for hint in ("none", "product", "noise")
    }
    assert accuracy["product"] > accuracy["none"] + 0.03
    assert accuracy["noise"] < accuracy["none"]


def accuracy_with(hint, seed):
    """Trains on 1,000 rows; returns the share of right signs without noise."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, 20)) / np.sqrt(20)
    x = rng.normal(size=(5000, 20))
    product = (x @ a) * (x @ b)
    wrong = rng.random(5000) < 0.2
    y = {
        "sign": ((product > 0) != wrong).astype(float),
        "product": product,
        "noise": rng.normal(size=5000),
    }
    tasks = [kmtl.BinaryTask("sign")]
    if hint != "none":
        tasks.append(kmtl.AuxiliaryTask(kmtl.RegressionTask(hint)))
    keras.utils.set_random_seed(seed)
    optimizer = keras.optimizers.Adam(0.01)
    model = kmtl.build_mtl_model(
        (20,), tasks, trunk=kmtl.trunks.MLP([16]), optimizer=optimizer
    )
    train = {task.name: y[task.name][:1000] for task in tasks}
    model.fit(x[:1000], train, epochs=10, batch_size=64, verbose=0)
    predicted = model.predict(x[1000:], batch_size=1000, verbose=0)["sign"][:, 0] > 0.5
    return np.mean(predicted == (product[1000:] > 0))
