"""The public checks find what breaks a rule."""

from dataclasses import dataclass

import keras
import numpy as np
import pytest
from keras import ops

from kmtl import regularizers, testing
from kmtl.balancing import GradientBalancing, LossBalancing

NUMBERS = np.random.default_rng(0).normal(size=(3, 4)).astype("float32")


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
class NaiveGroups(regularizers.TaskRegularizer):
    """Has no gradient where tasks are zero."""

    def penalty(self, weights):
        return keras.ops.sum(keras.ops.norm(weights, axis=0))


@keras.saving.register_keras_serializable("tests")
class TooShort(regularizers.ProximalRegularizer):
    """A gradient step in place of a proximal one."""

    def penalty(self, weights):
        return keras.ops.sum(keras.ops.square(weights))

    def proximal(self, weights, step):
        return weights - 2 * step * weights


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


class ByPlace(LossBalancing):
    """The first task is worth more."""

    def __call__(self, step, state):
        return 1 / ops.arange(1, 1 + step.losses.shape[0], dtype="float64"), state


class MeanOfAll(LossBalancing):
    """Divides by the mean loss of all tasks, absent ones too."""

    def __call__(self, step, state):
        return step.losses / (1 + ops.mean(ops.abs(step.losses))), state


class Slowing(LossBalancing):
    """Counts the steps in which any task was there."""

    def initial_state(self, tasks):
        return {"steps": np.zeros(len(tasks))}

    def __call__(self, step, state):
        steps = state["steps"] + 1
        total = ops.sum(steps)
        return step.present / total, {"steps": steps}


class Growing(LossBalancing):
    """Keeps all losses."""

    def initial_state(self, tasks):
        return {"history": np.zeros((len(tasks), 0))}

    def __call__(self, step, state):
        history = [state["history"], step.losses[:, None]]
        return step.present, {"history": ops.concatenate(history, axis=1)}


class Total(LossBalancing):
    """One weight for all tasks."""

    def __call__(self, step, state):
        return ops.sum(step.losses), state


class ByTotal(LossBalancing):
    """Keeps one number for all tasks."""

    def initial_state(self, tasks):
        del tasks
        return {"total": np.zeros(())}

    def __call__(self, step, state):
        return step.present, {"total": state["total"] + ops.sum(step.losses)}


class Unguarded(GradientBalancing):
    """Divides by the lengths of gradients."""

    def __call__(self, step, state):
        return 1 / ops.sqrt(ops.diagonal(step.gramian)), state


class Shares(GradientBalancing):
    """Weights of all tasks sum to 1, whoever counts."""

    def __call__(self, step, state):
        return ops.ones_like(step.losses) / step.losses.shape[0], state


@keras.saving.register_keras_serializable("tests")
@dataclass(frozen=True)
class Amnesic(LossBalancing):
    """Keeps its setting out of its config."""

    factor: float = 1.0

    def __call__(self, step, state):
        return self.factor * ops.ones_like(step.losses), state

    def get_config(self):
        return {}


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


def test_check_regularizer_finds_a_gradient_that_is_no_number():
    with pytest.raises(AssertionError, match="the gradient at zero must be finite"):
        testing.check_regularizer(NaiveGroups())


def test_check_regularizer_finds_a_step_that_is_not_the_best():
    with pytest.raises(AssertionError, match="must be the best point"):
        testing.check_regularizer(TooShort())


def test_check_metric_finds_a_metric_of_the_last_batch():
    labels = np.arange(4.0, dtype="float32")[:, None]
    with pytest.raises(AssertionError, match="two batches against one"):
        testing.check_metric(LastBatch, labels, 0 * labels)


def test_check_trunk_finds_a_layer_without_a_gradient():
    trunk = [keras.layers.Dense(4), keras.layers.Lambda(lambda x: 0.0 * x)]
    with pytest.raises(AssertionError, match="a gradient must reach"):
        testing.check_trunk(trunk, NUMBERS)


def test_check_trunk_gives_units_that_are_off_another_chance():
    start = keras.initializers.Constant(-1.0)
    off = keras.layers.Dense(2, activation="relu", kernel_initializer=start)
    testing.check_trunk([off], np.ones((2, 3), "float32"))
    np.testing.assert_array_equal(off.kernel, -np.ones((3, 2)))


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


@pytest.mark.parametrize(
    ("method", "message"),
    [
        (ByPlace(), "in another order"),
        (MeanOfAll(), "without a task that does not count"),
        (Slowing(), "without a task that does not count"),
        (Growing(), "must keep the names, shapes and dtypes of the state"),
        (Total(), "must be floats of shape"),
        (ByTotal(), "the first axis of the state 'total'"),
        (Unguarded(), "the weights of 2 tasks, 0 of them absent .* must be finite"),
        (Shares(), "the only task that counts"),
        (Amnesic(factor=2.0), "a restored method"),
    ],
)
def test_check_balancing_finds(method, message):
    with pytest.raises(AssertionError, match=message):
        testing.check_balancing(method, task_counts=(2,), xla=False)
