"""Cross-stitch networks: towers that exchange activations after each stage."""

import numpy as np
import pytest
from encoders import (
    CNN,
    IMAGES,
    MLP,
    NAMES,
    ROWS,
    TASKS,
    encoder,
    independent,
    layers_of,
    move_weights,
)
from small import build, fit, some_inputs, some_labels

import kmtl
from kmtl.layers import StitchTasks
from kmtl.sharing import CrossStitch


@pytest.mark.parametrize(
    ("trunk", "inputs"), [(MLP, ROWS), (CNN, IMAGES)], ids=["MLP", "CNN"]
)
def test_identity_stitches_equal_independent_towers(trunk, inputs):
    model = encoder(CrossStitch(own=1.0), trunk, inputs)
    np.testing.assert_array_equal(model(inputs), independent(trunk, inputs)(inputs))


def test_two_stages_equal_the_formula():
    model = encoder(CrossStitch())
    move_weights(model)
    x = np.repeat(ROWS[:, None], 3, axis=1)
    for stage in range(2):
        kernel, bias = model.get_layer(f"trunk_dense_{stage}").get_weights()
        x = np.tanh(np.einsum("bti,tio->bto", x, kernel) + bias)
        stitch = model.get_layer(f"stitch_{stage}").sharing_frame(None)
        x = np.einsum("ts,bso->bto", stitch, x)
    np.testing.assert_allclose(model(ROWS), x, rtol=1e-4, atol=1e-5)


def test_towers_start_different():
    (kernel, _) = encoder(CrossStitch()).get_layer("trunk_dense_0").get_weights()
    assert np.abs(kernel[0] - kernel[1]).min() > 1e-4


def test_one_task_is_one_tower():
    model = encoder(CrossStitch(), tasks=TASKS[:1])
    np.testing.assert_array_equal(model(ROWS)[:, 0], independent()(ROWS)[:, 0])


def test_a_trunk_of_one_stage_is_stitched_once():
    model = encoder(CrossStitch(), kmtl.trunks.as_trunk(MLP.__call__))
    assert [layer.name for layer in layers_of(model, StitchTasks)] == ["stitch_0"]


def test_stitches_train_and_can_be_looked_at():
    model = build(TASKS, sharing=CrossStitch())
    start = model.sharing_weights()
    fit(model, some_inputs(), some_labels(TASKS))
    end = model.sharing_weights()
    assert list(end) == ["stitch_0"]
    assert list(end["stitch_0"].columns) == NAMES
    assert np.abs(end["stitch_0"] - start["stitch_0"]).to_numpy().min() > 0
    assert model.shared_tensors == []


@pytest.mark.parametrize("own", [-1, 2, None])
def test_own_must_be_a_share(own):
    with pytest.raises(ValueError, match=r"`own` must be from 0 to 1. Received"):
        CrossStitch(own)
