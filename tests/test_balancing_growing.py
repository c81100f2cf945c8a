"""Tasks come and go under a balancing method: the others keep what it remembers."""

import numpy as np
import pytest
from balanced import (
    METHODS,
    TASKS,
    Y,
    assert_same_rows,
    balanced,
    rows_of,
    state_of,
    train,
)
from growing import NEW, assert_kept, assert_same_state
from small import head_slices, slow_but

import kmtl
from kmtl import BinaryTask, balancing, sharing
from kmtl.balancing import FAMO, UPGrad

NAMES = [task.name for task in TASKS]
WITH_STATE = [name for name, method in METHODS.items() if method.initial_state(TASKS)]


def counters_of(model):
    state = model.balancing_state
    return int(state.epoch), int(state.number)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=slow_but(["GradVac", "NormalizedLosses"], name))
        for name in [*WITH_STATE, "NormalizedLosses"]
    ],
)
def test_a_new_task_starts_afresh_beside_the_others_and_can_go_again(name):
    model = balanced(METHODS[name])
    train(model)
    larger = kmtl.add_task(model, BinaryTask("new", metrics=[]), train="all")
    fresh = balanced(METHODS[name], [*TASKS, BinaryTask("new", metrics=[])])
    assert larger.balancing == METHODS[name]
    assert_same_rows(larger, model, NAMES)
    assert_same_rows(larger, fresh, ["new"])
    assert counters_of(larger) == counters_of(model) == (1, 2)
    restored = kmtl.remove_task(larger, "new")
    np.testing.assert_equal(state_of(restored), state_of(model))
    assert_same_state(restored, model)
    for each in (model, restored):
        train(each)
    np.testing.assert_equal(state_of(restored), state_of(model))
    train(larger, y={**Y, **NEW})
    assert all(np.isfinite(weight).all() for weight in larger.get_weights())


def test_settings_of_a_task_go_with_it():
    method = FAMO(min_losses={"buy": 0.1, "price": 0.01})
    model = balanced(method)
    train(model)
    smaller = kmtl.remove_task(model, "buy")
    assert smaller.balancing == FAMO(min_losses={"price": 0.01})
    assert model.balancing == method
    assert_same_rows(smaller, model, smaller.task_names)
    np.testing.assert_equal(rows_of(smaller, ["price"])["min_losses"], [0.01])
    one = kmtl.remove_task(kmtl.remove_task(smaller, "price"), "click")
    assert one.balancing == FAMO(min_losses={})
    train(one)


@pytest.mark.slow
def test_a_new_head_alone_is_trained_beside_a_method():
    model = balanced(UPGrad())
    train(model)
    larger = kmtl.add_task(model, BinaryTask("new", metrics=[]))
    before = head_slices(larger, "new")[0]
    train(larger, y={**Y, **NEW})
    assert_kept(model, larger)
    assert not np.array_equal(head_slices(larger, "new")[0], before)


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", [sharing.MMoE(experts=3), sharing.CGC(), sharing.CrossStitch()], ids=repr
)
def test_tasks_come_and_go_under_other_sharings(kind):
    model = balanced(balancing.GradNorm(at="shared"), sharing=kind)
    train(model)
    larger = kmtl.add_task(model, BinaryTask("new", metrics=[]), train="all")
    train(larger, y={**Y, **NEW})
    smaller = kmtl.remove_task(larger, "colour")
    train(smaller, y={**Y, **NEW})
    assert all(np.isfinite(weight).all() for weight in smaller.get_weights())
