"""Losses, gradients and training equal plain functional Keras with the same weights."""

import keras
import numpy as np
import pytest
from small import (
    assert_same_weights,
    build,
    evaluate,
    fit,
    plain_twin,
    slow_but,
    some_inputs,
    some_labels,
    some_tasks,
)

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask

K = keras.losses
OPTIMIZERS = ["sgd", "adam", "adamw", "rmsprop", "lion"]


def log_ratio(y_true, y_pred):
    """A loss of the user's own, of one task, one value a row."""
    return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 1.5, axis=-1)


def sparse_margin(y_true, y_pred):
    """A loss of the user's own on class ids."""
    ids = keras.ops.cast(keras.ops.reshape(y_true, (-1,)), "int32")
    return 1.0 - keras.ops.sum(keras.ops.one_hot(ids, 3) * y_pred, axis=-1)


def loss_tables():
    """By kind, what a task is given, what plain Keras is given, and its activation.

    Built-in losses come from logits on both sides. Made anew for every test, because
    a Keras loss computes in the dtype that was set when it was made.
    """
    binary = {
        "default": (None, K.BinaryCrossentropy(from_logits=True), "linear"),
        "name": (
            "binary_crossentropy",
            K.BinaryCrossentropy(from_logits=True),
            "linear",
        ),
        "alias": ("bce", K.BinaryCrossentropy(from_logits=True), "linear"),
        "smooth": (
            K.BinaryCrossentropy(label_smoothing=0.1),
            K.BinaryCrossentropy(from_logits=True, label_smoothing=0.1),
            "linear",
        ),
        "focal": (
            K.BinaryFocalCrossentropy(gamma=1.5),
            K.BinaryFocalCrossentropy(gamma=1.5, from_logits=True),
            "linear",
        ),
        "balanced_focal": (
            K.BinaryFocalCrossentropy(apply_class_balancing=True),
            K.BinaryFocalCrossentropy(apply_class_balancing=True, from_logits=True),
            "linear",
        ),
        "hinge": ("hinge", "hinge", "sigmoid"),
        "squared_hinge": (K.SquaredHinge(), K.SquaredHinge(), "sigmoid"),
        "brier": ("mean_squared_error", "mean_squared_error", "sigmoid"),
        "dice": (log_ratio, log_ratio, "sigmoid"),
    }
    multiclass = {
        "default": (None, K.SparseCategoricalCrossentropy(from_logits=True), "linear"),
        "sparse": (
            K.SparseCategoricalCrossentropy(),
            K.SparseCategoricalCrossentropy(from_logits=True),
            "linear",
        ),
        "margin": (sparse_margin, sparse_margin, "softmax"),
    }
    one_hot = {
        "name": ("categorical_crossentropy", K.CategoricalCrossentropy(True), "linear"),
        "smooth": (
            K.CategoricalCrossentropy(label_smoothing=0.2),
            K.CategoricalCrossentropy(from_logits=True, label_smoothing=0.2),
            "linear",
        ),
        "focal": (
            K.CategoricalFocalCrossentropy(gamma=1.0),
            K.CategoricalFocalCrossentropy(gamma=1.0, from_logits=True),
            "linear",
        ),
        "hinge": (K.CategoricalHinge(), K.CategoricalHinge(), "softmax"),
        "divergence": ("kl_divergence", "kl_divergence", "softmax"),
    }
    regression = {
        "default": (None, "mean_squared_error", "linear"),
        "mae": ("mae", "mae", "linear"),
        "huber": (K.Huber(delta=0.3), K.Huber(delta=0.3), "linear"),
        "huber_name": ("huber", "huber", "linear"),
        "log_cosh": ("log_cosh", "log_cosh", "linear"),
        "percentage": ("mape", "mape", "linear"),
        "logarithmic": ("msle", "msle", "linear"),
        "pinball": (kmtl.losses.Pinball(0.9), kmtl.losses.Pinball(0.9), "linear"),
        "own": (log_ratio, log_ratio, "linear"),
    }
    return binary, multiclass, one_hot, regression


def make(kind, losses, prefix, **options):
    """One task a loss, and the losses and activations of the plain model."""
    tasks = [kind(f"{prefix}_{k}", loss=v[0], **options) for k, v in losses.items()]
    plain = {f"{prefix}_{k}": v[1] for k, v in losses.items()}
    activations = {f"{prefix}_{k}": v[2] for k, v in losses.items()}
    return tasks, plain, activations


def every_loss():
    binary, multiclass, one_hot, regression = loss_tables()
    parts = [
        make(BinaryTask, binary, "binary"),
        make(MulticlassTask, multiclass, "class", classes=3),
        make(MulticlassTask, one_hot, "one_hot", classes=3),
        make(RegressionTask, regression, "number", standardize=False),
    ]
    tasks = [task for part in parts for task in part[0]]
    return tasks, *({k: v for p in parts for k, v in p[i].items()} for i in (1, 2))


def plain_labels(labels):
    """What plain Keras takes: one column a label, one-hot rows where it wants them."""
    return {
        name: np.eye(3)[values.astype(int)]
        if name.startswith("one_hot")
        else values[:, None]
        for name, values in labels.items()
    }


