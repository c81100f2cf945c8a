"""Loss weights change while training, without a recompile."""

import numpy as np
import pytest
from small import build, evaluate, fit, some_inputs, some_labels, some_tasks

from kmtl import BinaryTask
from kmtl.callbacks import LossWeightSchedule

X, Y = some_inputs(), some_labels(some_tasks())


def assert_equal_weights(model, other):
    names = model.encoder.get_weights(), other.encoder.get_weights()
    for ours, theirs in zip(*names, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("run_eagerly", [True, False])
def test_assigned_weights_train_as_compiled_ones(run_eagerly):
    given = build(some_tasks(), loss_weights={"buy": 0.25, "click": 3.0})
    assigned = build(some_tasks())
    for model in (given, assigned):
        model.compile(run_eagerly=run_eagerly, jit_compile=False)
    start = assigned.get_weights()
    fit(assigned, X, Y)  # traced with other weights
    assigned.set_weights(start)
    assigned.loss_weights["buy"] = 0.25
    assigned.loss_weights["click"] = 3.0
    assert fit(assigned, X, Y) == fit(given, X, Y)
    assert_equal_weights(assigned, given)


def test_weights_of_the_tasks_are_the_start():
    tasks = [BinaryTask("a", loss_weight=0.5), BinaryTask("b")]
    assert dict(build(tasks).loss_weights) == {"a": 0.5, "b": 1.0}
    both = build(tasks, loss_weights={"b": 0.25})
    assert dict(both.loss_weights) == {"a": 0.5, "b": 0.25}


def test_assigning_a_dict_keeps_the_others():
    model = build(some_tasks())
    model.loss_weights = {"buy": 0.5}
    assert dict(model.loss_weights) == {
        "click": 1.0,
        "colour": 1.0,
        "price": 1.0,
        "buy": 0.5,
    }
    assert repr(model.loss_weights) == repr(dict(model.loss_weights))


def test_a_schedule_equals_compiling_anew_each_epoch():
    weights = [{"buy": 0.0}, {"buy": 2.0, "click": 0.5}, {"buy": 1.0}]
    scheduled, by_hand = build(some_tasks()), build(some_tasks())
    fit(scheduled, X, Y, epochs=3, callbacks=[LossWeightSchedule(weights.__getitem__)])
    for each in weights:
        by_hand.compile(loss_weights=each)
        fit(by_hand, X, Y)
    assert_equal_weights(scheduled, by_hand)
    expected = {"click": 0.5, "colour": 1.0, "price": 1.0, "buy": 1.0}
    assert dict(scheduled.loss_weights) == expected


def test_the_logged_total_follows_the_weights():
    model = build(some_tasks())
    model.loss_weights = dict.fromkeys(model.task_names, 0.0)
    assert evaluate(model, X, Y)["loss"] == 0.0


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, "much", True])
def test_wrong_weights_are_refused(value):
    model = build(some_tasks())
    with pytest.raises(ValueError, match=r"loss_weights\['buy'\]"):
        model.loss_weights["buy"] = value


def test_an_unknown_task_is_refused():
    model = build(some_tasks())
    for use in (
        lambda: model.loss_weights["bye"],
        lambda: model.compile(loss_weights={"bye": 1.0}),
        lambda: build(some_tasks(), loss_weights={"bye": 1.0}),
    ):
        with pytest.raises(ValueError, match=r"'bye'.*Did you mean 'buy'"):
            use()


def test_a_schedule_must_be_a_function():
    with pytest.raises(TypeError, match="`schedule` must be a function"):
        LossWeightSchedule({"buy": 1.0})


def test_a_schedule_that_names_an_unknown_task_is_refused():
    schedule = LossWeightSchedule(lambda _: {"bye": 1.0})
    with pytest.raises(ValueError, match="Did you mean 'buy'"):
        fit(build(some_tasks()), X, Y, callbacks=[schedule])
