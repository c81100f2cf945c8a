"""Balancing by gradients together with what else a training step can do."""

import keras
import numpy as np
import pytest
from loops import Step, assert_same_step, loop, one_step, watched
from small import (
    build,
    fit,
    head_slices,
    some_inputs,
    some_labels,
)

import kmtl
from kmtl.balancing import UPGrad
from kmtl.trunks import MLP

TASKS = [
    kmtl.BinaryTask("a"),
    kmtl.MulticlassTask("b", classes=3),
    kmtl.BinaryTask("c"),
]
TRUNK = MLP([8, 6], activation="tanh")
ROWS = 12
X, Y = some_inputs(ROWS), some_labels(TASKS, ROWS)
PLACES = pytest.mark.parametrize(
    "at", [pytest.param("representation", marks=pytest.mark.slow), "shared"]
)

pytestmark = pytest.mark.usefixtures("in_float64")


def same_values(ours, theirs, rtol=1e-9):
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=rtol)


@PLACES
def test_loss_weights_are_part_of_the_gradients(at):
    factors = {"a": 0.5, "b": 2.0, "c": 0.25}
    model = watched(TASKS, at=at, trunk=TRUNK, loss_weights=factors)
    expected, factors = loop(model, X, Y), list(factors.values())
    step = one_step(model, X, Y)
    gramian = expected.gramian(factors) if at == "shared" else step.gramian
    assert_same_step(step, Step(expected.update(factors=factors), gramian))


@PLACES
def test_a_loss_weight_of_zero_equals_the_task_removed(at):
    def trained(tasks, **options):
        model = build(tasks, trunk=TRUNK, balancing=UPGrad(at=at), **options)
        fit(model, X, {task.name: Y[task.name] for task in tasks}, batch_size=6)
        return model

    model = trained(TASKS, loss_weights={"b": 0.0})
    fewer = trained([TASKS[0], TASKS[2]])
    same_values(model.encoder.get_weights(), fewer.encoder.get_weights())
    same_values(head_slices(model, "a"), head_slices(fewer, "a"))
    same_values(head_slices(model, "c"), head_slices(fewer, "c"))


def test_weights_of_rows_and_classes_multiply():
    weights = np.random.default_rng(0).uniform(0.1, 3.0, ROWS)
    rows = {"a": weights * np.where(Y["a"] > 0, 5.0, 1.0), "b": weights}
    model = watched(TASKS, at="shared", trunk=TRUNK)
    expected = loop(model, X, Y, rows=rows)
    given = {"sample_weight": {"a": weights, "b": weights}}
    step = one_step(model, X, Y, class_weight={"a": {0: 1.0, 1: 5.0}}, **given)
    assert_same_step(step, Step(expected.update(), expected.gramian()))


def test_a_missing_label_is_a_row_of_weight_zero():
    missing = np.arange(ROWS) % 3 == 0
    y = {**Y, "b": np.where(missing, np.nan, Y["b"])}
    model = watched(TASKS, at="shared", trunk=TRUNK)
    expected = loop(model, X, Y, rows={"b": 1.0 - missing})
    assert_same_step(one_step(model, X, y), Step(expected.update(), expected.gramian()))


@PLACES
def test_regularisers_are_added_after_the_balancing(at):
    def model(strength):
        regularizer = keras.regularizers.L2(strength)
        trunk = MLP([8, 6], activation="tanh", kernel_regularizer=regularizer)
        return watched(TASKS, at=at, trunk=trunk)

    plain = one_step(model(0.0), X, Y)
    regularised = model(0.1)
    expected = [
        update + 0.2 * keras.ops.convert_to_numpy(v) * (v.path in KERNELS)
        for update, v in zip(plain.update, regularised.trainable_variables, strict=True)
    ]
    assert_same_step(one_step(regularised, X, Y), Step(expected, plain.gramian))


KERNELS = ("trunk_dense_0/kernel", "trunk_dense_1/kernel")


