"""`kmtl.trunks.MLP`: its layers, its shapes, its errors."""

import dataclasses

import keras
import numpy as np
import pytest

from kmtl.trunks import MLP


def model_of(trunk, inputs):
    return keras.Model(inputs, trunk(inputs))


def layer_names(model):
    return [layer.name for layer in model.layers[1:]]


def test_each_width_makes_one_block_with_readable_names():
    model = model_of(MLP([8, 4], dropout=0.1, normalization="batch"), keras.Input((3,)))
    assert layer_names(model) == [
        "trunk_dense_0",
        "trunk_norm_0",
        "trunk_activation_0",
        "trunk_dropout_0",
        "trunk_dense_1",
        "trunk_norm_1",
        "trunk_activation_1",
        "trunk_dropout_1",
    ]


def test_it_is_the_plain_keras_stack_with_the_same_weights():
    inputs = keras.Input((3,))
    model = model_of(MLP([8, 4], activation="tanh"), inputs)
    dense = [keras.layers.Dense(8, "tanh"), keras.layers.Dense(4, "tanh")]
    plain = keras.Sequential([keras.Input((3,)), *dense])
    plain.set_weights(model.get_weights())
    x = np.random.default_rng(0).normal(size=(5, 3))
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), plain.predict(x, verbose=0)
    )


@pytest.mark.parametrize("normalization", [None, "batch", "layer"])
@pytest.mark.parametrize("residual", [False, True])
def test_every_form_takes_rows_and_gives_the_last_width(normalization, residual):
    trunk = MLP([8, 8, 4], normalization=normalization, residual=residual, dropout=0.2)
    model = model_of(trunk, keras.Input((3,)))
    assert model.predict(np.ones((1, 3)), verbose=0).shape == (1, 4)


def test_batch_normalisation_replaces_the_bias():
    model = model_of(MLP([4], normalization="batch"), keras.Input((3,)))
    assert not model.get_layer("trunk_dense_0").use_bias


def test_residual_projects_only_where_widths_differ():
    model = model_of(MLP([8, 8, 4], residual=True), keras.Input((8,)))
    projections = [name for name in layer_names(model) if "projection" in name]
    assert projections == ["trunk_projection_2"]


def test_a_residual_block_of_zeros_is_the_identity():
    model = model_of(
        MLP([3, 3], residual=True, kernel_initializer="zeros"), keras.Input((3,))
    )
    x = np.random.default_rng(0).normal(size=(5, 3)).astype("float32")
    np.testing.assert_array_equal(model.predict(x, verbose=0), x)


def test_a_dict_is_joined_in_its_order_as_floats():
    inputs = {
        "count": keras.Input((2,), name="count", dtype="int64"),
        "age": keras.Input((1,), name="age"),
        "member": keras.Input((1,), name="member", dtype="bool"),
    }
    trunk = MLP([4], kernel_initializer="identity", activation="linear")
    rows = {
        "count": np.array([[3, 5]]),
        "age": np.array([[0.5]]),
        "member": np.array([[True]]),
    }
    joined = model_of(trunk, inputs).predict(rows, verbose=0)
    np.testing.assert_array_equal(joined, [[3.0, 5.0, 0.5, 1.0]])
    assert joined.dtype == "float32"


def test_integers_are_taken_as_numbers():
    model = model_of(MLP([2], residual=True), keras.Input((2,), dtype="int32"))
    assert model.predict(np.ones((1, 2), "int32"), verbose=0).dtype == "float32"


@pytest.mark.parametrize(
    "seed", [None, 7, keras.random.SeedGenerator(7)], ids=["none", "integer", "state"]
)
def test_layers_that_share_an_initialiser_draw_different_values(seed):
    initializer = keras.initializers.HeNormal(seed=seed)
    model = model_of(MLP([6, 6], kernel_initializer=initializer), keras.Input((6,)))
    first, second = (model.get_layer(f"trunk_dense_{i}").kernel for i in (0, 1))
    assert not np.allclose(first, second)


def test_an_initialiser_may_be_a_function():
    trunk = MLP([2], kernel_initializer=keras.ops.ones)
    model = model_of(trunk, keras.Input((3,)))
    np.testing.assert_array_equal(model.get_weights()[0], np.ones((3, 2)))


