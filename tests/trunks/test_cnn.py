"""`kmtl.trunks.CNN`: scaling, stages, pooling, errors."""

import keras
import numpy as np
import pytest

from kmtl.trunks import CNN


def model_of(trunk, inputs):
    return keras.Model(inputs, trunk(inputs))


def test_each_stage_has_readable_names():
    model = model_of(CNN([4, 8], dropout=0.1), keras.Input((8, 8, 3)))
    assert [layer.name for layer in model.layers[1:]] == [
        "trunk_scale",
        "trunk_conv_0_0",
        "trunk_activation_0_0",
        "trunk_dropout_0",
        "trunk_shrink_1",
        "trunk_conv_1_0",
        "trunk_activation_1_0",
        "trunk_dropout_1",
        "trunk_pool",
    ]


@pytest.mark.parametrize(
    ("pooling", "shape"),
    [
        ("avg", (None, 8)),
        ("max", (None, 8)),
        ("flatten", (None, 7 * 7 * 8)),
        (None, (None, 7, 7, 8)),
    ],
)
def test_pooling_decides_the_shape(pooling, shape):
    trunk = CNN([2, 4, 8], pooling=pooling)
    assert trunk(keras.Input((28, 28, 1))).shape == shape


def test_bytes_and_scaled_floats_give_the_same_representation():
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 1), dtype="uint8")
    of_bytes = model_of(CNN([4]), keras.Input((8, 8, 1), dtype="uint8"))
    of_floats = model_of(CNN([4]), keras.Input((8, 8, 1)))
    of_floats.set_weights(of_bytes.get_weights())
    np.testing.assert_allclose(
        of_bytes.predict(images, verbose=0),
        of_floats.predict(images / 255.0, verbose=0),
        rtol=1e-5,
    )


def test_an_image_without_channels_has_one():
    images = np.random.default_rng(0).random((2, 8, 8))
    flat = model_of(CNN([4]), keras.Input((8, 8)))
    deep = model_of(CNN([4]), keras.Input((8, 8, 1)))
    deep.set_weights(flat.get_weights())
    np.testing.assert_array_equal(
        flat.predict(images, verbose=0), deep.predict(images[..., None], verbose=0)
    )


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
def test_every_normalisation_runs_with_skips_and_depth(normalization):
    trunk = CNN([4, 8], depth=2, normalization=normalization, residual=True)
    model = model_of(trunk, keras.Input((8, 8, 3)))
    assert model.predict(np.ones((1, 8, 8, 3)), verbose=0).shape == (1, 8)


def test_residual_projects_only_where_channels_differ():
    model = model_of(CNN([3, 3, 8], residual=True), keras.Input((8, 8, 3)))
    names = [layer.name for layer in model.layers if "projection" in layer.name]
    assert names == ["trunk_projection_2"]


def test_images_of_any_size_pool_to_one_vector():
    model = model_of(CNN([4, 8]), keras.Input((None, None, 3)))
    assert model.predict(np.ones((1, 10, 6, 3)), verbose=0).shape == (1, 8)


@pytest.fixture
def channels_first():
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format("channels_last")


@pytest.mark.usefixtures("channels_first")
@pytest.mark.parametrize("pooling", ["avg", "max", "flatten", None])
def test_channels_stay_last_whatever_the_setting_of_keras(pooling):
    trunk = CNN([4, 5], pooling=pooling, dropout=0.1, normalization="batch")
    assert trunk(keras.Input((6, 4, 3))).shape[-1] in (5, 3 * 2 * 5)


def test_layers_that_share_a_seed_draw_different_values():
    initializer = keras.initializers.HeNormal(seed=7)
    trunk = CNN([3], depth=2, kernel_initializer=initializer)
    model = model_of(trunk, keras.Input((8, 8, 3)))
    first, second = (model.get_layer(f"trunk_conv_0_{i}").kernel for i in (0, 1))
    assert not np.allclose(first, second)


def test_every_kernel_is_regularized():
    trunk = CNN([4, 8], depth=2, kernel_regularizer="l2")
    assert len(model_of(trunk, keras.Input((8, 8, 3))).losses) == 4


def test_a_dict_with_one_image_is_that_image():
    assert CNN([4])({"photo": keras.Input((8, 8, 3))}).shape == (None, 4)


def test_a_saved_model_predicts_the_same_from_bytes(tmp_path):
    trunk = CNN([4, 4], normalization="batch", residual=True)
    model = model_of(trunk, keras.Input((8, 8), dtype="uint8"))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    images = np.random.default_rng(0).integers(0, 256, (2, 8, 8), dtype="uint8")
    np.testing.assert_array_equal(
        model.predict(images, verbose=0), loaded.predict(images, verbose=0)
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters_per_stage": []}, r"must name at least one width.*CNN"),
        ({"filters_per_stage": 8}, r"`filters_per_stage` must be a sequence"),
        ({"depth": 0}, r"`depth` must be a positive integer"),
        ({"kernel_size": 2.5}, r"`kernel_size` must be a positive integer"),
        ({"pooling": "average"}, r"`pooling` must be one of.*Received: 'average'"),
        ({"normalization": "group"}, r"`normalization` must be one of"),
        ({"dropout": -0.1}, r"`dropout` must be the share"),
    ],
)
def test_a_wrong_argument_is_an_error_on_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        CNN(**({"filters_per_stage": [8]} | arguments))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"shape": (8,)}, r"height, width, channels.*kmtl.trunks.MLP"),
        ({"shape": (4, 4, 1)}, r"at least 8 pixels.*Take fewer stages"),
        ({"shape": (None, 8)}, r"known height and width.*Declare the size"),
        ({"shape": (8, 8, 1), "dtype": "int32"}, r"`x` must be uint8.*dtype=int32"),
    ],
)
def test_an_input_that_is_no_such_image_is_an_error(inputs, message):
    with pytest.raises(ValueError, match=message):
        CNN([2, 2, 2, 2])(keras.Input(**inputs))


def test_flatten_needs_a_known_size():
    with pytest.raises(ValueError, match=r"pooling='flatten'.*take `pooling='avg'`"):
        CNN([2], pooling="flatten")(keras.Input((None, None, 3)))


def test_several_inputs_are_an_error_with_the_remedy():
    inputs = {"photo": keras.Input((8, 8, 3)), "age": keras.Input((1,))}
    with pytest.raises(ValueError, match=r"\['photo', 'age'\].*keras.Model"):
        CNN([2])(inputs)
