"""FiLM: one trunk whose features each task scales and shifts."""

import numpy as np
import pytest
from encoders import (
    CNN,
    IMAGES,
    MLP,
    NAMES,
    ROWS,
    TASKS,
    encoder,
    layers_of,
    move_weights,
)

import kmtl
from kmtl.layers import ModulateTasks
from kmtl.sharing import FiLM, Hard

DEEP = kmtl.trunks.MLP([8, 7, 6], activation="tanh")


def modulated(stages, trunk=DEEP):
    model = encoder(FiLM(stages), trunk)
    return [layer.name for layer in layers_of(model, ModulateTasks)]


@pytest.mark.parametrize(
    ("trunk", "inputs"), [(MLP, ROWS), (CNN, IMAGES)], ids=["MLP", "CNN"]
)
def test_it_starts_as_hard_sharing(trunk, inputs):
    hard = encoder(Hard(), trunk, inputs)(inputs)
    outputs = encoder(FiLM(), trunk, inputs)(inputs)
    for task in range(3):
        np.testing.assert_allclose(outputs[:, task], hard, rtol=1e-5, atol=1e-6)


def test_two_modulated_stages_equal_a_pass_for_each_task():
    model = encoder(FiLM([0, 1]), DEEP)
    move_weights(model)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    for task in range(3):
        x = ROWS
        for stage in range(3):
            kernel, bias = weights[f"trunk_dense_{stage}"]
            x = np.tanh(x @ kernel + bias)
            if stage < 2:
                gamma, beta = weights[f"modulate_{stage}"]
                x = gamma[task] * x + beta[task]
        np.testing.assert_allclose(model(ROWS)[:, task], x, rtol=1e-4, atol=1e-5)


def test_a_task_adds_two_numbers_a_feature():
    one, many = (encoder(FiLM(), tasks=tasks) for tasks in (TASKS[:1], TASKS))
    assert many.count_params() - one.count_params() == 2 * 2 * 8


def test_only_the_last_stage_runs_once_a_task_by_default():
    assert modulated(None) == modulated([-2]) == ["modulate_1"]
    assert modulated([2, 0]) == ["modulate_0", "modulate_2"]
    assert modulated(None, kmtl.trunks.MLP([8])) == ["modulate_0"]


def test_the_modulation_can_be_looked_at():
    model = encoder(FiLM())
    frame = model.get_layer("modulate_0").sharing_frame(None)
    assert frame.shape == (3, 2 * 8)
    assert list(frame.index) == NAMES


def test_it_declares_the_last_features_that_are_equal():
    assert encoder(FiLM([1]), DEEP).get_layer("shared").output.shape == (None, 7)


@pytest.mark.parametrize(
    ("stages", "message"),
    [
        ([], "must name a stage to modulate"),
        ("01", "must be a list of stage numbers"),
        (1, "must be a list of stage numbers"),
        (["first"], "`stages\\[...\\]` must be the number of a stage"),
        ([True], "Received: True"),
    ],
)
def test_other_stages_are_refused(stages, message):
    with pytest.raises(ValueError, match=message):
        FiLM(stages)


@pytest.mark.parametrize("stage", [2, -3])
def test_a_stage_that_the_trunk_lacks_is_refused(stage):
    with pytest.raises(ValueError, match=r"from 0 to 1: the trunk has 2 stages"):
        encoder(FiLM([stage]))
