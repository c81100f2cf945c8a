"""Penalties on singular values: `TraceNorm`, `TensorTraceNorm`, `TaskCovariance`."""

import numpy as np
import pytest
import tensorflow as tf

from kmtl import testing
from kmtl.regularizers import TaskCovariance, TensorTraceNorm, TraceNorm


def singular_values(matrix):
    return np.linalg.svd(matrix, compute_uv=False)


def gradient(regularizer, weights):
    weights = tf.constant(weights)
    with tf.GradientTape() as tape:
        tape.watch(weights)
        value = regularizer.penalty(weights)
    return tape.gradient(value, weights).numpy()


def low_rank(rows, columns, rank, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(rows, rank)) @ rng.normal(size=(rank, columns))


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (6, 6), (1, 7), (7, 1), (4,)])
def test_the_trace_norm_is_the_sum_of_singular_values(shape):
    weights = np.random.default_rng(0).normal(size=shape)
    expected = singular_values(weights.reshape(shape[0], -1)).sum()
    assert float(TraceNorm().penalty(weights)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("shape", [(5, 12), (12, 5), (6, 6)])
def test_the_gradient_is_the_polar_factor(shape):
    weights = np.random.default_rng(0).normal(size=shape)
    u, _, vt = np.linalg.svd(weights, full_matrices=False)
    np.testing.assert_allclose(gradient(TraceNorm(), weights), u @ vt, atol=1e-10)


def test_at_equal_tasks_the_gradient_is_the_least_subgradient():
    weights = np.tile(np.array([[3.0, 0.0, 4.0]], "float32"), (4, 1))
    # One singular value, 10: u = (1, 1, 1, 1) / 2, v = (3, 0, 4) / 5.
    expected = np.tile([0.3, 0.0, 0.4], (4, 1))
    np.testing.assert_allclose(gradient(TraceNorm(), weights), expected, atol=1e-6)
    assert float(TraceNorm().penalty(weights)) == pytest.approx(10.0)


def test_repeated_singular_values_have_an_exact_gradient():
    rotation = np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    found = gradient(TraceNorm(), 2.0 * rotation)
    np.testing.assert_allclose(found, rotation, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_a_low_rank_has_no_noise_in_float32(scale):
    weights = (scale * low_rank(139, 28, rank=3)).astype("float32")
    u, s, vt = np.linalg.svd(weights.astype("float64"), full_matrices=False)
    found = gradient(TraceNorm(), weights)
    np.testing.assert_allclose(found, u[:, :3] @ vt[:3], atol=2e-6)
    assert float(TraceNorm().penalty(weights)) == pytest.approx(s[:3].sum(), rel=1e-6)


def test_zero_weights_have_a_zero_gradient():
    assert not gradient(TraceNorm(), np.zeros((3, 4), "float32")).any()


def test_weights_that_are_no_numbers_make_the_penalty_none():
    # LAPACK would raise; the check of the loss should be what stops a broken model.
    weights = np.array([[1.0, np.nan], [0.0, 1.0]])
    assert np.isnan(TraceNorm().penalty(weights))


@pytest.mark.parametrize("shape", [(5, 3, 4), (30, 2, 3)])
def test_the_proximal_step_shrinks_singular_values(shape):
    weights = np.random.default_rng(0).normal(size=shape)
    u, s, vt = np.linalg.svd(weights.reshape(shape[0], -1), full_matrices=False)
    expected = (u * np.maximum(s - 2.0, 0)) @ vt
    near = TraceNorm().proximal(weights, 2.0).numpy()
    np.testing.assert_allclose(near, expected.reshape(shape), atol=1e-10)


def test_the_proximal_step_gives_an_exact_rank():
    noise = np.random.default_rng(1).normal(size=(40, 20))
    weights = (low_rank(40, 20, rank=2) + 0.01 * noise).astype("float32")
    assert np.linalg.matrix_rank(weights) == 20
    near = TraceNorm().proximal(weights, 0.5).numpy()
    assert np.linalg.matrix_rank(near) == 2
    assert not TraceNorm().proximal(weights, 1e3).numpy().any()


def test_of_a_matrix_all_kinds_are_the_trace_norm():
    weights = np.random.default_rng(0).normal(size=(5, 3))
    expected = float(TraceNorm().penalty(weights))
    kinds = [TensorTraceNorm(kind=kind) for kind in ("tucker", "tt", "laf")]
    found = [float(kind.penalty(weights)) for kind in kinds]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_tensor_trace_norms_are_means_over_unfoldings(stack):
    tensor = np.moveaxis(stack, 0, -1)  # the paper's order: (4, 3, 5), tasks last
    last = singular_values(tensor.reshape(12, 5)).sum()
    first = singular_values(tensor.reshape(4, 15)).sum()
    second = singular_values(tensor.swapaxes(0, 1).reshape(3, 20)).sum()
    expected = {
        "laf": last,
        "tucker": (first + second + last) / 3,
        "tt": (first + last) / 2,  # one cut after each axis but the last
    }
    found = {k: float(TensorTraceNorm(kind=k).penalty(stack)) for k in expected}
    assert found == pytest.approx(expected, rel=1e-12)


def test_tensor_trace_norms_take_one_weight_a_task():
    weights = np.array([3.0, 4.0])
    norms = [TensorTraceNorm(kind=kind) for kind in ("tucker", "tt", "laf")]
    assert [float(n.penalty(weights)) for n in norms] == pytest.approx([5.0] * 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["tucker", "tt"])
def test_tensor_trace_norms_pass_the_checks(kind):
    testing.check_regularizer(TensorTraceNorm(kind=kind))


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match=r"`kind` must be one of.*Did you mean 'laf'"):
        TensorTraceNorm(kind="lav")


@pytest.mark.parametrize("shape", [(4, 9), (9, 4)])
def test_task_covariance_is_the_least_over_covariances(shape):
    # Zhang and Yeung, UAI 2010: tr(W' C^-1 W) at the best C is the square.
    weights = np.random.default_rng(0).normal(size=shape)
    regularizer = TaskCovariance()
    covariance = regularizer.covariance(weights).to_numpy()
    cost = np.trace(weights.T @ np.linalg.pinv(covariance) @ weights)
    assert float(regularizer.penalty(weights)) == pytest.approx(cost, rel=1e-8)
    expected = singular_values(weights).sum() ** 2
    assert float(regularizer.penalty(weights)) == pytest.approx(expected, rel=1e-12)


def test_other_covariances_cost_more():
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(3, 8))
    factors = rng.normal(size=(20, 3, 3))
    others = factors @ factors.swapaxes(1, 2)
    others /= np.trace(others, axis1=1, axis2=2)[:, None, None]
    costs = [np.trace(weights.T @ np.linalg.inv(c) @ weights) for c in others]
    assert min(costs) >= float(TaskCovariance().penalty(weights))


def test_the_covariance_tells_who_agrees():
    direction = np.array([1.0, 2.0, -1.0])
    weights = np.stack([direction, -direction, [2.0, 0.0, 2.0]])
    table = TaskCovariance().covariance(weights, ["a", "opposed", "unrelated"])
    assert np.trace(table) == pytest.approx(1.0)
    assert table.loc["a", "opposed"] == pytest.approx(-table.loc["a", "a"])
    assert table.loc["a", "unrelated"] == pytest.approx(0.0)


def test_zero_weights_have_the_covariance_of_no_relation():
    table = TaskCovariance().covariance(np.zeros((2, 3)))
    np.testing.assert_array_equal(table, np.eye(2) / 2)


def test_names_of_a_covariance_are_as_many_as_tasks():
    with pytest.raises(ValueError, match="as many as `tasks` has"):
        TaskCovariance().covariance(np.ones((3, 2)), ["a", "b"])
