"""`kmtl.regularizers.GroupLasso`."""

import numpy as np
import pytest
import tensorflow as tf

from kmtl.regularizers import GroupLasso


def gradient(regularizer, weights):
    weights = tf.constant(weights)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = regularizer.penalty(weights)
    return tape.gradient(value, weights).numpy()


def test_groups_of_a_kernel_are_its_inputs(stack):
    expected = np.linalg.norm(stack.swapaxes(0, 1).reshape(4, -1), axis=1).sum()
    assert float(GroupLasso().penalty(stack)) == pytest.approx(expected, rel=1e-12)


def test_groups_of_a_convolution_are_its_input_channels():
    kernel = np.random.default_rng(0).normal(size=(2, 3, 3, 4, 5))
    expected = sum(np.linalg.norm(kernel[..., i, :]) for i in range(4))
    assert float(GroupLasso().penalty(kernel)) == pytest.approx(expected, rel=1e-12)


def test_groups_can_be_single_weights_across_tasks(stack):
    expected = np.linalg.norm(stack, axis=0).sum()
    penalty = GroupLasso(groups="weights").penalty(stack)
    assert float(penalty) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("groups", ["inputs", "weights"])
def test_with_one_output_a_task_both_kinds_of_groups_are_the_same(stack, groups):
    expected = np.linalg.norm(stack[:, :, 0], axis=0).sum()
    lasso = GroupLasso(groups=groups)
    assert float(lasso.penalty(stack[:, :, :1])) == pytest.approx(expected, rel=1e-12)
    assert float(lasso.penalty(stack[:, :, 0])) == pytest.approx(expected, rel=1e-12)


def test_linf_is_the_sum_of_the_largest(stack):
    expected = np.abs(stack).max(axis=(0, 2)).sum()
    assert float(GroupLasso(norm="linf").penalty(stack)) == pytest.approx(
        expected, rel=1e-12
    )


def test_one_weight_a_task_is_one_group():
    assert float(GroupLasso().penalty(np.array([3.0, -4.0]))) == pytest.approx(5.0)
    assert float(
        GroupLasso(norm="linf").penalty(np.array([3.0, -4.0]))
    ) == pytest.approx(4.0)


def test_a_group_of_zeros_has_a_zero_gradient():
    weights = np.array([[0.0, 3.0], [0.0, 4.0]])
    found = gradient(GroupLasso(), weights)
    np.testing.assert_allclose(found, [[0.0, 0.6], [0.0, 0.8]], rtol=1e-12)
    assert not gradient(GroupLasso(norm="linf"), 0 * weights).any()


def test_equally_large_weights_share_the_gradient_of_linf():
    weights = np.array([[2.0, 1.0], [-2.0, 3.0], [1.0, 0.0]])
    found = gradient(GroupLasso(norm="linf"), weights)
    np.testing.assert_array_equal(found, [[0.5, 0.0], [-0.5, 1.0], [0.0, 0.0]])


def test_the_proximal_step_shrinks_groups_to_exact_zeros(stack):
    stack[:, 1] *= 0.01
    near = GroupLasso().proximal(stack.astype("float32"), 0.5).numpy()
    lengths = np.linalg.norm(stack, axis=(0, 2))[:, None]
    expected = stack * np.maximum(1 - 0.5 / lengths, 0)
    np.testing.assert_allclose(near, expected, rtol=1e-5)
    assert not near[:, 1].any()


def test_the_proximal_step_of_linf_clips_the_largest():
    # Of (5, 4, 1), 3 are taken away where they are largest: both end at 3.
    weights = np.array([[5.0, 0.5], [-4.0, 1.0], [1.0, 1.0]])
    near = GroupLasso(norm="linf").proximal(weights, 3.0)
    np.testing.assert_allclose(near, [[3, 0], [-3, 0], [1, 0]], atol=1e-12)


def l1_ball_projection(row, radius):
    """Projects by bisection on the threshold: another way than the library's."""
    low, high = 0.0, np.abs(row).max()
    for _ in range(100):
        middle = (low + high) / 2
        outside = np.maximum(np.abs(row) - middle, 0).sum() > radius
        low, high = (middle, high) if outside else (low, middle)
    return np.sign(row) * np.maximum(np.abs(row) - high, 0)


def test_the_proximal_step_of_linf_is_what_the_l1_ball_leaves():
    weights = np.random.default_rng(0).normal(size=(30, 6))
    near = GroupLasso(norm="linf").proximal(weights, 2.0)
    ball = np.stack([l1_ball_projection(row, 2.0) for row in weights.T], axis=1)
    np.testing.assert_allclose(near, weights - ball, atol=1e-10)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("groups", ["inputs", "weights"])
def test_the_proximal_step_keeps_the_axes(norm, groups, stack):
    still = GroupLasso(norm=norm, groups=groups).proximal(stack, 0.0)
    np.testing.assert_allclose(still, stack, rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"norm": "l1"}, r"`norm` must be one of.*Received: 'l1'"),
        ({"groups": "input"}, r"`groups` must be one of.*Did you mean 'inputs'"),
    ],
)
def test_an_unknown_norm_or_group_is_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupLasso(**arguments)
