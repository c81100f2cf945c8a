"""The gradients of tasks by the plainest way: one backward pass a task."""

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

import kmtl
from kmtl.balancing import GradientBalancing
from kmtl.layers import StackedLayer

WEIGHTS = (0.5, 2.0, -0.25, 1.5, 3.0)


@keras.saving.register_keras_serializable(package="tests")
@dataclass(frozen=True)
class Watch(GradientBalancing):
    """Gives tasks the weights of `WEIGHTS`, and remembers the Gramian."""

    def initial_state(self, tasks):
        return {"gramian": np.zeros((len(tasks), len(tasks)))}

    def __call__(self, step, state):
        del state
        weights = np.resize(WEIGHTS, step.keys.shape[0])
        return ops.convert_to_tensor(weights), {"gramian": step.gramian}


@dataclass(frozen=True)
class Step:
    """What a step of SGD with rate 1 took off each weight, and the Gramian."""

    update: list[np.ndarray]
    gramian: np.ndarray


@dataclass(frozen=True)
class Loop:
    """The gradients `(tasks, ...)` of each weight, and which slices tasks share."""

    gradients: list[np.ndarray]
    shared: list[np.ndarray]

    def gramian(self, factors=1.0):
        """Inner products of the gradients of the shared weights."""
        parts = [
            np.where(shared, gradient, 0).reshape(len(gradient), -1)
            for gradient, shared in zip(self.gradients, self.shared, strict=True)
        ]
        rows = np.concatenate(parts, axis=1) * np.reshape(factors, (-1, 1))
        return rows @ rows.T

    def update(self, weights=None, factors=1.0):
        """Weighted gradients of shared weights, plain ones of the others."""
        weights = np.resize(WEIGHTS, len(self.gradients[0])) * factors
        plain = np.ones_like(weights) * factors
        return [
            np.where(shared, np.tensordot(weights, g, 1), np.tensordot(plain, g, 1))
            for g, shared in zip(self.gradients, self.shared, strict=True)
        ]


def loop(model, x, y, *, own=(), rows=None):
    """Takes the gradients of all tasks at one forward pass; leaves the model as it was.

    Tasks share a weight, or a slice of a stack, if the losses of two depend on it; but
    not those of the layers named in `own`. `rows` are weights of rows, by task name.
    """
    values = [v.value for v in model.trainable_variables]
    gradients = _by_task(model, x, y, lambda _: values, rows or {})
    stacked = {id(w) for layer in _stacks(model) for w in layer.weights}
    first = [2 if id(v) in stacked else 1 for v in model.trainable_variables]
    shared = map(_shared, gradients, first)
    of_own = [v.path.split("/")[0] in own for v in model.trainable_variables]
    shared = [one & (not is_own) for one, is_own in zip(shared, of_own, strict=True)]
    return Loop(gradients, shared)


def loop_at_tensors(model, x, y):
    """The Gramian at the last tensors that tasks share, by a loop over the tasks."""
    gradients = _by_task(model, x, y, lambda tensors: tensors, {})
    rows = np.concatenate([g.reshape(len(g), -1) for g in gradients], axis=1)
    return rows @ rows.T


def _by_task(model, x, y, sources, weights):
    """Gradients `(tasks, ...)` by what `sources` picks, given the shared tensors."""
    variables = model.non_trainable_variables
    before = [ops.copy(v) for v in variables]
    inner = keras.Model(model.input, [model.shared_tensors, model.output])
    with tf.GradientTape(persistent=True) as tape:
        tensors, outputs = inner(x, training=True)
        losses = [
            tf.reduce_sum(one * _normalised(weights.get(task.name, 1.0), one))
            for task in model.tasks
            for one in [_losses(task, y[task.name], outputs[task.name])]
        ]
    of = sources(tensors)
    rows = [tape.gradient(one, of, unconnected_gradients="zero") for one in losses]
    for variable, value in zip(variables, before, strict=True):
        variable.assign(value)
    return [
        np.stack([ops.convert_to_numpy(tf.convert_to_tensor(g)) for g in column])
        for column in zip(*rows, strict=True)
    ]


def one_step(model, x, y, **options):
    """Takes a step of SGD with rate 1, and reads the Gramian of `Watch`."""
    before = [ops.copy(v) for v in model.trainable_variables]
    rows = len(next(iter(y.values())))
    model.fit(x, y, batch_size=rows, shuffle=False, verbose=0, **options)
    update = [
        ops.convert_to_numpy(old - new)
        for old, new in zip(before, model.trainable_variables, strict=True)
    ]
    return Step(update, ops.convert_to_numpy(model.balancing_state.values["gramian"]))


def watched(tasks, *, at, inputs=(4,), seed=0, move=True, **options) -> Any:
    """Builds a model that `Watch` balances, with weights off their initial values."""
    keras.utils.set_random_seed(seed)
    model = kmtl.build_mtl_model(
        inputs, tasks, **{"optimizer": keras.optimizers.SGD(1.0), **options}
    )
    model.compile(balancing=Watch(at=at), run_eagerly=True)
    if move:
        rng = np.random.default_rng(seed)
        for variable in model.trainable_variables:
            drawn = rng.normal(scale=0.3, size=variable.shape)
            variable.assign(ops.convert_to_numpy(variable) + drawn)
    return model


def assert_same_step(actual, expected, *, rtol=1e-6):
    """Compares Gramians and updates; what is 0 has the rounding of what is not."""
    # Where terms cancel: nearly, or to nothing, as those of the key bias of attention.
    atol = 0.1 * rtol * max(np.abs(values).max() for values in expected.update)
    np.testing.assert_allclose(actual.gramian, expected.gramian, rtol, atol**2)
    for ours, theirs in zip(actual.update, expected.update, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol, atol)


def _losses(task, label, output):
    """The formulas of the losses, one a row, in place of those of Keras."""
    label = np.asarray(label)
    if isinstance(task, kmtl.RegressionTask):
        return (output[:, 0] - label) ** 2
    if isinstance(task, kmtl.MulticlassTask):
        return -tf.math.log(tf.gather(output, label.astype(int), axis=1, batch_dims=1))
    return -tf.math.log(tf.where(label > 0, output[:, 0], 1 - output[:, 0]))


def _normalised(weights, losses):
    weights = np.broadcast_to(weights, losses.shape)
    return weights / weights.sum()


def _shared(gradient, first):
    reached = np.any(gradient != 0, axis=tuple(range(first, gradient.ndim)))
    shape = (*reached.shape[1:], *(1,) * (gradient.ndim - first))
    return (reached.sum(axis=0) > 1).reshape(shape)


def _stacks(layer):
    """The stacked layers of a model, those of models inside it too."""
    found = [layer] if isinstance(layer, StackedLayer) else []
    return found + [s for inner in getattr(layer, "layers", []) for s in _stacks(inner)]
