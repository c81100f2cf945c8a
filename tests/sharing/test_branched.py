"""Branched networks: groups of tasks that part ways inside a trunk."""

import keras
import numpy as np
import pytest
from encoders import (
    CNN,
    IMAGES,
    MLP,
    NAMES,
    ROWS,
    TASKS,
    copy_slice,
    encoder,
    independent,
    move_weights,
)
from small import build, fit, some_inputs, some_labels

from kmtl.sharing import Branched, Hard

GROUPS = [["c", "a"], ["b"]]
BOTH = pytest.mark.parametrize(
    ("trunk", "inputs"), [(MLP, ROWS), (CNN, IMAGES)], ids=["MLP", "CNN"]
)


@BOTH
def test_one_group_equals_hard_sharing(trunk, inputs):
    branched = encoder(Branched([NAMES]), trunk, inputs)
    hard = encoder(Hard(), trunk, inputs)
    copy_slice(branched, 0, hard)
    for task in range(3):
        np.testing.assert_allclose(
            branched(inputs)[:, task], hard(inputs), rtol=1e-4, atol=1e-6
        )


@BOTH
def test_nothing_shared_equals_independent_towers(trunk, inputs):
    model = encoder(Branched(shared_stages=0), trunk, inputs)
    np.testing.assert_array_equal(model(inputs), independent(trunk, inputs)(inputs))


@BOTH
def test_each_task_sees_the_branch_of_its_group(trunk, inputs):
    model = encoder(Branched(GROUPS), trunk, inputs)
    move_weights(model)
    a, b, c = np.moveaxis(model(inputs), 1, 0)
    np.testing.assert_array_equal(a, c)
    assert np.abs(a - b).min() > 1e-6
    for branch, outputs in ((0, a), (1, b)):
        hard = encoder(Hard(), trunk, inputs)
        copy_slice(model, branch, hard)
        np.testing.assert_allclose(hard(inputs), outputs, rtol=1e-4, atol=1e-6)


def test_the_order_of_groups_and_tasks_changes_nothing():
    model = encoder(Branched(GROUPS))
    other = encoder(Branched([["b"], ["a", "c"]]), tasks=TASKS[::-1])
    np.testing.assert_allclose(other(ROWS)[:, ::-1], model(ROWS), rtol=1e-5)


def test_by_default_only_the_last_stage_is_branched():
    model = encoder(Branched())
    assert model.get_layer("trunk_dense_0").kernel.shape == (4, 8)
    assert model.get_layer("trunk_dense_1").kernel.shape == (3, 8, 6)


def test_it_declares_the_last_tensor_at_which_all_that_share_meet():
    assert encoder(Branched()).get_layer("shared").output.shape == (None, 8)
    assert encoder(Branched(GROUPS)).get_layer("shared").output.shape == (None, 8)
    apart = encoder(Branched(GROUPS, shared_stages=0))
    assert apart.get_layer("shared").output.shape == (None, 2, 6)
    names = [layer.name for layer in encoder(Branched(shared_stages=0)).layers]
    assert "shared" not in names


def test_a_branch_of_one_task_belongs_to_it():
    stack = encoder(Branched(GROUPS)).get_layer("trunk_dense_1")
    assert stack.tasks == ("/a+c", "b")


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["a", "b"], ["b", "c"]], r"`groups` must be unique. Repeated: \['b'\]"),
        (["a", "b", "c"], "must be lists of task names.*Received: 'a'"),
        ([["a"], []], r"must be lists of task names.*Received: \[\]"),
    ],
)
def test_other_groups_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        Branched(groups)


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([["a"], ["b"]], r"must hold every task.*Missing: \['c'\]"),
        ([["a", "b", "c", "d"]], "`groups` names an unknown task. Received: 'd'"),
    ],
)
def test_groups_of_other_tasks_are_refused(groups, message):
    with pytest.raises(ValueError, match=message):
        encoder(Branched(groups))


@pytest.mark.parametrize("count", [2, "one", 0.5])
def test_there_must_be_a_stage_to_branch(count):
    with pytest.raises(ValueError, match="`shared_stages` must be"):
        encoder(Branched(shared_stages=count))


@pytest.mark.slow
def test_a_model_trains_and_is_saved(tmp_path):
    model = build(TASKS, trunk=MLP, sharing=Branched(GROUPS))
    fit(model, some_inputs(), some_labels(TASKS))
    expected = model.predict(some_inputs(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    outputs = loaded.predict(some_inputs(), verbose=0)
    for task in TASKS:
        np.testing.assert_array_equal(outputs[task.name], expected[task.name])
