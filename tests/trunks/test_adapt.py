"""`kmtl.trunks.as_trunk`: what may be a trunk, and what may not."""

import keras
import numpy as np
import pytest

from kmtl.trunks import CNN, MLP, as_trunk


def table_and_photo():
    """A model with two inputs, `age` and `photo`."""
    age = keras.Input((2,), name="age")
    photo = keras.Input((8, 8, 1), name="photo", dtype="uint8")
    joined = keras.layers.Concatenate()([age, CNN([4])(photo)])
    return keras.Model([age, photo], joined)


@pytest.mark.parametrize(
    "trunk",
    [
        MLP([4]),
        keras.layers.Dense(4),
        [MLP([8]), keras.layers.Dense(4)],
        (keras.layers.Dense(4),),
        keras.Sequential([keras.layers.Dense(4)]),
        keras.Sequential([keras.Input((3,)), keras.layers.Dense(4)]),
        lambda x: keras.ops.concatenate([x, x[:, :1]], axis=-1),
    ],
    ids=["mlp", "layer", "list", "tuple", "sequential", "built", "function"],
)
def test_everything_that_maps_one_tensor_is_a_trunk(trunk):
    assert as_trunk(trunk)(keras.Input((3,))).shape == (None, 4)


@pytest.mark.parametrize(
    "trunk",
    [MLP([4]), keras.layers.Dense(4), keras.Sequential([keras.layers.Dense(4)])],
    ids=["mlp", "layer", "model"],
)
def test_a_dict_with_one_input_is_that_input(trunk):
    assert as_trunk(trunk)({"x": keras.Input((3,))}).shape == (None, 4)


def test_a_trained_model_keeps_its_weights():
    x = keras.Input((3,))
    pretrained = keras.Model(x, keras.layers.Dense(4)(x))
    inputs = keras.Input((3,))
    model = keras.Model(inputs, as_trunk(pretrained)(inputs))
    np.testing.assert_array_equal(model.get_weights()[0], pretrained.get_weights()[0])


def test_a_network_of_keras_applications_is_a_trunk():
    network = keras.applications.MobileNetV2(
        include_top=False,
        weights=None,
        input_shape=(32, 32, 3),
        pooling="avg",
        alpha=0.35,
    )
    assert as_trunk(network)(keras.Input((32, 32, 3))).shape == (None, 1280)


def test_a_subclassed_model_gets_the_inputs_as_they_are():
    class Sum(keras.Model):
        def call(self, x):
            return x["a"] + x["b"]

    assert (
        as_trunk(Sum())({"a": keras.Input((3,)), "b": keras.Input((3,))}).shape[1] == 3
    )


def test_inputs_reach_a_model_by_name_whatever_their_order():
    model = table_and_photo()
    photo, age = keras.Input((8, 8, 1), dtype="uint8"), keras.Input((2,))
    outer = keras.Model([photo, age], as_trunk(model)({"photo": photo, "age": age}))
    images, ages = np.ones((3, 8, 8, 1), "uint8"), np.ones((3, 2))
    np.testing.assert_array_equal(
        outer.predict([images, ages], verbose=0),
        model.predict([ages, images], verbose=0),
    )


def test_a_model_made_with_a_dict_of_inputs_is_a_trunk():
    a, b = keras.Input((2,), name="a"), keras.Input((3,), name="b")
    model = keras.Model({"b": b, "a": a}, keras.layers.Concatenate()([a, b]))
    joined = as_trunk(model)({"b": keras.Input((3,)), "a": keras.Input((2,))})
    assert joined.shape == (None, 5)


def test_a_misspelt_input_name_is_an_error_with_a_hint():
    inputs = {"age": keras.Input((2,)), "foto": keras.Input((8, 8, 1))}
    with pytest.raises(ValueError, match=r"'foto'\]. Did you mean 'photo'\?.*Rename"):
        as_trunk(table_and_photo())(inputs)


def test_a_missing_and_an_unused_input_are_errors():
    age, photo = keras.Input((2,)), keras.Input((8, 8, 1), dtype="uint8")
    trunk = as_trunk(table_and_photo())
    with pytest.raises(ValueError, match=r"every input by its name.*'photo'\]"):
        trunk({"photo": photo})
    with pytest.raises(ValueError, match=r"Received: \['age', 'photo', 'more'\]"):
        trunk({"age": age, "photo": photo, "more": age})


def test_one_tensor_for_two_inputs_is_an_error():
    with pytest.raises(ValueError, match=r"takes the inputs \['age', 'photo'\]"):
        as_trunk(table_and_photo())(keras.Input((2,)))


@pytest.mark.parametrize("shape", [(32, 32, 1), (16, 16, 3), (32, 32)])
def test_an_image_of_another_shape_is_an_error(shape):
    x = keras.Input((32, 32, 3), name="photo")
    network = keras.Model(x, CNN([2])(x))
    with pytest.raises(ValueError, match=r"its input 'photo' as float32.*Received"):
        as_trunk(network)(keras.Input(shape))


def test_floats_for_a_model_of_bytes_are_an_error():
    x = keras.Input((32, 32, 3), name="photo", dtype="uint8")
    network = keras.Model(x, CNN([2])(x))
    with pytest.raises(ValueError, match=r"'photo' as uint8.*Received: float32"):
        as_trunk(network)(keras.Input((32, 32, 3)))


@pytest.mark.parametrize(
    ("trunk", "message"),
    [
        (MLP, r"must be an object, not a class. Received: MLP. Create one: `MLP\("),
        (keras.layers.Dense, r"not a class. Received: Dense"),
        ("mlp", r"kmtl.trunks.MLP.*Received: 'mlp'"),
        (64, r"kmtl.trunks.MLP.*Received: 64"),
        (None, r"kmtl.trunks.MLP.*Received: None"),
        ({"units": 3}, r"kmtl.trunks.MLP.*Received: {'units': 3}"),
        ([], r"at least one layer. Received: \[\]"),
        ([128, 64], r"`trunk\[0\]` must be a trunk such as `kmtl.trunks.MLP"),
        ([keras.layers.Dense], r"`trunk\[0\]` must be an object, not a class"),
    ],
)
def test_what_is_no_trunk_is_an_error_with_the_remedy(trunk, message):
    with pytest.raises(ValueError, match=message):
        as_trunk(trunk)


@pytest.mark.parametrize(
    ("trunk", "received"),
    [
        (lambda x: {"a": x, "b": x}, r"a dict with \['a', 'b'\]"),
        (lambda x: [x, x], "a list of 2"),
        (lambda _: None, "NoneType"),
        (lambda _: np.ones((2, 3)), "ndarray"),
        ([lambda x: x, lambda x: (x,)], "a tuple of 1"),
    ],
)
def test_a_trunk_returns_one_symbolic_tensor(trunk, received):
    with pytest.raises(ValueError, match=f"must return one symbolic.*{received}"):
        as_trunk(trunk)(keras.Input((3,)))


def test_a_model_with_two_outputs_is_an_error():
    x = keras.Input((3,))
    with pytest.raises(
        ValueError, match=r"must return one symbolic.*Choose one output"
    ):
        as_trunk(keras.Model(x, {"a": x * 2, "b": x}))(keras.Input((3,)))


def test_errors_use_the_name_that_the_caller_gives():
    with pytest.raises(ValueError, match=r"`head\[1\]` must be a trunk such as"):
        as_trunk([keras.layers.Dense(2), 3], subject="head")
