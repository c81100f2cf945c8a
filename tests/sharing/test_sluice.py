"""Sluice networks: towers that exchange subspaces, and tasks that mix stages."""

import keras
import numpy as np
import pytest
from encoders import (
    CNN,
    IMAGES,
    ROWS,
    TASKS,
    encoder,
    independent,
    layers_of,
    move_weights,
)
from small import build, fit, some_inputs, some_labels

import kmtl
from kmtl.layers import MixStages
from kmtl.sharing import Sluice
from kmtl.sharing._sluice import OrthogonalSubspaces

X, Y = some_inputs(), some_labels(TASKS)


def take_last_stage(model):
    (mix,) = layers_of(model, MixStages)
    mix.set_weights([np.tile([0.0, 1.0], (len(TASKS), 1))])


def test_identity_and_last_stage_equal_independent_towers():
    model = encoder(Sluice(1.0))
    take_last_stage(model)
    np.testing.assert_allclose(model(ROWS), independent()(ROWS), atol=1e-6)


def test_identity_and_last_stage_equal_independent_towers_of_images():
    model = encoder(Sluice(1.0), CNN, IMAGES)
    take_last_stage(model)
    expected = independent(CNN, IMAGES)(IMAGES)
    np.testing.assert_allclose(model(IMAGES), expected, atol=1e-6)


def test_two_stages_equal_the_formula():
    model = encoder(Sluice())
    move_weights(model)
    x, stages = np.repeat(ROWS[:, None], 3, axis=1), []
    for stage in range(2):
        kernel, bias = model.get_layer(f"trunk_dense_{stage}").get_weights()
        x = np.tanh(np.einsum("bti,tio->bto", x, kernel) + bias)
        (stitch,) = model.get_layer(f"stitch_{stage}").get_weights()
        halves = np.stack(np.split(x, 2, axis=-1), axis=2)  # (b, t, 2, f)
        x = np.einsum("tjsk,bskf->btjf", stitch, halves).reshape(x.shape)
        stages.append(x)
    (projection,) = model.get_layer("project_0").get_weights()
    stages[0] = np.einsum("bti,tio->bto", stages[0], projection)
    (mix,) = model.get_layer("mix_stages").get_weights()
    expected = mix[:, 0, None] * stages[0] + mix[:, 1, None] * stages[1]
    np.testing.assert_allclose(model(ROWS), expected, rtol=1e-4, atol=1e-5)


def test_stages_of_one_width_need_no_projection():
    model = encoder(Sluice(), kmtl.trunks.MLP([6, 6]))
    assert not [layer.name for layer in model.layers if "project" in layer.name]


def test_the_penalty_is_the_products_of_the_halves():
    kernels = np.random.default_rng(0).normal(size=(3, 5, 4))
    expected = sum(np.sum((k[:, :2].T @ k[:, 2:]) ** 2) for k in kernels)
    penalty = OrthogonalSubspaces(0.5)
    np.testing.assert_allclose(penalty(kernels), 0.5 * expected, rtol=1e-6)
    convolution = kernels.reshape(3, 1, 5, 1, 4)
    np.testing.assert_allclose(penalty(convolution), 0.5 * expected, rtol=1e-6)


def test_orthogonal_halves_cost_nothing():
    assert float(OrthogonalSubspaces()(np.eye(4)[None])) == 0


def test_the_penalty_is_counted_once_and_trained():
    model = build(TASKS, trunk=kmtl.trunks.MLP([8, 6]), sharing=Sluice())
    kernels = [model.get_layer(f"trunk_dense_{i}").get_weights()[0] for i in (0, 1)]
    expected = sum(float(OrthogonalSubspaces(0.01)(kernel)) for kernel in kernels)
    logs = model.evaluate(X, Y, return_dict=True, verbose=0)
    assert logs["sharing_penalty"] == pytest.approx(expected, rel=1e-5)
    losses = sum(logs[f"{task.name}_loss"] for task in TASKS)
    assert logs["loss"] == pytest.approx(losses + expected, rel=1e-5)
    model.sharing_strength = 1.0
    fit(model, X, Y)
    kernel = model.get_layer("trunk_dense_0").get_weights()[0]
    assert OrthogonalSubspaces(0.01)(kernel) < OrthogonalSubspaces(0.01)(kernels[0]) / 2


def test_a_trunk_without_kernels_has_no_penalty():
    model = encoder(Sluice(), kmtl.trunks.as_trunk(lambda x: 1.0 * x))
    assert "coupling" not in [layer.name for layer in model.layers]


def test_an_odd_width_is_refused():
    with pytest.raises(ValueError, match=r"2 equal subspaces. Received: 7 features"):
        encoder(Sluice(), kmtl.trunks.MLP([8, 7]))


def test_a_trunk_that_ends_in_a_map_is_refused():
    with pytest.raises(ValueError, match="needs a trunk that ends in a vector"):
        encoder(Sluice(), kmtl.trunks.CNN([4, 4], pooling=None), IMAGES)


@pytest.mark.parametrize("strength", [-1, "much", float("inf")])
def test_the_strength_must_be_finite(strength):
    with pytest.raises(ValueError, match="`orthogonality` must be a finite number"):
        Sluice(orthogonality=strength)


def test_the_penalty_is_restored_from_its_config():
    penalty = OrthogonalSubspaces(0.3)
    config = keras.saving.serialize_keras_object(penalty)
    assert keras.saving.deserialize_keras_object(config).strength == 0.3
