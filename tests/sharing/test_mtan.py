"""MTAN: tasks that attend to the features of every stage of one trunk."""

import keras
import numpy as np
import pytest
from encoders import CNN, IMAGES, NAMES, ROWS, encoder, layers_of, move_weights

import kmtl
from kmtl.layers import AttentionMask, SharedTensor
from kmtl.sharing import MTAN


def normalized(x, weights, slices=slice(None)):
    """Batch normalisation outside training; Keras adds 0.001 to the variance."""
    gamma, beta, mean, variance = (w[slices] for w in weights)
    return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta


def test_two_stages_equal_the_formula_task_by_task():
    model = encoder(MTAN())
    move_weights(model)
    weights = {layer.name: layer.get_weights() for layer in model.layers}

    def own(name, x, task):
        return x @ weights[f"attention_{name}"][0][task]

    for task in range(3):
        x, attended = ROWS, None
        for stage in range(2):
            kernel, bias = weights[f"trunk_dense_{stage}"]
            x = np.tanh(x @ kernel + bias)
            scores = own(f"{stage}_shared", x, task)
            if stage > 0:
                passed = attended @ weights["attention_1_pass"][0]
                passed = normalized(passed, weights["attention_1_pass_norm"])
                scores += own("1_own", np.maximum(passed, 0), task)
            scores = normalized(scores, weights[f"attention_{stage}_norm"], task)
            scores = own(f"{stage}_score", np.maximum(scores, 0), task)
            scores = normalized(scores, weights[f"attention_{stage}_score_norm"], task)
            attended = x / (1 + np.exp(-scores))
        expected = attended
        np.testing.assert_allclose(model(ROWS)[:, task], expected, 1e-3, atol=1e-5)


def test_masks_are_between_zero_and_one():
    model = encoder(MTAN(), CNN, IMAGES)
    move_weights(model)
    masks = [layer.output for layer in layers_of(model, AttentionMask)]
    for mask in keras.Model(model.input, masks)(100 * IMAGES):
        assert mask.shape[-2] == len(NAMES)
        assert np.min(mask) >= 0
        assert np.max(mask) <= 1
        assert np.ptp(mask) > 0.5


def test_it_declares_the_shared_features_of_every_stage():
    model = encoder(MTAN(), CNN, IMAGES)
    shapes = [layer.output.shape for layer in layers_of(model, SharedTensor)]
    assert shapes == [(None, 9, 8, 4), (None, 4, 4, 6)]


def test_the_way_to_the_next_stage_goes_past_the_shared_tensors():
    # Or the gradient at the first would hold that at the second.
    model = encoder(MTAN())
    marks = [layer.output for layer in layers_of(model, SharedTensor)]
    assert keras.Model(marks, model.output).count_params() > 0


@pytest.mark.parametrize(("size", "padding"), [((9, 8), "valid"), ((10, 7), "same")])
def test_maps_shrink_as_in_the_trunk(size, padding):
    conv = keras.layers.Conv2D(4, 2, strides=2, padding=padding)
    trunk = kmtl.trunks.as_trunk([kmtl.trunks.CNN([4], pooling=None), conv])
    images = np.zeros((1, *size, 1), "float32")
    outputs = encoder(MTAN(), trunk, images)(images)
    assert outputs.shape[-2:] == (3, 4)


def test_maps_may_become_vectors():
    trunk = kmtl.trunks.as_trunk([CNN, kmtl.trunks.MLP([5])])
    assert encoder(MTAN(), trunk, IMAGES)(IMAGES).shape == (2, 3, 5)


def test_maps_that_grow_are_refused():
    grow = keras.layers.UpSampling2D(2)
    trunk = kmtl.trunks.as_trunk([kmtl.trunks.CNN([4], pooling=None), grow])
    with pytest.raises(ValueError, match=r"cannot pool maps of \(9, 8\) pixels to"):
        encoder(MTAN(), trunk, IMAGES)


def test_sequences_are_refused():
    trunk = kmtl.trunks.as_trunk(keras.layers.Dense(4))
    with pytest.raises(ValueError, match="attends to maps"):
        encoder(MTAN(), trunk, np.zeros((1, 5, 3)))
