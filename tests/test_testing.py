"""The public checks: every built-in member passes them, and what breaks a rule fails.

One mapping a module says how each member is made; a test compares it with `__all__`.
"""

import keras
import numpy as np
import pytest

from kmtl import layers, losses, metrics, sharing, testing, trunks
from kmtl._head_groups import group_heads
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask

NUMBERS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype("uint8")
TASKS = [
    BinaryTask("a"),
    RegressionTask("b", standardize=False),
    MulticlassTask("c", classes=3),
    RegressionTask("d", standardize=False, head=keras.layers.Dense(2)),
]
TABLE = {
    "numeric": NUMBERS[:, :2],
    "categorical": np.array([[0, 2], [1, 3], [2, 0]], "int32"),
    "text": np.array([[[2, 3]], [[1, 0]], [[0, 0]]], "int32"),
}

LAYERS = {
    "Representation": (layers.Representation, NUMBERS, {}),
    "ScaleImage": (layers.ScaleImage, IMAGES, {}),
    "TabularEmbedding": (
        lambda: layers.TabularEmbedding([(-1.0, 0.0, 2.0), ()], [3, 4], [5], dim=2),
        TABLE,
        {"input_gradient": False},  # numbers are cast to float32 on purpose
    ),
    "TaskDense": (
        lambda: layers.TaskDense(2, tasks=["a", "b", "c"], activation="tanh"),
        NUMBERS,
        {},
    ),
    "TaskOutputs": (
        lambda: layers.TaskOutputs(TASKS, group_heads(TASKS, ())),
        [NUMBERS[:, None, :1], NUMBERS[:, None, 1:2], NUMBERS[:, None, 1:], NUMBERS],
        {},
    ),
}
NOT_A_LAYER = {"PerTask"}  # an initializer: tests/layers/test_per_task.py
TRUNKS = {
    "CNN": (trunks.CNN([4, 4], normalization="batch", residual=True), IMAGES),
    "MLP": (trunks.MLP([8, 4], dropout=0.1, normalization="layer"), NUMBERS),
    "as_trunk": (trunks.as_trunk([keras.layers.Dense(4), trunks.MLP([3])]), NUMBERS),
}
SHARINGS = {"Hard": sharing.Hard()}
LOSSES = {"Pinball": losses.Pinball(tau=0.9)}
METRICS = {
    "CohenKappa": (
        lambda: metrics.CohenKappa(3, weightage="linear"),
        np.array([0, 1, 2, 1, 0]),
        np.eye(3, dtype="float32")[[0, 1, 1, 2, 0]],
    )
}


@pytest.mark.parametrize(
    ("module", "tested"),
    [
        (layers, {*LAYERS, *NOT_A_LAYER}),
        (trunks, set(TRUNKS)),
        (sharing, set(SHARINGS)),
        (losses, set(LOSSES)),
        (metrics, set(METRICS)),
    ],
)
def test_every_public_member_is_checked(module, tested):
    assert set(module.__all__) == tested


@pytest.mark.parametrize("name", LAYERS)
def test_built_in_layers_pass(name):
    make_layer, sample, options = LAYERS[name]
    testing.check_layer(make_layer, sample, **options)


@pytest.mark.parametrize("name", TRUNKS)
def test_built_in_trunks_pass(name):
    testing.check_trunk(*TRUNKS[name])


@pytest.mark.parametrize("name", SHARINGS)
def test_built_in_sharings_pass(name):
    testing.check_sharing(SHARINGS[name])


@pytest.mark.parametrize("name", LOSSES)
def test_built_in_losses_pass(name):
    testing.check_loss(LOSSES[name])


@pytest.mark.parametrize("name", METRICS)
def test_built_in_metrics_pass(name):
    testing.check_metric(*METRICS[name])


def test_check_layer_takes_images_of_floats_and_rank_three():
    testing.check_layer(layers.ScaleImage, IMAGES.astype("float32") / 255)
    stacked = np.stack([NUMBERS, 2 * NUMBERS], axis=1)
    testing.check_layer(lambda: layers.TaskDense(1, tasks=["a", "b"]), stacked)


@keras.saving.register_keras_serializable("tests")
class Forgetful(keras.layers.Layer):
    """Keeps its argument out of its config."""

    def __init__(self, factor=1.0, **kwargs):
        super().__init__(**kwargs)
        self.factor = factor

    def call(self, inputs):
        return self.factor * inputs

    def get_config(self):
        return super().get_config()


@keras.saving.register_keras_serializable("tests")
class WrongGradient(keras.layers.Layer):
    def call(self, inputs):
        return keras.ops.stop_gradient(inputs) * inputs


@keras.saving.register_keras_serializable("tests")
class Float32Only(keras.layers.Layer):
    def call(self, inputs):
        return keras.ops.cast(inputs, "float32")


@keras.saving.register_keras_serializable("tests")
class MeanPinball(keras.losses.Loss):
    """Reduces all tasks of a row to one number."""

    def call(self, y_true, y_pred):
        return keras.ops.mean(keras.ops.abs(y_true - y_pred), axis=(1, 2))


@keras.saving.register_keras_serializable("tests")
class LastBatch(keras.metrics.Metric):
    """Forgets all batches but the last."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.value = self.add_weight(initializer="zeros")

    def update_state(self, y_true, y_pred, sample_weight=None):
        del sample_weight
        self.value.assign(keras.ops.mean(keras.ops.abs(y_true - y_pred)))

    def result(self):
        return self.value


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (lambda: Forgetful(2.0), "a layer from its config"),
        (WrongGradient, "the gradient"),
        (Float32Only, "must be float16"),
    ],
)
def test_check_layer_finds(layer, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_layer(layer, NUMBERS)


def test_check_loss_finds_a_loss_that_mixes_tasks():
    with pytest.raises(AssertionError, match="one value a row and task"):
        testing.check_loss(MeanPinball())


def test_check_loss_finds_settings_that_are_not_in_the_config():
    # Keras 3.15.1 leaves `delta` out of the config of its Huber loss.
    with pytest.raises(AssertionError, match="a restored loss"):
        testing.check_loss(keras.losses.Huber(delta=0.05))


def test_check_metric_finds_a_metric_of_the_last_batch():
    labels = np.arange(4.0, dtype="float32")[:, None]
    with pytest.raises(AssertionError, match="two batches against one"):
        testing.check_metric(LastBatch, labels, 0 * labels)


def test_check_trunk_finds_a_layer_without_a_gradient():
    trunk = [keras.layers.Dense(4), keras.layers.Lambda(lambda x: 0.0 * x)]
    with pytest.raises(AssertionError, match="a gradient must reach"):
        testing.check_trunk(trunk, NUMBERS)


def test_check_sharing_finds_a_sharing_that_depends_on_the_order():
    def first_task_only(trunk, inputs, tasks):
        return keras.ops.multiply(trunk(inputs), 1.0 + (tasks[0].name == "click"))

    with pytest.raises(AssertionError, match="tasks in another order"):
        testing.check_sharing(first_task_only)


def test_check_sharing_finds_what_no_task_uses():
    def wasteful(trunk, inputs, tasks):
        del tasks
        unused = keras.layers.Dense(4)(inputs)
        return keras.ops.concatenate([trunk(inputs), 0.0 * unused], axis=-1)

    with pytest.raises(AssertionError, match="must reach the variable"):
        testing.check_sharing(wasteful)
