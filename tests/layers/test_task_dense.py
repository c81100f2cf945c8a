"""Slice `t` of a stack of dense layers computes what a `Dense` of task `t` computes."""

import keras
import numpy as np
import pytest
from small import slice_of

from kmtl.layers import TaskDense

TASKS = ["age", "income", "marital"]
RNG = np.random.default_rng(0)
SHARED = RNG.normal(size=(5, 4)).astype("float32")
FORMS = [(1, None), (1, "sigmoid"), (2, "relu"), (7, None), (7, "softmax")]
PER_TASK = RNG.normal(size=(5, 3, 4)).astype("float32")


def built(units=2, inputs=SHARED, **options):
    layer = TaskDense(units, tasks=TASKS, seed=0, **options)
    layer(inputs)
    layer.set_weights([w + RNG.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def alone(layer, task, inputs):
    """What a plain `Dense` with the slice's weights computes."""
    dense = keras.layers.Dense(
        layer.units, activation=layer.activation, use_bias=layer.use_bias
    )
    dense.build(inputs.shape)
    dense.set_weights([w[task] for w in layer.get_weights()])
    return dense(inputs)


@pytest.mark.parametrize(("units", "activation"), FORMS)
@pytest.mark.parametrize("use_bias", [True, False])
def test_a_shared_input_equals_separate_dense_layers(units, activation, use_bias):
    layer = built(units, activation=activation, use_bias=use_bias)
    outputs = layer(SHARED)
    for task in range(3):
        expected = alone(layer, task, SHARED)
        np.testing.assert_allclose(outputs[:, task], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("units", "activation"), FORMS)
def test_an_input_a_task_equals_separate_dense_layers(units, activation):
    layer = built(units, PER_TASK, activation=activation)
    outputs = layer(PER_TASK)
    for task in range(3):
        expected = alone(layer, task, PER_TASK[:, task])
        np.testing.assert_allclose(outputs[:, task], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("units", [1, 3])
def test_equal_inputs_a_task_equal_a_shared_input(units):
    layer = built(units)
    repeated = np.repeat(SHARED[:, None], 3, axis=1)
    np.testing.assert_allclose(layer(repeated), layer(SHARED), rtol=1e-4, atol=1e-5)


def test_a_slice_is_a_layer_of_one_task():
    layer = built(2, activation="tanh")
    for task in range(3):
        single = slice_of(layer, TASKS[task], SHARED)
        np.testing.assert_allclose(single(SHARED)[:, 0], layer(SHARED)[:, task], 1e-5)


def test_a_regularizer_sees_the_whole_kernel():
    shapes = []

    def penalty(kernel):
        shapes.append(tuple(kernel.shape))
        return keras.ops.sum(kernel**2)

    layer = built(2, kernel_regularizer=penalty)
    total = float(sum(layer.losses))
    assert set(shapes) == {(3, 4, 2)}
    assert total == pytest.approx((layer.get_weights()[0] ** 2).sum(), rel=1e-5)


def test_initial_values_do_not_depend_on_the_order_of_tasks():
    layer, other = (TaskDense(2, tasks=t, seed=5) for t in (TASKS, TASKS[::-1]))
    layer(SHARED), other(SHARED)
    kernel, reversed_kernel = layer.get_weights()[0], other.get_weights()[0]
    np.testing.assert_array_equal(kernel, reversed_kernel[::-1])


def test_without_a_seed_layers_differ_and_the_global_seed_decides():
    def kernels():
        keras.utils.set_random_seed(3)
        layers = [TaskDense(2, tasks=TASKS) for _ in range(2)]
        return [
            layer(SHARED) is not None and layer.get_weights()[0] for layer in layers
        ]

    one, other = kernels()
    assert not np.allclose(one, other)
    np.testing.assert_array_equal(one, kernels()[0])


def test_weights_are_named_as_those_of_keras_layers():
    layer = TaskDense(2, tasks=TASKS, name="head")
    layer(SHARED)
    assert [w.path for w in layer.weights] == ["head/kernel", "head/bias"]
    assert [w.shape for w in layer.weights] == [(3, 4, 2), (3, 2)]


def test_the_static_shape_is_known():
    layer = TaskDense(2, tasks=TASKS)
    assert layer(keras.Input((4,))).shape == (None, 3, 2)
    assert layer.compute_output_shape((None, 4)) == (None, 3, 2)
    assert layer.compute_output_shape((6, 3, 4)) == (6, 3, 2)


@pytest.mark.parametrize("shape", [(4,), (5, 2, 3, 4)])
def test_an_input_of_another_rank_is_refused(shape):
    with pytest.raises(ValueError, match="takes an input of rank 2"):
        TaskDense(2, tasks=TASKS).build(shape)


def test_an_input_of_other_tasks_is_refused():
    with pytest.raises(
        ValueError, match=r"expects 3 tasks on the last axis but one.*\(None, 2, 4\)"
    ):
        TaskDense(2, tasks=TASKS).build((None, 2, 4))


@pytest.mark.parametrize("units", [0, -1, 1.5, True, "two"])
def test_units_must_be_a_positive_integer(units):
    with pytest.raises(ValueError, match="`units` must be a positive integer"):
        TaskDense(units, tasks=TASKS)


def test_tasks_must_have_different_names():
    with pytest.raises(ValueError, match=r"`tasks` must be unique.*'age'"):
        TaskDense(2, tasks=["age", "age"])
