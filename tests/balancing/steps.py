"""Steps as balancing methods see them, made from arrays."""

import numpy as np
from keras import ops

from kmtl.balancing import Step
from kmtl.layers._per_task import derive_seed


def a_step(
    losses=None, *, gramian=None, present=None, names=None, epoch=0, number=0, **more
):
    """A step of tasks "a", "b", ...; whose losses are 1 unless given."""
    count = len(losses if losses is not None else gramian)
    names = [chr(97 + i) for i in range(count)] if names is None else names
    present = np.ones(count) if present is None else np.asarray(present, "float64")
    losses = np.ones(count) if losses is None else np.asarray(losses, "float64")
    if gramian is not None:
        gramian = np.asarray(gramian, "float64") * np.outer(present, present)
        gramian = ops.convert_to_tensor(gramian)
    return Step(
        losses=ops.convert_to_tensor(losses * present),
        present=ops.convert_to_tensor(present),
        epoch=ops.convert_to_tensor(epoch, "int32"),
        number=ops.convert_to_tensor(number, "int32"),
        keys=ops.convert_to_tensor([derive_seed(0, name) for name in names], "int64"),
        gramian=gramian,
        **more,
    )


def state_of(method, count):
    """The state of a method before the first step of a model of `count` tasks."""
    names = [chr(97 + i) for i in range(count)]
    initial = method.initial_state([_Named(name) for name in names])
    return {key: ops.convert_to_tensor(value) for key, value in initial.items()}


class _Named:
    """A task of which a method sees the name alone."""

    def __init__(self, name):
        self.name = name