def trained_pair(loss_weights=None):
    """Takes one step in both; returns models and logs."""
    tasks, losses, activations = every_loss()
    model = build(tasks, optimizer=sgd(), loss_weights=loss_weights)
    twin = plain_twin(model, activations)
    twin.compile(sgd(), losses, loss_weights=loss_weights, run_eagerly=True)
    x, y = some_inputs(), some_labels(tasks)
    ours = fit(model, x, y, batch_size=24)
    theirs = fit(twin, x, plain_labels(y), batch_size=24)
    return model, twin, ours, theirs


def sgd():
    return keras.optimizers.SGD(0.05)


def half_weights():
    return {task.name: 0.5 + i / 10 for i, task in enumerate(every_loss()[0])}


@pytest.mark.usefixtures("in_float64")
def test_every_loss_equals_keras_in_float64():
    model, twin, ours, theirs = trained_pair()
    assert {n: ours[n] for n in theirs} == pytest.approx(theirs, rel=1e-12)
    assert_same_weights(model, twin, rtol=1e-12, atol=1e-15)


def test_every_loss_equals_keras_in_float32():
    model, twin, ours, theirs = trained_pair()
    assert {n: ours[n] for n in theirs} == pytest.approx(theirs, rel=2e-6)
    assert_same_weights(model, twin, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("in_float64")
def test_weighted_losses_and_their_gradients_equal_keras():
    model, twin, ours, theirs = trained_pair(half_weights())
    assert ours["loss"] == pytest.approx(theirs["loss"], rel=1e-12)
    assert_same_weights(model, twin, rtol=1e-12, atol=1e-15)


def default_losses():
    return {
        "click": K.BinaryCrossentropy(from_logits=True),
        "colour": K.SparseCategoricalCrossentropy(from_logits=True),
        "price": "mse",
        "buy": K.BinaryCrossentropy(from_logits=True),
    }


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    "optimizer",
    [pytest.param(name, marks=slow_but(["adamw"], name)) for name in OPTIMIZERS],
)
def test_five_steps_equal_keras(optimizer):
    weights = {"click": 0.5, "price": 2.0}
    model = build(some_tasks(), optimizer=optimizer, loss_weights=weights)
    twin = plain_twin(model)
    twin.compile(
        optimizer,
        default_losses(),
        loss_weights=dict(model.loss_weights),
        run_eagerly=True,
    )
    x, y = some_inputs(40), some_labels(model.tasks, 40)
    fit(model, x, y, batch_size=8)
    fit(twin, x, y, batch_size=8)
    assert_same_weights(model, twin, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("in_float64")
def test_hidden_layers_and_penalties_equal_keras():
    trunk = kmtl.trunks.MLP([8], activation="tanh", kernel_regularizer="l2")
    model = build(some_tasks(), trunk=trunk, head_units=(6, 5))
    twin = plain_twin(model)
    twin.compile(keras.optimizers.SGD(0.1), default_losses(), run_eagerly=True)
    x, y = some_inputs(), some_labels(model.tasks)
    ours, theirs = (fit(m, x, y, batch_size=24)["loss"] for m in (model, twin))
    assert ours == pytest.approx(theirs, rel=1e-12)
    assert_same_weights(model, twin, rtol=1e-12, atol=1e-15)


def test_compiled_training_equals_keras():
    model = build(some_tasks())
    model.compile(run_eagerly=False, jit_compile=False)
    twin = plain_twin(model)
    twin.compile(keras.optimizers.SGD(0.1), default_losses(), run_eagerly=True)
    x, y = some_inputs(), some_labels(model.tasks)
    fit(model, x, y)
    fit(twin, x, y)
    assert_same_weights(model, twin, rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("in_float64")
def test_one_task_equals_a_single_task_keras_model():
    model = build([BinaryTask("click")], head_units=(6,))
    twin = keras.Sequential(
        [
            keras.layers.Dense(8, activation="tanh"),
            keras.layers.Dense(6, activation="relu"),
            keras.layers.Dense(1),
        ]
    )
    twin.build((None, 4))
    twin.set_weights(plain_twin(model).get_weights())
    twin.compile(
        keras.optimizers.SGD(0.1), K.BinaryCrossentropy(True), run_eagerly=True
    )
    x, y = some_inputs(), some_labels(model.tasks)["click"]
    fit(model, x, y)
    fit(twin, x, y)
    assert_same_weights(model, twin, rtol=1e-12, atol=1e-15)


@pytest.mark.usefixtures("in_float64")
def test_evaluation_equals_keras():
    tasks, losses, activations = every_loss()
    model = build(tasks)
    twin = plain_twin(model, activations)
    twin.compile(loss=losses, run_eagerly=True)
    x, y = some_inputs(), some_labels(tasks)
    ours, theirs = evaluate(model, x, y), evaluate(twin, x, plain_labels(y))
    assert {n: ours[n] for n in theirs} == pytest.approx(theirs, rel=1e-12)
