"""Which models compute rows of one task each by the slices of that alone."""

import keras
import numpy as np
import pytest
from small import FEATURES, build, some_tasks

import kmtl
from kmtl import sharing
from kmtl._rows_of_one_task import with_tasks
from kmtl.balancing import PCGrad

SOFT = sharing.Soft(kmtl.regularizers.MeanL2(0.1))
MIXED = [sharing.CrossStitch(), sharing.PLE(), sharing.Sluice(), sharing.AdaTT()]
LEVELS = kmtl.trunks.MLP([8, 8])  # PLE with one is CGC


@pytest.mark.parametrize("way", MIXED, ids=lambda way: type(way).__name__)
def test_tasks_that_read_each_other_have_none(way):
    assert build(some_tasks(), trunk=LEVELS, sharing=way).own_slices() is None


def test_experts_of_one_level_are_the_tasks_own():
    assert build(some_tasks(), sharing=sharing.PLE()).own_slices() is not None


@pytest.mark.parametrize("squares", [False, True])
def test_gates_of_all_tasks_are_only_told_apart_in_a_mixture(squares):
    def selected(trunk, inputs, tasks):
        experts = trunk.apply(kmtl.trunks.Stack(["/0", "/1"], seed=0), inputs)
        names = [task.name for task in tasks]
        gates = kmtl.layers.SelectExperts(["/0", "/1"], tasks=names)(experts)
        gates = keras.layers.Multiply()([gates, gates]) if squares else gates
        return kmtl.layers.MixExperts()([experts, gates])

    model = build(some_tasks(), sharing=selected)
    assert (model.own_slices() is None) == squares


class _AddsLoss(keras.layers.Layer):
    def call(self, inputs):
        self.add_loss(keras.ops.mean(inputs**2))
        return inputs


@pytest.mark.parametrize(
    ("layer", "is_apart"),
    [
        (keras.layers.Dense(8, activity_regularizer="l2"), False),
        (_AddsLoss(), False),
        (keras.layers.Dense(8), True),
    ],
    ids=["activity", "add_loss", "none"],
)
@pytest.mark.parametrize("way", [SOFT, sharing.FiLM()], ids=["Soft", "FiLM"])
def test_losses_of_calls_are_those_of_all_tasks(way, layer, is_apart):
    last = keras.Sequential([keras.Input((8,)), layer])
    first = keras.Sequential([keras.Input((FEATURES,)), keras.layers.Dense(8)])
    model = build(some_tasks(), sharing=way, trunk=[first, last])
    assert (model.own_slices() is not None) == is_apart


def trains_and_measures_alone(model):
    """Whether rows of one task each are trained, and measured, by own slices."""
    model.own_slices()
    by_task = {"tasks": [0]}
    return [model._own_slices_for(by_task, training) is not None for training in (1, 0)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [True, True]),
        ({"trunk": kmtl.trunks.MLP([8], normalization="layer")}, [True, True]),
        ({"trunk": kmtl.trunks.MLP([8], normalization="batch")}, [False, True]),
        ({"sharing": sharing.Hard(), "balancing": PCGrad()}, [False, True]),
    ],
    ids=["plain", "layer", "moving averages", "gradients by task"],
)
def test_training_needs_no_more_than_own_slices(options, expected):
    model = build(some_tasks(), **{"sharing": SOFT, **options})
    assert trains_and_measures_alone(model) == expected


def test_a_model_that_is_distilled_is_computed_whole():
    model = build([kmtl.BinaryTask("old")])
    larger = kmtl.add_task(model, kmtl.BinaryTask("new"), train="all", distill=1.0)
    assert trains_and_measures_alone(larger) == [False, False]


def test_rows_with_labels_of_several_tasks_have_no_task():
    model = build([kmtl.BinaryTask("a"), kmtl.BinaryTask("b")], head_units=(4096,))
    assert model.gains_by_own_slices()
    labels = np.array([[1.0, np.nan], [np.nan, 0.0], [np.nan, np.nan]])
    assert with_tasks(model, {"labels": [labels]})["tasks"].tolist() == [0, 1, 0]
    labels[1] = 1.0
    assert "tasks" not in with_tasks(model, {"labels": [labels]})


def test_an_encoder_that_rests_is_trained_whole():
    model = build(some_tasks())
    model.set_trainable(None, False)
    assert trains_and_measures_alone(model) == [False, True]