def test_a_second_forward_pass_leaves_regularisers_out():
    trunk = MLP([8], kernel_regularizer="l2", dropout=0.2)
    model = build(TASKS, trunk=trunk, balancing=kmtl.balancing.FAMO())
    logs = fit(model, X, Y, batch_size=6)
    assert np.isfinite(logs["loss"])
    assert len(set(model.task_weights.values())) == len(TASKS)


def test_the_whole_update_is_clipped():
    optimizer = keras.optimizers.SGD(1.0, global_clipnorm=0.01)
    model = watched(TASKS, at="shared", trunk=TRUNK, optimizer=optimizer)
    expected = loop(model, X, Y)
    update = expected.update()
    length = np.sqrt(sum(np.sum(part**2) for part in update))
    clipped = [part * 0.01 / length for part in update]
    assert_same_step(one_step(model, X, Y), Step(clipped, expected.gramian()))


def test_accumulated_gradients_are_balanced_batch_by_batch():
    optimizer = keras.optimizers.SGD(1.0, gradient_accumulation_steps=2)
    model = watched(TASKS, at="shared", trunk=TRUNK, optimizer=optimizer)
    halves = [
        (X[part], {name: labels[part] for name, labels in Y.items()})
        for part in (slice(0, 6), slice(6, ROWS))
    ]
    first, second = (loop(model, *half) for half in halves)
    before = model.get_weights()
    step = one_step(model, *halves[0])
    same_values(model.get_weights(), before, rtol=0)
    np.testing.assert_allclose(step.gramian, first.gramian(), rtol=1e-6)
    step = one_step(model, *halves[1])
    mean = [
        (one + other) / 2
        for one, other in zip(first.update(), second.update(), strict=True)
    ]
    assert_same_step(step, Step(mean, second.gramian()))


@PLACES
def test_a_frozen_task_keeps_its_head_and_trains_what_it_shares(at):
    model = watched(TASKS, at=at, trunk=TRUNK)
    twin = watched(TASKS, at=at, trunk=TRUNK)
    model.set_trainable("a", False)
    head = head_slices(model, "a")
    step, expected = one_step(model, X, Y), one_step(twin, X, Y)
    same_values(head_slices(model, "a"), head, rtol=0)
    same_values(head_slices(model, "c"), head_slices(twin, "c"))
    same_values(model.encoder.get_weights(), twin.encoder.get_weights())
    np.testing.assert_allclose(step.gramian, expected.gramian, rtol=1e-12)


@PLACES
def test_heads_alone_are_trained_as_without_balancing(at):
    options = {"trunk": TRUNK, "head_units": (5,)}
    model, plain = (
        build(TASKS, balancing=method, **options) for method in (UPGrad(at=at), None)
    )
    before = model.encoder.get_weights()
    for each in (model, plain):
        each.set_trainable(None, False)
        fit(each, X, Y)
    same_values(model.encoder.get_weights(), before, rtol=0)
    same_values(model.get_weights(), plain.get_weights())


@PLACES
def test_an_absent_task_can_rest(at):
    optimizer = keras.optimizers.SGD(1.0, momentum=0.9)
    model = watched(TASKS, at=at, trunk=TRUNK, optimizer=optimizer)
    model.compile(freeze_absent=True)
    one_step(model, X, Y)
    heads = {task: head_slices(model, task) for task in "abc"}
    step = one_step(model, X, {"a": Y["a"], "c": Y["c"]})
    same_values(head_slices(model, "b"), heads["b"], rtol=0)
    assert any(
        np.any(one != other)
        for one, other in zip(head_slices(model, "a"), heads["a"], strict=True)
    )
    assert all(np.isfinite(part).all() for part in step.update)
    assert (np.diag(step.gramian) > 0).all()  # what is kept of the absent one is old


@PLACES
def test_layers_that_are_frozen_later_are_left_out(at):
    model = watched(TASKS, at=at, trunk=TRUNK)
    model.get_layer("trunk_dense_0").trainable = False
    model.compile()
    expected = loop(model, X, Y)
    step = one_step(model, X, Y)
    gramian = expected.gramian() if at == "shared" else step.gramian
    assert_same_step(step, Step(expected.update(), gramian))
