"""Low-level supervision: heads attached to inner stages."""

import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf
from encoders import CNN, IMAGES, MLP, ROWS, TASKS, encoder
from small import build, fit, some_inputs, some_labels

from kmtl.sharing import Hard, LowLevel

LOW = LowLevel({"b": 0})


def trained_by(model, task):
    """The layers that a gradient of one task reaches."""
    with tf.GradientTape() as tape:
        total = tf.reduce_sum(model(ROWS)[task] ** 2)
    variables = model.trainable_variables
    gradients = tape.gradient(total, [v.value for v in variables])
    pairs = zip(variables, gradients, strict=True)
    return {v.path.split("/")[0] for v, g in pairs if g is not None}


@pytest.mark.parametrize(
    ("trunk", "inputs"), [(MLP, ROWS), (CNN, IMAGES)], ids=["MLP", "CNN"]
)
def test_without_inner_tasks_it_equals_hard_sharing(trunk, inputs):
    outputs = encoder(LowLevel(), trunk, inputs)(inputs)
    hard = encoder(Hard(), trunk, inputs)(inputs)
    for task in TASKS:
        np.testing.assert_array_equal(outputs[task.name], hard)


def test_a_low_task_trains_the_stages_up_to_its_own():
    model = encoder(LOW)
    assert trained_by(model, "b") == {"trunk_dense_0"}
    assert trained_by(model, "a") == {"trunk_dense_0", "trunk_dense_1"}


def test_a_low_task_sees_the_output_of_its_stage():
    model = encoder(LOW)
    kernel, bias = model.get_layer("trunk_dense_0").get_weights()
    expected = np.tanh(ROWS @ kernel + bias)
    np.testing.assert_allclose(model(ROWS)["b"], expected, rtol=1e-5, atol=1e-6)
    assert model(ROWS)["a"].shape == (5, 6)


def test_inner_maps_are_averaged():
    model = encoder(LOW, CNN, IMAGES)
    inner = keras.Model(model.input, model.get_layer("shared").output)(IMAGES)
    expected = np.mean(inner, axis=(1, 2))
    np.testing.assert_allclose(model(IMAGES)["b"], expected, rtol=1e-5, atol=1e-6)


def test_a_head_of_its_own_sees_the_inner_map():
    own = dataclasses.replace(TASKS[1], head=keras.layers.Flatten())
    model = encoder(LOW, CNN, IMAGES, tasks=[TASKS[0], own])
    assert model.output["b"].shape == (None, 9, 8, 4)


def test_tasks_at_one_stage_get_one_tensor():
    shared = LowLevel({"a": 0, "b": -2})(CNN, keras.Input((8, 8, 1)), TASKS)
    assert shared["a"] is shared["b"]
    assert shared["c"] is not shared["a"]


def test_it_declares_the_output_of_the_lowest_stage():
    assert encoder(LOW).get_layer("shared").output.shape == (None, 8)
    assert encoder(LowLevel()).get_layer("shared").output.shape == (None, 6)


def test_changing_the_mapping_changes_no_sharing():
    stages = {"b": 0}
    sharing = LowLevel(stages)
    stages["a"] = 0
    assert sharing == LOW


def test_an_unknown_task_is_refused():
    with pytest.raises(ValueError, match="`stages` names an unknown task"):
        encoder(LowLevel({"d": 0}))


@pytest.mark.parametrize("stage", [2, -3])
def test_a_stage_that_the_trunk_lacks_is_refused(stage):
    with pytest.raises(ValueError, match=r"`stages\['b'\]` must be from 0 to 1"):
        encoder(LowLevel({"b": stage}))


def test_a_stage_is_a_number():
    with pytest.raises(ValueError, match=r"`stages\['b'\]` must be the number"):
        LowLevel({"b": "trunk_dense_0"})


def test_stages_are_a_dict():
    with pytest.raises(TypeError, match="`stages` must be a dict"):
        LowLevel(["b"])


@pytest.mark.slow
def test_a_model_trains_and_is_saved(tmp_path):
    model = build(TASKS, trunk=MLP, sharing=LOW)
    fit(model, some_inputs(), some_labels(TASKS))
    expected = model.predict(some_inputs(), verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    outputs = loaded.predict(some_inputs(), verbose=0)
    for task in TASKS:
        np.testing.assert_array_equal(outputs[task.name], expected[task.name])
