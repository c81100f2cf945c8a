"""`check_balancing`: what a method that weighs the tasks of a step must keep."""

import json
from collections.abc import Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.balancing import Balancing, GradientBalancing, LossBalancing, State, Step
from kmtl.layers._per_task import derive_seed
from kmtl.tasks import BinaryTask
from kmtl.testing import _assertions as check

_Batch: TypeAlias = dict[str, Any]  # arrays with a row a task

_DIMENSIONS = 8
_STEPS = 3
# Lengths of gradients, and losses beside them.
_SCALES = [(0.0, 1.0), (1e-10, 1e15), (1e-5, 1e-10), (1.0, 1e5), (1e5, 1e-5)]
_SCALES += [(1e10, 1e10), (1e15, 0.0), (1.0, -1.0)]


def check_balancing(
    method: Balancing, *, task_counts: Sequence[int] = (1, 2, 5), xla: bool = True
) -> None:
    """Checks a method that weighs tasks by their losses or gradients.

    * the weights are floats of shape `(tasks,)`, and a step keeps the names, shapes and
      dtypes of the state, whose first axis is that of tasks;
    * weights and state stay finite for Gramians of all ranks, for gradients of scales
      from 1e-10 to 1e15 and 0, for losses of such scales, of 0 and below, and however
      many tasks count;
    * the order of the tasks changes nothing but the order of the weights;
    * beside a task that does not count the others have the weights, and the state, that
      they have without it, over several steps;
    * one task that counts has weight 1 (`GradientBalancing`);
    * the config goes through JSON and back, gives the same method;
    * XLA computes what eager mode does, and several steps are traced once.

    Args:
        method: The method. Its settings must not depend on the names of tasks.
        task_counts: With how many tasks it is tried.
        xla: Whether it is compiled too, which takes most of the time.

    Raises:
        AssertionError: If a property does not hold.

    Example:
        >>> import kmtl
        >>> kmtl.testing.check_balancing(kmtl.balancing.GLS())
    """
    for count in task_counts:
        _check_step(method, count)
        _check_finite(method, count)
        if isinstance(method, GradientBalancing):
            _check_one_task(method, count)
        if count > 1:
            order, some = np.roll(np.arange(count), 1), np.arange(1, count)
            _check_model_of(method, count, order, "with the tasks in another order")
            _check_model_of(method, count, some, "without a task that does not count")
    _check_config(method, max(task_counts))
    if xla:
        _check_xla(method, max(task_counts))


def _check_step(method: Balancing, count: int) -> None:
    state = _initial_state(method, count)
    for name, value in state.items():
        what = f"the first axis of the state {name!r} must be that of {count} tasks"
        shape = tuple(value.shape)
        check.require(shape[:1] == (count,), f"{what}. Received: shape {shape}.")
    weights, _ = _advance(method, _draw(count), state)
    received = f"{tuple(weights.shape)}, {weights.dtype.name}"
    check.require(
        tuple(weights.shape) == (count,) and weights.dtype.is_floating,
        f"the weights must be floats of shape {(count,)}. Received: {received}.",
    )


def _check_finite(method: Balancing, count: int) -> None:
    cases = [(rank, scales, 0) for rank in range(1, count + 1) for scales in _SCALES]
    mixed = np.resize(_SCALES, (count, 2)).T
    cases += [(count, mixed, absent) for absent in range(count + 1)]
    state = _initial_state(method, count)
    for number, (rank, scales, absent) in enumerate(cases):
        batch = _draw(count, number, rank=rank, scales=scales)
        batch["present"][:absent] = 0
        weights, state = _advance(method, batch, state, number)
        case = f"{count} tasks, {absent} of them absent (gradients of rank {rank} and "
        case += f"scale {scales[0]}, losses of scale {scales[1]})"
        check.assert_finite(weights[absent:], f"the weights of {case}")
        check.assert_finite(state, f"the state of {case}")


def _check_one_task(method: Balancing, count: int) -> None:
    batch = _draw(count)
    batch["present"][1:] = 0
    weights, _ = _advance(method, batch, _initial_state(method, count))
    what = "the weight of the only task that counts"
    check.assert_close(float(weights[0]), 1.0, what)


def _check_model_of(
    method: Balancing, count: int, rows: np.ndarray, which: str
) -> None:
    """Compares with a model that has only these tasks, in this order."""
    absent = np.setdiff1d(np.arange(count), rows)
    for first in (0, 1):  # absent from the start, and after a step
        state = _initial_state(method, count)
        if first:
            _, state = _advance(method, _draw(count), state)
        part = _part(method, state, rows)
        for number in range(first, first + _STEPS):
            batch = _draw(count, number)
            batch["present"][absent] = 0
            weights, state = _advance(method, batch, state, number)
            batch = {name: array[rows] for name, array in batch.items()}
            expected, part = _advance(method, batch, part, number)
            actual = tf.gather(weights, rows)
            check.assert_close(actual, expected, f"the weights {which}", rtol=1e-4)
        actual = _part(method, state, rows)
        check.assert_close(actual, part, f"the state {which}", rtol=1e-4)


