"""What methods make of inner products is what they say of the gradients themselves."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.optimize import nnls
from small import build, some_inputs, some_labels, some_tasks

import kmtl
from kmtl.balancing._visits import visits

pytestmark = pytest.mark.usefixtures("in_float64")
SEED = 2  # of initial weights with which tasks conflict
LOSSES = {
    kmtl.BinaryTask: keras.losses.binary_crossentropy,
    kmtl.MulticlassTask: keras.losses.sparse_categorical_crossentropy,
    kmtl.RegressionTask: keras.losses.mean_squared_error,
}


def a_model(method):
    return build(
        some_tasks(), seed=SEED, balancing=method, optimizer=keras.optimizers.SGD(1.0)
    )


def trunk_of(model):
    return model.encoder.trainable_variables


def jacobian(model, x, y):
    """The gradients of the tasks by all weights of the trunk, a row a task."""
    with tf.GradientTape(persistent=True) as tape:
        outputs = model(x)
        losses = [
            tf.reduce_mean(LOSSES[type(t)](y[t.name][:, None], outputs[t.name]))
            for t in model.tasks
        ]
    values = [v.value for v in trunk_of(model)]
    rows = [tape.gradient(loss, values) for loss in losses]
    return np.array([np.concatenate([np.ravel(g) for g in row]) for row in rows])


def flat(variables):
    return np.concatenate([np.ravel(v.numpy()) for v in variables])


def taken(method):
    """The gradients of a step, the update that it takes, and the model before it."""
    model = a_model(method)
    x, y = some_inputs(), some_labels(model.tasks)
    rows, before = jacobian(model, x, y), flat(trunk_of(model))
    present = np.ones(len(rows), bool)
    order = visits(model.balancing_state.step(np.ones(len(rows)), present), 0)[..., 1]
    model.train_on_batch(x, y)
    assert (rows @ rows.T).min() < 0, "no tasks conflict: the test would prove little"
    return rows, before - flat(trunk_of(model)), np.array(order).T


def projected(rows, order):
    total = np.zeros(rows.shape[1])
    for own, others in enumerate(order):
        gradient = rows[own].copy()
        for other in others[others != own]:
            dot = gradient @ rows[other]
            gradient -= min(dot, 0) / (rows[other] @ rows[other]) * rows[other]
        total += gradient
    return total


def on_dual_cone(rows, gradient):
    """Moves a gradient the least to where it conflicts with none of the rows."""
    return gradient + nnls(rows.T, -gradient)[0] @ rows


def ridged(rows):
    """Rows whose inner products are `G / trace(G) + 1e-4 I`."""
    return np.hstack([rows / np.linalg.norm(rows), 1e-2 * np.eye(len(rows))])


def of_columns(rows, combined):
    """Back from what was combined of `ridged` rows."""
    return combined[: rows.shape[1]] * np.linalg.norm(rows)


def shortest(rows):
    """The shortest convex combination (Wolfe 1976), by nonnegative least squares."""
    lifted = np.vstack([rows.T, np.full(len(rows), 1e4)])
    target = np.append(np.zeros(rows.shape[1]), 1e4)
    weights = nnls(lifted, target)[0]
    return weights / weights.sum() @ rows


def units(rows):
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_pcgrad_projects_gradients():
    rows, step, order = taken(kmtl.balancing.PCGrad(at="shared"))
    np.testing.assert_allclose(step, projected(rows, order), rtol=1e-6, atol=1e-12)


def test_upgrad_projects_each_gradient_on_the_dual_cone():
    rows, step, _ = taken(kmtl.balancing.UPGrad(at="shared"))
    cone = ridged(rows)
    expected = of_columns(rows, sum(on_dual_cone(cone, row) for row in cone))
    np.testing.assert_allclose(step, expected, rtol=1e-4, atol=1e-7)


def test_dual_proj_projects_the_sum_on_the_dual_cone():
    rows, step, _ = taken(kmtl.balancing.DualProj(at="shared"))
    cone = ridged(rows)
    expected = of_columns(rows, on_dual_cone(cone, cone.sum(axis=0)))
    np.testing.assert_allclose(step, expected, rtol=1e-4, atol=1e-7)


def test_mgda_takes_the_shortest_convex_combination():
    rows, step, _ = taken(kmtl.balancing.MGDA(at="shared"))
    np.testing.assert_allclose(step, len(rows) * shortest(rows), rtol=1e-3, atol=1e-6)


def test_imtlg_has_equal_projections_on_all_gradients():
    rows, step, _ = taken(kmtl.balancing.IMTLG(at="shared"))
    projections = units(rows) @ step
    np.testing.assert_allclose(projections, projections[0], rtol=1e-4)


def test_config_has_equal_angles_and_the_length_of_all_projections():
    rows, step, _ = taken(kmtl.balancing.ConFIG(at="shared"))
    direction = np.linalg.pinv(units(rows)) @ np.ones(len(rows))
    direction /= np.linalg.norm(direction)
    expected = (rows @ direction).sum() * direction
    np.testing.assert_allclose(step, expected, rtol=1e-4, atol=1e-8)


def test_aligned_mtl_gives_all_singular_values_the_smallest():
    rows, step, _ = taken(kmtl.balancing.AlignedMTL(at="shared"))
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    expected = values.min() * (left @ right).sum(axis=0)
    np.testing.assert_allclose(step, expected, rtol=1e-4, atol=1e-8)


def test_nash_mtl_is_the_bargaining_solution():
    rows, step, _ = taken(kmtl.balancing.NashMTL(max_norm=None, at="shared"))
    weights = np.linalg.lstsq(rows.T, step, rcond=None)[0]
    np.testing.assert_allclose(weights * (rows @ step), 1, rtol=1e-4)


@pytest.mark.parametrize(
    "method", [kmtl.balancing.CAGrad(c, at="shared") for c in (0.5, 0.9)]
)
def test_cagrad_stays_near_the_mean_and_helps_the_worst_task_more(method):
    rows, step, _ = taken(method)
    mean = rows.mean(axis=0)
    step = step / len(rows) * (1 + method.strength)
    distance = np.linalg.norm(step - mean)
    assert distance == pytest.approx(method.strength * np.linalg.norm(mean), rel=1e-4)
    assert (rows @ step).min() > (rows @ mean).min()
