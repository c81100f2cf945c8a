"""What every balancing method keeps in a model: missing labels, and one task alone."""

from dataclasses import replace

import numpy as np
import pytest
from balanced import (
    BASES,
    BY_GRADIENTS,
    METHODS,
    TASKS,
    Y,
    all_of,
    assert_same_rows,
    assert_same_training,
    balanced,
    every_method,
    state_of,
    train,
)
from small import build, head_slices, slow_but, weights_by_path

import kmtl
from kmtl import balancing, sharing

OTHERS = ["click", "price", "buy"]


def test_every_method_is_tested():
    assert METHODS.keys() == set(balancing.__all__) - BASES
    assert all(isinstance(m, balancing.Balancing) for m in METHODS.values())


def assert_steps_without_labels_are_those_without_the_task(method, **options):
    model = balanced(method, **options)
    train(model)
    without = kmtl.remove_task(model, "colour")
    head, state = head_slices(model, "colour")[-2:], all_of(model, "colour")
    partial = {task: Y[task] for task in OTHERS}
    train(model, y=partial)
    train(without, y=partial)
    assert_same_training(model, without, OTHERS, rtol=1e-8)
    assert_same_rows(model, without, OTHERS, rtol=1e-6)
    np.testing.assert_equal(head_slices(model, "colour")[-2:], head)
    np.testing.assert_equal(all_of(model, "colour"), state)


@every_method
@pytest.mark.usefixtures("in_float64")
def test_steps_without_labels_of_a_task_are_those_of_a_model_without_it(name):
    assert_steps_without_labels_are_those_without_the_task(METHODS[name])


@pytest.mark.slow
@pytest.mark.parametrize("name", BY_GRADIENTS)
@pytest.mark.usefixtures("in_float64")
def test_so_they_are_with_gradients_of_all_shared_weights(name):
    method = replace(METHODS[name], at="shared")
    assert_steps_without_labels_are_those_without_the_task(method)


@pytest.mark.slow
@pytest.mark.usefixtures("in_float64")
def test_so_they_are_with_cross_stitch_networks():
    for method in (balancing.UPGrad(at="shared"), balancing.GradVac(at="shared")):
        kind = sharing.CrossStitch()
        assert_steps_without_labels_are_those_without_the_task(method, sharing=kind)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [sharing.MMoE(experts=3), sharing.CGC()], ids=repr)
@pytest.mark.usefixtures("in_float64")
def test_so_they_are_with_mixtures_of_experts(kind):
    for method in (balancing.GradVac(every=2), balancing.FAMO()):
        assert_steps_without_labels_are_those_without_the_task(method, sharing=kind)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=slow_but(["RLW"], n)) for n in METHODS]
)
@pytest.mark.usefixtures("in_float64")
def test_a_task_that_never_has_a_label_changes_nothing(name):
    model, without = balanced(METHODS[name]), balanced(METHODS[name], TASKS[:3])
    partial = {task: Y[task] for task in without.task_names}
    train(model, y=partial)
    train(without, y=partial)
    assert_same_training(model, without, without.task_names, rtol=1e-8)
    assert_same_rows(model, without, without.task_names, rtol=1e-6)
    logs, expected = model.get_metrics_result(), without.get_metrics_result()
    assert logs["loss"] == pytest.approx(expected["loss"], rel=1e-9)


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=slow_but(["MGDA"], n)) for n in BY_GRADIENTS]
)
@pytest.mark.usefixtures("in_float64")
def test_gradients_of_one_task_are_not_changed(name):
    model, plain = balanced(METHODS[name], TASKS[-1:]), build(TASKS[-1:])
    train(model)
    train(plain)
    assert_same_training(model, plain, ["buy"], rtol=1e-10)
    assert model.task_weights == {"buy": 1.0}


@pytest.mark.parametrize(
    ("name", "scale"),
    [("FAMO", 1), ("GLS", 1), ("RLW", 1), ("UncertaintyWeighting", 0.5)],
)
@pytest.mark.usefixtures("in_float64")
def test_one_task_is_trained_up_to_the_scale_of_the_method(name, scale):
    price = TASKS[2:3]
    model, plain = balanced(METHODS[name], price), build(price)
    plain.loss_weights = {"price": scale}
    train(model, steps=1)
    train(plain, steps=1)
    assert_same_training(model, plain, ["price"], rtol=1e-10)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=slow_but(["FAMO", "UPGrad"], n)) for n in METHODS],
)
def test_a_batch_without_any_label_teaches_nothing(name):
    model = balanced(METHODS[name])
    train(model, steps=1)
    before, state = weights_by_path(model), state_of(model)
    train(model, steps=1, y={task: np.full(24, np.nan) for task in model.task_names})
    np.testing.assert_equal(state_of(model), state)
    np.testing.assert_equal(weights_by_path(model), before)
