"""Tasks as rows, and back; what is done to each task on the way."""

import numpy as np
import pytest

from kmtl.layers import AttentionMask, FoldTasks, ModulateTasks, UnfoldTasks

TASKS = ["age", "income", "marital"]
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(5, 3, 4)).astype("float32")
MAPS = RNG.normal(size=(2, 5, 4, 3, 2)).astype("float32")


@pytest.mark.parametrize("inputs", [VECTORS, MAPS], ids=["vectors", "maps"])
def test_each_task_of_each_row_becomes_a_row(inputs):
    folded = FoldTasks()(inputs)
    expected = [row[..., task, :] for row in inputs for task in range(3)]
    np.testing.assert_array_equal(folded, expected)
    np.testing.assert_array_equal(UnfoldTasks(tasks="abc")(folded), inputs)


def test_static_shapes_know_the_rows():
    assert FoldTasks().compute_output_shape((2, 7, 3, 4)) == (6, 7, 4)
    assert UnfoldTasks(tasks="abc").compute_output_shape((6, 7, 4)) == (2, 7, 3, 4)
    assert UnfoldTasks(tasks="abc").compute_output_shape((None, 4)) == (None, 3, 4)


@pytest.mark.parametrize("inputs", [VECTORS, VECTORS[:, :1]], ids=["own", "shared"])
def test_modulation_scales_and_shifts_each_task(inputs):
    layer = ModulateTasks(tasks=TASKS)
    start = layer(inputs)
    np.testing.assert_array_equal(start, np.broadcast_to(inputs, (5, 3, 4)))
    gamma, beta = RNG.normal(size=(2, 3, 4)).astype("float32")
    layer.set_weights([gamma, beta])
    np.testing.assert_allclose(layer(inputs), inputs * gamma + beta, rtol=1e-5)


def test_a_modulation_can_be_looked_at():
    layer = ModulateTasks(tasks=TASKS)
    layer(VECTORS)
    frame = layer.sharing_frame(None)
    assert list(frame.index) == TASKS
    assert frame["gamma"].to_numpy().tolist() == [[1.0] * 4] * 3
    assert frame["beta"].to_numpy().tolist() == [[0.0] * 4] * 3


def test_modulation_refuses_other_tasks():
    with pytest.raises(ValueError, match="expects 3 tasks"):
        ModulateTasks(tasks=TASKS).build((None, 2, 4))


def test_masks_are_shown_by_task_and_channel():
    layer = AttentionMask(tasks=TASKS)
    masks = np.asarray(layer(MAPS))
    assert ((masks > 0) & (masks < 1)).all()
    frame = layer.sharing_frame(masks.mean(axis=0))
    assert list(frame.index) == TASKS
    np.testing.assert_allclose(frame, masks.mean(axis=(0, 1, 2)), rtol=1e-5)
