"""Every slice of a stacked weight starts as a layer of its own would."""

import keras
import numpy as np
import pytest

from kmtl.layers import PerTask

TASKS = ["age", "income", "marital"]
SHAPE = (3, 300, 200)
RANDOM = [
    "glorot_uniform",
    "glorot_normal",
    "he_normal",
    "he_uniform",
    "lecun_normal",
    "random_normal",
    "truncated_normal",
    keras.initializers.VarianceScaling(2.0, "fan_out", "uniform"),
]


def draw(inner, tasks=TASKS, shape=SHAPE, seed=0, **options):
    values = PerTask(inner, tasks=tasks, seed=seed)((len(tasks), *shape[1:]), **options)
    return keras.ops.convert_to_numpy(values)


@pytest.mark.parametrize("inner", RANDOM)
def test_slices_have_the_fans_of_a_dense_kernel(inner):
    expected = np.std(keras.initializers.get(inner)(SHAPE[1:]))
    slices = draw(inner)
    assert slices.std(axis=(1, 2)) == pytest.approx([expected] * 3, rel=0.02)
    assert np.abs(slices.mean(axis=(1, 2))).max() < 0.02 * expected


def test_keras_alone_would_draw_a_stack_too_small():
    # The reason for this class: fans by the rule for convolutions.
    stack = np.std(keras.initializers.GlorotUniform()(SHAPE))
    assert stack < 0.7 * draw("glorot_uniform").std()


@pytest.mark.parametrize("inner", RANDOM)
def test_slices_are_independent(inner):
    slices = draw(inner).reshape(3, -1)
    np.testing.assert_allclose(np.corrcoef(slices), np.eye(3), atol=0.02)


def test_an_initializer_with_a_seed_gives_siblings_other_values():
    slices = draw(keras.initializers.GlorotUniform(seed=3))
    assert not np.allclose(slices[0], slices[1])
    np.testing.assert_array_equal(
        slices, draw(keras.initializers.GlorotUniform(seed=3))
    )
    assert not np.allclose(slices, draw(keras.initializers.GlorotUniform(seed=4)))


def test_a_slice_depends_on_the_name_of_its_task_only():
    slices, others = draw("he_normal"), draw("he_normal", tasks=["marital", "age"])
    np.testing.assert_array_equal(others[0], slices[2])
    np.testing.assert_array_equal(others[1], slices[0])


def test_another_seed_gives_other_values():
    assert not np.allclose(draw("he_normal"), draw("he_normal", seed=1))
    np.testing.assert_array_equal(draw("he_normal"), draw("he_normal"))


@pytest.mark.parametrize(("inner", "value"), [("zeros", 0.0), ("ones", 1.0)])
def test_constants_are_the_same_in_every_slice(inner, value):
    np.testing.assert_array_equal(draw(inner, shape=(3, 4)), np.full((3, 4), value))


def test_an_identity_is_one_a_task():
    slices = draw("identity", shape=(3, 4, 4))
    np.testing.assert_array_equal(slices, np.stack([np.eye(4)] * 3))


def test_an_orthogonal_slice_is_orthogonal():
    slices = draw("orthogonal", shape=(3, 8, 8))
    products = slices @ slices.transpose(0, 2, 1)
    np.testing.assert_allclose(products, np.stack([np.eye(8)] * 3), atol=1e-5)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_values_have_the_dtype_that_is_asked_for(dtype):
    assert draw("he_normal", dtype=dtype).dtype == dtype
    assert draw("zeros", dtype=dtype).dtype == dtype


def test_the_config_restores_the_initializer():
    initializer = PerTask("he_normal", tasks=TASKS, seed=3)
    config = keras.initializers.serialize(initializer)
    restored = keras.initializers.deserialize(config)
    np.testing.assert_array_equal(restored(SHAPE), initializer(SHAPE))


def test_the_shape_must_start_with_the_tasks():
    with pytest.raises(
        ValueError, match=r"number of tasks, 3. Received: shape=\(2, 5\)"
    ):
        PerTask("zeros", tasks=TASKS, seed=0)((2, 5))


def test_an_initializer_that_keras_does_not_know_is_refused():
    with pytest.raises(ValueError, match="nonsense"):
        PerTask("nonsense", tasks=TASKS, seed=0)
