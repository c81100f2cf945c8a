"""Trunks as stacks of copies: each slice computes what the trunk alone computes."""

import keras
import numpy as np
import pytest
from small import slice_of

from kmtl.layers import StackedLayer, TaskModel
from kmtl.trunks import CNN, MLP, Single, Stack, as_trunk

NAMES = ["a", "b", "c"]
ROWS = np.random.default_rng(0).normal(size=(5, 6)).astype("float32")
IMAGES = np.random.default_rng(0).normal(size=(3, 8, 8, 2)).astype("float32")


def plain_keras(x):
    normal = keras.layers.BatchNormalization()(keras.layers.Dense(6)(x))
    return keras.layers.Dense(4, activation="tanh")(normal)


TRUNKS = {
    "mlp": (MLP([8, 4], normalization="batch", activation="tanh"), ROWS),
    "residual_mlp": (MLP([6, 4], normalization="layer", residual=True), ROWS),
    "cnn": (CNN([3, 4], normalization="batch", residual=True), IMAGES),
    "same_width_cnn": (CNN([2], residual=True, pooling="max", depth=2), IMAGES),
    "flat_cnn": (CNN([3], normalization="layer", pooling="flatten"), IMAGES),
    "feature_map": (CNN([3, 4], pooling=None), IMAGES),
    "list": ([CNN([3]), MLP([4]), keras.layers.Dense(2)], IMAGES),
    "function": (plain_keras, ROWS),
}


def stacked_model(trunk, x, **options):
    inputs = keras.Input(x.shape[1:])
    kit = Stack(NAMES, **{"seed": 0, **options})
    return keras.Model(inputs, as_trunk(trunk).apply(kit, inputs))


def single_model(trunk, x):
    inputs = keras.Input(x.shape[1:])
    return keras.Model(inputs, as_trunk(trunk).apply(Single(), inputs))


def slice_weights(model, index):
    """The weights of one copy in the order of those of the trunk alone."""
    weights = []
    for layer in model.layers:
        if isinstance(layer, TaskModel):
            by_path = {
                p: np.asarray(w)[index] for p, w in layer.stacked_weights.items()
            }
            weights += [by_path[w.path] for w in layer.template.weights]
        elif isinstance(layer, StackedLayer):
            weights += [w[index] for w in layer.get_weights()]
    return weights


@pytest.mark.parametrize("name", TRUNKS)
def test_each_slice_computes_what_the_trunk_alone_computes(name):
    trunk, x = TRUNKS[name]
    stack, alone = stacked_model(trunk, x), single_model(trunk, x)
    before = [slice_weights(stack, i) for i in range(3)]
    # Training mode: the statistics of the batch, and their moving averages after it.
    outputs = np.asarray(stack(x, training=True))
    for index in range(3):
        alone.set_weights(before[index])
        expected = alone(x, training=True)
        np.testing.assert_allclose(outputs[..., index, :], expected, atol=1e-5)
        moved = zip(slice_weights(stack, index), alone.get_weights(), strict=True)
        for ours, theirs in moved:
            np.testing.assert_allclose(ours, theirs, atol=1e-6)


@pytest.mark.parametrize("name", ["mlp", "cnn", "list", "function"])
def test_copies_start_different_unless_asked(name):
    trunk, x = TRUNKS[name]
    kernels = [
        weight
        for layer in stacked_model(trunk, x).layers
        for weight in layer.get_weights()
        if weight.ndim > 2
    ]
    assert len(kernels) > 0
    assert not any(np.array_equal(k[i], k[j]) for k in kernels for i, j in PAIRS)
    same = stacked_model(trunk, x, same_start=True)(x)
    np.testing.assert_allclose(same[..., 0, :], same[..., 2, :], atol=1e-5)


PAIRS = [(0, 1), (0, 2), (1, 2)]


def test_the_order_of_copies_decides_nothing():
    x = keras.Input((6,))
    for trunk in (MLP([4]), as_trunk(plain_keras)):
        keras.utils.set_random_seed(0)
        forward = keras.Model(x, trunk.apply(Stack(["a", "b"], seed=0), x))(ROWS)
        keras.utils.set_random_seed(0)
        backward = keras.Model(x, trunk.apply(Stack(["b", "a"], seed=0), x))(ROWS)
        np.testing.assert_allclose(forward[:, 0], backward[:, 1], atol=1e-6)


def test_a_given_model_keeps_its_weights():
    x = keras.Input((6,))
    given = keras.Model(x, keras.layers.Dense(4)(x))
    outputs = np.asarray(stacked_model(given, ROWS, same_start=True)(ROWS))
    np.testing.assert_allclose(outputs[:, 2], given(ROWS), atol=1e-6)
    # Copies that must differ are moved by a hundredth of the spread of a weight.
    outputs = np.asarray(stacked_model(given, ROWS)(ROWS))
    np.testing.assert_allclose(outputs[:, 0], given(ROWS), atol=1e-6)
    np.testing.assert_allclose(outputs[:, 2], given(ROWS), atol=0.2)
    assert np.abs(outputs[:, 2] - given(ROWS)).max() > 1e-4


def test_dropout_draws_a_mask_for_each_copy():
    drop = [keras.layers.Dropout(0.5)]
    outputs = np.asarray(
        stacked_model(drop, ROWS, same_start=True)(ROWS, training=True)
    )
    assert not np.array_equal(outputs[:, 0], outputs[:, 1])


@pytest.mark.parametrize(
    "regularizer", ["l2", keras.regularizers.OrthogonalRegularizer()]
)
@pytest.mark.parametrize("as_function", [False, True])
def test_the_regularizer_of_a_trunk_counts_for_every_copy(regularizer, as_function):
    trunk = MLP([4], kernel_regularizer=regularizer)
    stack = stacked_model(trunk.__call__ if as_function else trunk, ROWS)
    stack(ROWS)
    single = keras.regularizers.get(regularizer)
    kernels = next(w for w in stack.get_weights() if w.ndim == 3)
    expected = sum(float(single(keras.ops.array(kernel))) for kernel in kernels)
    np.testing.assert_allclose(float(sum(stack.losses)), expected, rtol=1e-5)


def test_a_stack_of_copies_takes_inputs_per_copy():
    x = keras.Input((3, 6))
    for trunk in (MLP([4]), as_trunk(plain_keras)):
        kit = Stack(NAMES, seed=0, per_copy=True)
        assert trunk.apply(kit, x).shape == (None, 3, 4)


def test_a_stack_of_any_model_comes_back_from_a_file(tmp_path):
    model = stacked_model(plain_keras, ROWS)
    model.save(tmp_path / "stack.keras")
    loaded = keras.models.load_model(tmp_path / "stack.keras")
    np.testing.assert_array_equal(loaded(ROWS), model(ROWS))


def test_a_slice_is_a_layer_of_its_own():
    for trunk in (MLP([4]), CNN([3]), as_trunk(plain_keras)):
        x = IMAGES if isinstance(trunk, CNN) else ROWS
        model = stacked_model(trunk, x)
        layer = next(layer for layer in model.layers if isinstance(layer, StackedLayer))
        x = keras.Model(model.input, layer.input)(x)
        single = slice_of(layer, layer.tasks[1], x)
        np.testing.assert_allclose(single(x)[..., 0, :], layer(x)[..., 1, :], atol=1e-6)
