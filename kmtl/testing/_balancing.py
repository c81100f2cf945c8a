"""`check_balancing`: what a method that weighs the tasks of a step must keep."""

import json
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.balancing import Balancing, GradientBalancing, State
from kmtl.testing import _assertions as check
from kmtl.testing._balanced_steps import Batch, Steps, draw

_STEPS = 3
# Of gradients, and of losses beside them.
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
    steps = Steps(method)
    for count in task_counts:
        _check_step(steps, count)
        _check_finite(steps, count)
        if isinstance(method, GradientBalancing):
            _check_one_task(steps, count)
        if count > 1:
            order, some = np.roll(np.arange(count), 1), np.arange(1, count)
            _check_model_of(steps, count, order, "with the tasks in another order")
            _check_model_of(steps, count, some, "without a task that does not count")
    _check_config(steps, max(task_counts))
    if xla:
        _check_xla(steps, max(task_counts))


def _check_step(steps: Steps, count: int) -> None:
    state = steps.initial_state(count)
    for name, value in state.items():
        what = f"the first axis of the state {name!r} must be that of {count} tasks"
        shape = tuple(value.shape)
        check.require(shape[:1] == (count,), f"{what}. Received: shape {shape}.")
    weights, _ = steps(draw(count), state)
    received = f"{tuple(weights.shape)}, {weights.dtype.name}"
    check.require(
        tuple(weights.shape) == (count,) and weights.dtype.is_floating,
        f"the weights must be floats of shape {(count,)}. Received: {received}.",
    )


def _check_finite(steps: Steps, count: int) -> None:
    cases: list[Any] = [
        (rank, scales, 0) for rank in range(1, count + 1) for scales in _SCALES
    ]
    mixed = np.resize(_SCALES, (count, 2)).T
    cases += [(count, mixed, absent) for absent in range(count + 1)]
    state = steps.initial_state(count)
    for number, (rank, scales, absent) in enumerate(cases):
        batch = draw(count, number, rank=rank, scales=scales)
        batch["present"][:absent] = 0
        weights, state = steps(batch, state, number)
        case = f"{count} tasks, {absent} of them absent (gradients of rank {rank} and "
        case += f"scale {scales[0]}, losses of scale {scales[1]})"
        check.assert_finite(weights[absent:], f"the weights of {case}")
        check.assert_finite(state, f"the state of {case}")


def _check_one_task(steps: Steps, count: int) -> None:
    batch = draw(count)
    batch["present"][1:] = 0
    weights, _ = steps(batch, steps.initial_state(count))
    what = "the weight of the only task that counts"
    check.assert_close(float(weights[0]), 1.0, what)


def _check_model_of(steps: Steps, count: int, rows: np.ndarray, which: str) -> None:
    """Compares with a model that has only these tasks, in this order."""
    absent = np.setdiff1d(np.arange(count), rows)
    for first in (0, 1):  # absent from the start, and after a step
        state = steps.initial_state(count)
        if first:
            _, state = steps(draw(count), state)
        part = steps.part(state, count, rows)
        for number in range(first, first + _STEPS):
            batch = draw(count, number)
            batch["present"][absent] = 0
            weights, state = steps(batch, state, number)
            batch = {name: array[rows] for name, array in batch.items()}
            expected, part = steps(batch, part, number)
            actual = tf.gather(weights, rows)
            check.assert_close(actual, expected, f"the weights {which}", rtol=1e-4)
        actual = steps.part(state, count, rows)
        check.assert_close(actual, part, f"the state {which}", rtol=1e-4)


def _check_config(steps: Steps, count: int) -> None:
    config = json.loads(json.dumps(keras.saving.serialize_keras_object(steps.method)))
    restored = keras.saving.deserialize_keras_object(config)
    again = json.loads(json.dumps(keras.saving.serialize_keras_object(restored)))
    what = "a restored method must have the same config"
    check.require(again == config, f"{what}. Received: {config} and {again}.")
    given = check.tensors_of(draw(count)), steps.initial_state(count), tf.constant(0)
    one, other = steps.eager(*given), Steps(restored).eager(*given)
    check.assert_equal(other, one, "a restored method")


def _check_xla(steps: Steps, count: int) -> None:
    traces = []

    @tf.function(jit_compile=True, autograph=False)  # as Keras does
    def compiled(batch: Batch, state: State, number: Tensor) -> tuple[Tensor, State]:
        traces.append(number)
        return steps.eager(batch, state, number)

    state = steps.initial_state(count)
    for number in range(_STEPS):
        given = check.tensors_of(draw(count, number)), state, tf.constant(number)
        expected = steps.eager(*given)
        check.assert_close(compiled(*given), expected, "XLA", rtol=1e-4)
        _, state = expected
    check.require(len(traces) == 1, f"steps must be traced once: {len(traces)}.")
