"""A stitch gives each task a linear mix of the activations of all."""

import keras
import numpy as np
import pytest

from kmtl.layers import MixStages, StitchTasks

TASKS = ["age", "income", "marital"]
RNG = np.random.default_rng(0)
VECTORS = RNG.normal(size=(5, 3, 4)).astype("float32")
MAPS = RNG.normal(size=(2, 5, 4, 3, 4)).astype("float32")


def built(inputs=VECTORS, **options):
    layer = StitchTasks(tasks=TASKS, **options)
    layer(inputs)
    layer.set_weights([RNG.normal(size=w.shape) for w in layer.get_weights()])
    return layer


def mixed_in_a_loop(layer, inputs):
    """The formula of the docstring, subspace by subspace."""
    (weights,) = layer.get_weights()
    parts = np.split(inputs, layer.subspaces, axis=-1)
    outputs = [
        [
            sum(
                weights[t, j, s, k] * parts[k][..., s, :]
                for s in range(3)
                for k in range(layer.subspaces)
            )
            for j in range(layer.subspaces)
        ]
        for t in range(3)
    ]
    return np.stack([np.concatenate(o, axis=-1) for o in outputs], axis=-2)


@pytest.mark.parametrize("inputs", [VECTORS, MAPS], ids=["vectors", "maps"])
@pytest.mark.parametrize("subspaces", [1, 2])
def test_it_equals_the_formula_in_a_loop(inputs, subspaces):
    layer = built(inputs, subspaces=subspaces)
    expected = mixed_in_a_loop(layer, inputs)
    np.testing.assert_allclose(layer(inputs), expected, rtol=1e-4, atol=1e-5)


def test_it_starts_with_what_is_said():
    layer = StitchTasks(tasks=TASKS, own=0.7)
    layer(VECTORS)
    frame = layer.sharing_frame(None)
    assert list(frame.index) == list(frame.columns) == TASKS
    expected = np.full((3, 3), 0.15) + 0.55 * np.eye(3)
    np.testing.assert_allclose(frame, expected, rtol=1e-6)


def test_every_subspace_starts_with_its_own():
    layer = StitchTasks(tasks=["age", "income"], own=0.7, subspaces=2)
    layer(VECTORS[:, :2])
    frame = layer.sharing_frame(None)
    assert list(frame.columns) == ["age/0", "age/1", "income/0", "income/1"]
    np.testing.assert_allclose(frame, np.full((4, 4), 0.1) + 0.6 * np.eye(4), 1e-6)


def test_own_one_passes_everything_on():
    outputs = StitchTasks(tasks=TASKS, own=1.0, subspaces=2)(VECTORS)
    np.testing.assert_array_equal(outputs, VECTORS)


def test_one_task_keeps_its_activations():
    outputs = StitchTasks(tasks=["age"])(VECTORS[:, :1])
    np.testing.assert_array_equal(outputs, VECTORS[:, :1])


@pytest.mark.parametrize("subspaces", [1, 2])
def test_a_slice_receives_from_all_tasks(subspaces):
    layer = built(subspaces=subspaces)
    for task in range(3):
        single = StitchTasks(tasks=[TASKS[task]], sources=TASKS, subspaces=subspaces)
        single(VECTORS)
        single.copy_slices(layer)
        np.testing.assert_allclose(
            single(VECTORS)[:, 0], layer(VECTORS)[:, task], rtol=1e-5, atol=1e-6
        )


def test_sources_may_be_other_tasks_than_receivers():
    layer = StitchTasks(tasks=["income"], sources=TASKS, own=0.8)
    expected = VECTORS[:, 1] * 0.8 + (VECTORS[:, 0] + VECTORS[:, 2]) * 0.1
    np.testing.assert_allclose(layer(VECTORS)[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_it_moves_no_random_generator():
    keras.utils.set_random_seed(3)
    expected = keras.random.normal((2,))
    keras.utils.set_random_seed(3)
    StitchTasks(tasks=TASKS)(VECTORS), MixStages(tasks=TASKS)([VECTORS])
    np.testing.assert_array_equal(keras.random.normal((2,)), expected)


def test_other_tasks_in_the_input_are_refused():
    with pytest.raises(ValueError, match=r"expects 3 tasks.*shape=\(None, 2, 4\)"):
        StitchTasks(tasks=TASKS).build((None, 2, 4))


def test_a_width_that_cannot_be_cut_is_refused():
    with pytest.raises(ValueError, match="2 equal subspaces"):
        StitchTasks(tasks=TASKS, subspaces=2).build((None, 3, 3))


@pytest.mark.parametrize("own", [-0.1, 1.1, "much", True])
def test_own_must_be_a_share(own):
    with pytest.raises(ValueError, match="`own` must be from 0 to 1"):
        StitchTasks(tasks=TASKS, own=own)


def test_stages_mix_by_weights_of_each_task():
    layer = MixStages(tasks=TASKS)
    layer([VECTORS, VECTORS])
    mix = RNG.normal(size=(3, 2)).astype("float32")
    layer.set_weights([mix])
    outputs = layer([VECTORS, 2 * VECTORS])
    expected = VECTORS * (mix[:, :1] + 2 * mix[:, 1:])
    np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(layer.sharing_frame(None), mix)


def test_stages_of_other_shapes_are_refused():
    with pytest.raises(ValueError, match="expects stages of equal shape"):
        MixStages(tasks=TASKS).build([(None, 3, 4), (None, 3, 2)])
