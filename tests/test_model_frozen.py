"""Frozen and absent tasks: slices and optimizer slots stay as they are."""

import keras
import numpy as np
import pytest
from small import (
    build,
    fit,
    head_slices,
    slow_but,
    some_inputs,
    some_labels,
    some_tasks,
)

from kmtl import BinaryTask, RegressionTask

K = keras.optimizers
OPTIMIZERS = {
    "momentum": lambda: K.SGD(0.1, momentum=0.9, nesterov=True),
    "adam": lambda: K.Adam(0.05, amsgrad=True),
    "adamw": lambda: K.AdamW(0.05, weight_decay=0.1),
    "rmsprop": lambda: K.RMSprop(0.05, momentum=0.5, centered=True),
}
every_optimizer = pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=slow_but(["momentum", "adamw"], n)) for n in OPTIMIZERS],
)
X = some_inputs()
Y = some_labels(some_tasks())


def slices_and_slots(model, task):
    """The head of a task, and what the optimizer keeps for it."""
    own = {
        v.path.replace("/", "_"): layer.tasks.index(task)
        for layer in model.layers
        if layer.name.startswith("head_") and task in layer.tasks
        for v in layer.trainable_variables
    }
    kept = [
        keras.ops.convert_to_numpy(slot)[index].copy()
        for slot in model.optimizer.variables
        for path, index in own.items()
        if slot.path.split("/")[-1].startswith(path) and len(slot.shape) > 0
    ]
    assert len(kept) >= len(own)
    return [w.copy() for w in head_slices(model, task)] + kept


def assert_equal(some, others):
    for one, other in zip(some, others, strict=True):
        np.testing.assert_array_equal(one, other)


@every_optimizer
def test_a_frozen_head_and_its_slots_do_not_move(name):
    model = build(some_tasks(), optimizer=OPTIMIZERS[name](), head_units=(5,))
    fit(model, X, Y)
    before = slices_and_slots(model, "buy")
    model.set_trainable("buy", False)
    fit(model, X, Y, epochs=2)
    assert_equal(before, slices_and_slots(model, "buy"))


@pytest.mark.parametrize("name", ["momentum", "adamw"])
def test_siblings_of_a_frozen_task_train_as_before(name):
    # A weight of 0 keeps the task's loss from the trunk, frozen or not.
    frozen, free = (
        build(some_tasks(), optimizer=OPTIMIZERS[name](), loss_weights={"buy": 0.0})
        for _ in range(2)
    )
    frozen.set_trainable("buy", False)
    fit(frozen, X, Y, epochs=2)
    fit(free, X, Y, epochs=2)
    assert_equal(frozen.encoder.get_weights(), free.encoder.get_weights())
    for task in ("click", "colour", "price"):
        assert_equal(head_slices(frozen, task), head_slices(free, task))


def test_the_loss_of_a_frozen_task_still_trains_the_trunk():
    model = build(some_tasks())
    model.set_trainable("buy", False)
    before = model.encoder.get_weights()
    fit(model, X, {"buy": Y["buy"]})
    assert not np.array_equal(before[0], model.encoder.get_weights()[0])


def test_an_unfrozen_task_trains_again():
    model = build(some_tasks())
    model.set_trainable("buy", False)
    fit(model, X, Y)
    before = head_slices(model, "buy")
    model.set_trainable("buy", True)
    fit(model, X, Y)
    assert not np.array_equal(before[0], head_slices(model, "buy")[0])


@pytest.mark.slow
def test_freezing_takes_effect_in_a_compiled_step():
    model = build(some_tasks(), optimizer=K.Adam(0.05))
    model.compile(run_eagerly=False, jit_compile=False)
    fit(model, X, Y)
    before = slices_and_slots(model, "buy")
    model.set_trainable("buy", False)
    fit(model, X, Y)
    assert_equal(before, slices_and_slots(model, "buy"))


def test_a_frozen_head_of_its_own_does_not_move():
    tasks = [BinaryTask("own", head=keras.layers.Dense(1)), BinaryTask("buy")]
    model = build(tasks, optimizer=K.Adam(0.05))
    y = {"own": Y["click"], "buy": Y["buy"]}
    fit(model, X, y)
    head = next(
        la for la in model.layers if type(la) is keras.layers.Dense and la.units == 1
    )
    before = head.get_weights()
    model.set_trainable("own", False)
    fit(model, X, y)
    assert_equal(before, head.get_weights())


def test_the_penalty_of_a_frozen_head_does_not_move_it():
    # Weight decay and momentum alone would.
    model = build([BinaryTask("a"), BinaryTask("b")], optimizer=OPTIMIZERS["adamw"]())
    model.set_trainable("a", False)
    before = head_slices(model, "a")
    fit(model, X, {"b": Y["buy"]}, epochs=3)
    assert_equal(before, head_slices(model, "a"))


@every_optimizer
def test_freeze_absent_holds_a_task_without_labels_in_the_batch(name):
    model = build(some_tasks(), optimizer=OPTIMIZERS[name]())
    model.compile(freeze_absent=True)
    fit(model, X, Y)
    before = slices_and_slots(model, "buy")
    others = {k: v for k, v in Y.items() if k != "buy"}
    fit(model, X, others)
    assert_equal(before, slices_and_slots(model, "buy"))
    fit(model, X, Y)
    assert not np.array_equal(before[0], head_slices(model, "buy")[0])


def test_freeze_absent_looks_at_each_batch():
    # Labels in the first of three batches only: one step, as if there were no others.
    model, once = (
        build([BinaryTask("a"), BinaryTask("b")], optimizer=K.SGD(0.1, momentum=0.9))
        for _ in range(2)
    )
    rare = np.where(np.arange(24) < 8, Y["buy"], np.nan)
    for each in (model, once):
        each.compile(freeze_absent=True)
    fit(model, X, {"a": Y["click"], "b": rare}, batch_size=8)
    fit(once, X[:8], {"a": Y["click"][:8], "b": Y["buy"][:8]}, batch_size=8)
    assert_equal(head_slices(model, "b"), head_slices(once, "b"))


def test_an_absent_task_moves_on_as_in_keras_unless_asked():
    model = build(some_tasks(), optimizer=K.SGD(0.1, momentum=0.9))
    fit(model, X, Y)
    before = head_slices(model, "buy")
    fit(model, X, {k: v for k, v in Y.items() if k != "buy"})
    assert not np.array_equal(before[0], head_slices(model, "buy")[0])


def test_full_labels_train_the_same_with_freeze_absent():
    plain, holding = (build(some_tasks(), optimizer=K.Adam(0.05)) for _ in range(2))
    holding.compile(freeze_absent=True)
    assert fit(plain, X, Y, epochs=2) == fit(holding, X, Y, epochs=2)
    assert_equal(plain.get_weights(), holding.get_weights())


def test_freezing_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match=r"unknown task.*'bye'.*Did you mean 'buy'"):
        build(some_tasks()).set_trainable("bye", False)


def test_a_frozen_task_is_still_measured():
    model = build([*some_tasks()[:1], RegressionTask("age")])
    model.set_trainable("age", False)
    logs = fit(model, X, {"click": Y["click"], "age": Y["price"]})
    assert np.isfinite(list(logs.values())).all()
