"""What all regularizers of `kmtl.regularizers` share."""

import keras
import numpy as np
import pandas as pd
import pytest

from kmtl import regularizers
from kmtl.layers import TaskDense

TABLE = pd.DataFrame([[0.0, 2.0], [2.0, 0.0]], ["a", "b"], ["a", "b"])
SETTINGS = [
    regularizers.MeanL2(0.1),
    regularizers.GraphLaplacian(0.1),
    regularizers.GraphLaplacian(0.1, graph=TABLE),
    regularizers.GraphLaplacian(0.1, graph=TABLE, tasks=["b", "a"]),
    regularizers.GraphLaplacian(0.1, graph=TABLE.to_numpy()),
    regularizers.GroupLasso(0.1, norm="linf", groups="weights"),
    regularizers.Hierarchical(0.1, groups={"g": ["a", "b"]}, within=2, between=3),
    regularizers.Hierarchical(0.1, groups={"g": ["a", "b"]}, tasks=["b", "a"]),
    regularizers.TaskCovariance(0.1),
    regularizers.TensorTraceNorm(0.1, kind="tt"),
    regularizers.TraceNorm(0.1),
]


@pytest.mark.parametrize("regularizer", SETTINGS)
def test_the_config_makes_an_equal_regularizer(regularizer):
    copy = keras.regularizers.deserialize(keras.regularizers.serialize(regularizer))
    assert type(copy) is type(regularizer)
    assert copy.get_config() == regularizer.get_config()


@pytest.mark.parametrize("regularizer", SETTINGS)
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_16_bit_weights_have_a_float32_penalty(regularizer, dtype):
    weights = keras.ops.cast([[1.0, 2.0], [3.0, 4.0]], dtype)
    penalty = regularizer.for_tasks(["a", "b"]).penalty(weights)
    assert keras.backend.standardize_dtype(penalty.dtype) == "float32"


@pytest.mark.parametrize("regularizer", SETTINGS)
def test_a_task_layer_takes_each_as_a_kernel_regularizer(regularizer):
    resolved = regularizer.for_tasks(["a", "b"])
    layer = TaskDense(3, tasks=["a", "b"], kernel_regularizer=resolved)
    layer.build((None, 4))
    expected = 0.1 * resolved.penalty(layer.kernel)
    np.testing.assert_allclose(layer.losses[0], expected, rtol=1e-6)


@pytest.mark.parametrize("strength", [-1.0, np.inf, np.nan, "strong", None, True])
def test_a_strength_that_is_none_is_an_error(strength):
    with pytest.raises(ValueError, match=r"`strength` must be a finite.*Received"):
        regularizers.MeanL2(strength)


def test_weights_without_a_task_axis_are_an_error():
    with pytest.raises(ValueError, match="`weights` must start with a task axis"):
        regularizers.TraceNorm().penalty(3.0)


def test_a_base_is_no_regularizer():
    with pytest.raises(TypeError, match="abstract method"):
        regularizers.TaskRegularizer()
