"""What tests of balanced models share."""

import keras
import numpy as np
import pytest
from small import build, head_slices, slow_but, some_inputs, some_labels, some_tasks

from kmtl import balancing

TASKS = some_tasks(metrics=[])  # without metrics an eager step is twice as fast
X = some_inputs()
Y = some_labels(TASKS)
BASES = {"Balancing", "GradientBalancing", "LossBalancing", "State", "Step"}
# With more to remember after few steps than by default.
SETTINGS = {"STCH": {"warmup_epochs": 0}, "DWA": {"temperature": 0.1}}
METHODS = {
    name: getattr(balancing, name)(**SETTINGS.get(name, {}))
    for name in balancing.__all__
    if name not in BASES
}
BY_GRADIENTS = {
    name: method
    for name, method in METHODS.items()
    if isinstance(method, balancing.GradientBalancing)
}
# Those of the default suite: each kind of state, and a solver.
QUICK = ("FAMO", "GradVac", "NormalizedLosses", "UPGrad")


every_method = pytest.mark.parametrize(
    "name", [pytest.param(name, marks=slow_but(QUICK, name)) for name in METHODS]
)


def balanced(method, tasks=TASKS, **options):
    return build(tasks, balancing=method, **options)


def train(model, *, steps=2, x=X, y=Y):
    """Takes steps on the labels of the model's tasks, then ends an epoch."""
    labels = {name: y[name] for name in model.task_names if name in y}
    for step in range(steps):
        rows = slice(8 * step, 8 * step + 12)
        part = {name: values[rows] for name, values in labels.items()}
        model.train_on_batch(x[rows], part)
    if model.balancing_state is not None:
        model.balancing_state.epoch.assign_add(1)


def state_of(model):
    """All that the method remembers, by name."""
    state = model.balancing_state
    if state is None:
        return {}
    known = {"weights": state.weights_of_tasks, **state.values}
    arrays = {name: keras.ops.convert_to_numpy(v) for name, v in known.items()}
    if state.constant_losses is not None:
        sums = state.constant_losses.sums_by_task()
        rows = [np.pad(sums[n], (0, 9 - len(sums[n]))) for n in state.task_names]
        arrays["sums"] = np.stack(rows)  # as many columns for each kind of task
    return arrays


def rows_of(model, names):
    """What the method remembers of some tasks alone."""
    tasks = model.task_names
    places = [tasks.index(name) for name in names]
    return {
        name: array[np.ix_(*[places] * (2 if array.shape == (len(tasks),) * 2 else 1))]
        for name, array in state_of(model).items()
    }


def all_of(model, name):
    """What the method remembers of a task, and of it beside others."""
    tasks = model.task_names
    place = tasks.index(name)
    return {
        key: (array[place], array[:, place] if array.shape == (len(tasks),) * 2 else ())
        for key, array in state_of(model).items()
    }


def assert_same_rows(model, other, names, **tolerance):
    ours, theirs = rows_of(model, names), rows_of(other, names)
    assert ours.keys() == theirs.keys()
    for name, array in ours.items():
        np.testing.assert_allclose(array, theirs[name], err_msg=name, **tolerance)


def assert_same_training(model, other, names, **tolerance):
    """Compares what tasks share, and the heads of some of them."""
    for ours, theirs in _shared_weights(model, other):
        np.testing.assert_allclose(ours, theirs, **tolerance)
    for name in names:
        pairs = zip(head_slices(model, name), head_slices(other, name), strict=True)
        for ours, theirs in pairs:
            np.testing.assert_allclose(ours, theirs, err_msg=name, **tolerance)
        np.testing.assert_allclose(model(X)[name], other(X)[name], **tolerance)


def _shared_weights(model, other):
    """Pairs of weights of the encoders; towers by task differ in their number."""
    pairs = zip(model.encoder.get_weights(), other.encoder.get_weights(), strict=True)
    return [(ours, theirs) for ours, theirs in pairs if ours.shape == theirs.shape]