def _check_config(method: Balancing, count: int) -> None:
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(method)))
    restored = keras.saving.deserialize_keras_object(config)
    again = json.loads(json.dumps(keras.saving.serialize_keras_object(restored)))
    what = "a restored method must have the same config"
    check.require(again == config, f"{what}. Received: {config} and {again}.")
    state = _initial_state(method, count)
    results = [_advance(m, _draw(count), state) for m in (method, restored)]
    check.assert_equal(*results, "a restored method")


def _check_xla(method: Balancing, count: int) -> None:
    traces = []

    @tf.function(jit_compile=True, autograph=False)  # as Keras does
    def compiled(batch: _Batch, state: State, number: Tensor) -> tuple[Tensor, State]:
        traces.append(number)
        return _advance(method, batch, state, number)

    state = _initial_state(method, count)
    for number in range(_STEPS):
        batch = check.tensors_of(_draw(count, number))
        actual = compiled(batch, state, tf.constant(number))
        expected = _advance(method, batch, state, number)
        check.assert_close(actual, expected, "XLA", rtol=1e-4)
        _, state = expected
    check.require(len(traces) == 1, f"steps must be traced once: {len(traces)}.")


def _draw(
    count: int, seed: int = 0, *, rank: int = _DIMENSIONS, scales: Any = (1.0, 1.0)
) -> _Batch:
    """Draws what happens in a step, for each task."""
    rng = np.random.default_rng(seed)
    gradients = rng.normal(size=(count, rank)) @ rng.normal(size=(rank, _DIMENSIONS))
    losses = np.reshape(scales[1], (-1, 1)) * rng.uniform(0.5, 2.0, (count, 3))
    return {
        "keys": np.array([derive_seed("balancing", f"task_{i}") for i in range(count)]),
        "present": np.ones(count),
        "gradients": np.reshape(scales[0], (-1, 1)) * gradients,
        "losses": losses,  # now, after the step, and of constants
    }


def _advance(
    method: Balancing, batch: _Batch, state: State, number: Any = 0
) -> tuple[Tensor, State]:
    """Makes a step as a model does: the weights, and the state after it."""
    batch = check.tensors_of(batch)
    present = batch["present"]
    losses, later, constants = tf.unstack(batch["losses"] * present[:, None], axis=1)
    by_losses = isinstance(method, LossBalancing)
    asks = by_losses and method.sees_constant_losses
    gradients = batch["gradients"] * present[:, None]
    step = Step(
        losses=losses,
        present=present,
        epoch=tf.cast(number, "int32") // 2,
        number=tf.cast(number, "int32"),
        keys=batch["keys"],
        gramian=None if by_losses else gradients @ tf.transpose(gradients),
        constant_losses=constants if asks else None,
    )
    weights, new = method(step, state)
    state = _kept(present, new, state)
    if by_losses and method.sees_losses_after:
        state = _kept(present, method.after(step, later, state), state)
    return weights, state


def _kept(present: Tensor, new: State, old: State) -> State:
    """The new state of the tasks that count, and the old one of the others."""
    before, after = ({k: (v.shape, v.dtype) for k, v in s.items()} for s in (old, new))
    what = "a step must keep the names, shapes and dtypes of the state"
    check.require(after == before, f"{what}. Received: {after}, not {before}.")
    return {
        name: tf.where(
            tf.reshape(present > 0, (-1, *[1] * (len(v.shape) - 1))), v, old[name]
        )
        for name, v in new.items()
    }


def _initial_state(method: Balancing, count: int) -> State:
    state = method.initial_state([BinaryTask(f"task_{i}") for i in range(count)])
    return {name: tf.constant(np.asarray(value)) for name, value in state.items()}


def _part(method: Balancing, state: State, rows: np.ndarray) -> State:
    """The state as a model of these tasks alone would hold it."""
    count = next((len(v) for v in state.values()), 0)
    more = _initial_state(method, count + 1)
    # Other axes that grow with the tasks are theirs too: a number for each pair.
    axes = {k: np.flatnonzero(np.subtract(more[k].shape, state[k].shape)) for k in more}
    for name, own in axes.items():
        for axis in own:
            state = state | {name: tf.gather(state[name], rows, axis=axis)}
    return state