def test_one_seed_gives_one_model():
    trunk = MLP([6], kernel_initializer=keras.initializers.HeNormal(seed=7))
    kernels = [model_of(trunk, keras.Input((6,))).get_weights()[0] for _ in range(2)]
    np.testing.assert_array_equal(*kernels)


def test_every_kernel_is_regularized():
    trunk = MLP([4, 2], residual=True, kernel_regularizer=keras.regularizers.L2(0.1))
    model = model_of(trunk, keras.Input((3,)))
    assert len(model.losses) == 4  # two dense layers, two projections


def test_two_trunks_of_two_names_fit_into_one_model():
    x = keras.Input((3,))
    joined = keras.layers.Add()([MLP([2])(x), MLP([2], name="other")(x)])
    assert "other_dense_0" in layer_names(keras.Model(x, joined))


@pytest.fixture
def half_precision():
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


@pytest.mark.usefixtures("half_precision")
def test_mixed_precision_reaches_the_representation():
    assert MLP([4])(keras.Input((3,))).dtype == "float16"


def test_a_saved_model_predicts_the_same_and_needs_no_kmtl_class(tmp_path):
    trunk = MLP([4, 4], normalization="layer", residual=True)
    model = model_of(trunk, keras.Input((3,)))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = np.ones((2, 3))
    np.testing.assert_array_equal(
        model.predict(x, verbose=0), loaded.predict(x, verbose=0)
    )


def test_it_is_frozen_and_compares_by_value():
    assert MLP([8, 4]) == MLP((8, 4))
    assert dataclasses.replace(MLP([8]), name="other").name == "other"
    with pytest.raises(dataclasses.FrozenInstanceError):
        MLP([8]).units = (4,)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"units": []}, r"`units` must name at least one width.*lambda x: x"),
        ({"units": 8}, r"`units` must be a sequence of layer widths.*Received: 8"),
        ({"units": [8, 0]}, r"must be a positive integer.*Received: 0"),
        ({"activation": "rellu"}, r"`activation` must be a name.*Received: 'rellu'"),
        ({"dropout": 1.0}, r"`dropout` must be the share.*Received: 1.0"),
        ({"dropout": "0.1"}, r"`dropout` must be the share.*Received: '0.1'"),
        ({"normalization": "bacth"}, r"Received: 'bacth'. Did you mean 'batch'"),
        ({"residual": "yes"}, r"`residual` must be True or False"),
        ({"kernel_initializer": "he"}, r"`kernel_initializer` must be a name"),
        ({"kernel_regularizer": "l3"}, r"`kernel_regularizer` must be a name"),
        ({"name": "my trunk"}, r"`name` must consist of.*Received: 'my trunk'"),
    ],
)
def test_a_wrong_argument_is_an_error_on_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        MLP(**({"units": [8]} | arguments))


def test_an_activation_with_weights_of_its_own_is_an_error():
    with pytest.raises(ValueError, match="a layer would be shared by all widths"):
        MLP([8, 4], activation=keras.layers.PReLU())


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((28, 28, 1), r"shape=\(None, 28, 28, 1\).*Flatten.*kmtl.trunks.CNN"),
        ((5, 3), r"shape=\(None, 5, 3\).*Flatten.*kmtl.trunks.CNN"),
        ((), r"Declare the number of features"),
        ((None,), r"Declare the number of features"),
    ],
)
def test_an_input_that_is_no_row_is_an_error_with_the_remedy(shape, message):
    with pytest.raises(ValueError, match=message):
        MLP([8])(keras.Input(shape))


def test_a_dict_with_an_image_names_the_entry():
    inputs = {"age": keras.Input((1,)), "photo": keras.Input((8, 8, 3))}
    with pytest.raises(ValueError, match=r"`x\['photo'\]` must have shape"):
        MLP([8])(inputs)


def test_text_and_arrays_are_errors_with_the_remedy():
    with pytest.raises(ValueError, match=r"Encode text first.*StringLookup"):
        MLP([8])(keras.Input((1,), dtype="string"))
    with pytest.raises(ValueError, match=r"Received: ndarray.*keras.Model"):
        MLP([8])(np.ones((2, 3)))
