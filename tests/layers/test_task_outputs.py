"""The last layer: names, units, dtypes of outputs, and what a model must keep."""

import json

import keras
import numpy as np
import pytest

from kmtl import BinaryTask, MulticlassTask, RegressionTask
from kmtl._head_groups import group_heads
from kmtl.layers import TaskOutputs

TASKS = [
    BinaryTask("click", loss_weight=0.5),
    RegressionTask("age"),
    MulticlassTask("colour", classes=["red", "green", "blue"]),
    BinaryTask("buy", missing=-1),
    RegressionTask("rank", standardize=False),
]
RNG = np.random.default_rng(0)
SIZES = [(2, 1), (2, 1), (1, 3)]  # tasks and units of each group
LOGITS = [RNG.normal(size=(4, *size)).astype("float32") for size in SIZES]


@pytest.fixture
def layer():
    layer = TaskOutputs(TASKS, group_heads(TASKS, ()))
    layer.build([logits.shape for logits in LOGITS])
    layer.label_mean.assign([0, 40, 0, 0, 0])
    layer.label_scale.assign([1, 10, 1, 1, 1])
    return layer


def test_outputs_are_named_in_the_order_of_the_tasks(layer):
    outputs = layer(LOGITS)
    assert list(outputs) == ["click", "age", "colour", "buy", "rank"]
    assert [o.shape[1] for o in outputs.values()] == [1, 1, 3, 1, 1]


def test_binary_outputs_are_sigmoids(layer):
    expected = 1 / (1 + np.exp(-LOGITS[0]))
    outputs = layer(LOGITS)
    np.testing.assert_allclose(outputs["click"], expected[:, 0], rtol=1e-6)
    np.testing.assert_allclose(outputs["buy"], expected[:, 1], rtol=1e-6)


def test_multiclass_outputs_are_softmaxes(layer):
    expected = np.exp(LOGITS[2][:, 0])
    expected /= expected.sum(-1, keepdims=True)
    np.testing.assert_allclose(layer(LOGITS)["colour"], expected, rtol=1e-5)


def test_regressions_are_in_the_unit_of_the_label(layer):
    outputs = layer(LOGITS)
    np.testing.assert_allclose(outputs["age"], 40 + 10 * LOGITS[1][:, 0], rtol=1e-6)
    np.testing.assert_array_equal(outputs["rank"], LOGITS[1][:, 1])


def test_outputs_are_nan_until_label_statistics_are_known():
    layer = TaskOutputs(TASKS, group_heads(TASKS, ()))
    outputs = layer(LOGITS)
    assert np.isnan(outputs["age"]).all()
    assert np.isfinite(outputs["rank"]).all()
    assert layer.unadapted() == ["age"]


def test_statistics_are_those_of_the_labelled_rows():
    layer = TaskOutputs(TASKS, group_heads(TASKS, ()))
    layer.build([logits.shape for logits in LOGITS])
    ages = np.array([30.0, np.nan, 50.0])
    layer.adapt_labels([ages * 0, ages, ages * 0, ages * 0, ages])
    mean, scale = layer.label_statistics_on_host()
    assert (mean[1], scale[1]) == (40.0, 10.0)
    assert (mean[4], scale[4]) == (0.0, 1.0)


def test_equal_labels_are_only_centred(layer):
    column = np.full(3, 7.0)
    layer.adapt_labels([column] * 5)
    mean, scale = layer.label_statistics_on_host()
    assert (mean[1], scale[1]) == (7.0, 1.0)


def test_a_task_without_labels_keeps_its_statistics(layer):
    layer.adapt_labels([np.full(3, np.nan)] * 5)
    assert layer.label_statistics_on_host()[0][1] == 40.0


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"])
def test_outputs_are_float32_under_mixed_precision(policy):
    keras.config.set_dtype_policy(policy)
    layer = TaskOutputs(TASKS, group_heads(TASKS, ()))
    half = [keras.ops.cast(logits, "float16") for logits in LOGITS]
    outputs = layer(half)
    keras.config.set_dtype_policy("float32")
    assert {o.dtype.name for o in outputs.values()} == {"float32"}


def test_nothing_in_it_is_trained(layer):
    assert layer.trainable_variables == []
    np.testing.assert_array_equal(layer.loss_weights, [0.5, 1, 1, 1, 1])
    np.testing.assert_array_equal(layer.frozen, np.zeros(5))


def test_the_config_goes_through_json(layer):
    config = json.loads(json.dumps(layer.get_config()))
    restored = TaskOutputs.from_config(config)
    assert restored.tasks == layer.tasks
    assert restored.groups == layer.groups
    assert restored.features is None


def test_static_shapes(layer):
    shapes = layer.compute_output_shape([(None, 2, 1), (None, 2, 1), (None, 1, 3)])
    assert shapes["colour"] == (None, 3)
    assert shapes["buy"] == (None, 1)


@pytest.mark.parametrize(
    ("task", "shape", "expected"),
    [
        (BinaryTask("t", head=[]), (None, 6, 6, 1), (6, 6)),
        (MulticlassTask("t", classes=3, head=[]), (None, 6, 3), (6,)),
        (RegressionTask("t", head=[]), (None, 5), (5,)),
        (RegressionTask("t", head=[]), (None, 1), ()),
        (RegressionTask("t", head=[]), (None, 6, 6, 1), (6, 6)),
    ],
)
def test_the_shape_of_the_labels_of_an_own_head(task, shape, expected):
    layer = TaskOutputs([task], group_heads([task], ()))
    layer.build([shape])
    assert layer.label_shape(0) == expected
