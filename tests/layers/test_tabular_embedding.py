import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from kmtl.features import TabularFeatures
from kmtl.layers._tabular_embedding import TabularEmbedding

NUMBERS = np.array([[-5.0], [-1.0], [-0.5], [0.0], [1.5], [2.0], [9.0]], np.float32)


@pytest.fixture
def encoded():
    return {
        "numeric": np.array([[0.5, 1.0], [-2.0, 0.0]], np.float32),
        "categorical": np.array([[0, 2], [2, 1]], np.int32),
        "text": np.array([[[2, 3, 2]], [[0, 0, 0]]], np.int32),
    }


@pytest.fixture
def layer():
    return TabularEmbedding([(-1.0, 0.0, 2.0), ()], [3, 4], [5], dim=6, text_dim=7)


def test_piecewise_linear_encoding_matches_gorishniy_et_al():
    # arXiv:2203.05556, equation 1, between the outer edges.
    layer = TabularEmbedding([(-1.0, 0.0, 2.0)])
    encoding = np.asarray(layer({"numeric": NUMBERS}))[:, 1:3]
    expected = [[0, 0], [0, 0], [0.5, 0], [1, 0], [1, 0.75], [1, 1], [1, 1]]
    np.testing.assert_allclose(encoding, expected)


def test_tails_are_the_logarithms_of_the_distances():
    layer = TabularEmbedding([(-1.0, 0.0, 2.0)])
    tail = np.asarray(layer({"numeric": NUMBERS}))[:, 3]
    expected = [-np.log(5), 0, 0, 0, 0, 0, np.log(8)]
    np.testing.assert_allclose(tail, expected, rtol=1e-6)


def test_numbers_are_squashed_into_three_deviations():
    values = np.array([[-1e15], [-3.0], [0.0], [0.1], [1e15]], np.float32)
    squashed = TabularEmbedding([()])({"numeric": values})
    expected = [-3.0, -3.0 / np.sqrt(2.0), 0.0, 0.1 / np.sqrt(1 + 1 / 900), 3.0]
    np.testing.assert_allclose(np.ravel(squashed), expected, rtol=1e-6)


def test_channels_are_in_order(layer, encoded):
    # Two squashed numbers, two bins, one tail, two categories of 6, one text of 7.
    assert layer(encoded).shape == (2, 2 + 2 + 1 + 2 * 6 + 7)


def test_categories_are_rows_of_one_table(layer, encoded):
    features = np.asarray(layer(encoded))
    table = np.asarray(layer.category_table)
    np.testing.assert_array_equal(features[0, 5:11], table[0])
    np.testing.assert_array_equal(features[0, 11:17], table[3 + 2])
    np.testing.assert_array_equal(features[1, 5:11], table[2])
    np.testing.assert_array_equal(features[1, 11:17], table[3 + 1])


def test_a_text_is_the_mean_of_its_words(layer, encoded):
    features = np.asarray(layer(encoded))
    table = np.asarray(layer.word_table)
    mean = (2 * table[2] + table[3]) / 3
    np.testing.assert_allclose(features[0, 17:], mean, rtol=1e-6)


def test_a_text_without_words_is_zero(layer, encoded):
    np.testing.assert_array_equal(np.asarray(layer(encoded))[1, 17:], np.zeros(7))


def test_tables_start_as_those_of_keras_embeddings():
    layer = TabularEmbedding(category_sizes=[5000], dim=8)
    layer.build()
    own = keras.layers.Embedding(5000, 8)
    own.build()
    for table in (layer.category_table, own.embeddings):
        assert np.abs(table).max() <= 0.05
        assert np.std(table) == pytest.approx(0.05 / np.sqrt(3), rel=0.02)


def test_the_config_restores_the_layer(layer, encoded):
    expected = layer(encoded)
    restored = TabularEmbedding.from_config(layer.get_config())
    restored.build()
    restored.set_weights(layer.get_weights())
    np.testing.assert_array_equal(restored(encoded), expected)


def test_a_saved_model_predicts_the_same(layer, encoded, tmp_path):
    inputs = {
        "numeric": keras.Input((2,), name="numeric"),
        "categorical": keras.Input((2,), dtype="int32", name="categorical"),
        "text": keras.Input((1, 3), dtype="int32", name="text"),
    }
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(encoded), model(encoded))


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16", "float64"])
def test_numbers_keep_their_bins_under_every_policy(encoded, policy):
    edges = np.linspace(0.4999, 0.5001, 5, dtype=np.float32)
    wide = TabularEmbedding([edges, ()])
    layer = TabularEmbedding([edges, ()], dtype=policy)
    numbers = {"numeric": encoded["numeric"] + 1e-5}
    assert layer(numbers).dtype == layer.compute_dtype
    np.testing.assert_allclose(
        np.asarray(layer(numbers), np.float32), wide(numbers), atol=1e-2
    )


def test_float64_everywhere(layer, encoded):
    layer = TabularEmbedding.from_config({**layer.get_config(), "dtype": "float64"})
    assert layer(encoded).dtype == tf.float64


@pytest.mark.parametrize("dtype", ["float32", "mixed_float16"])
def test_xla_computes_the_same(layer, encoded, dtype):
    layer = TabularEmbedding.from_config({**layer.get_config(), "dtype": dtype})
    compiled = tf.function(layer, jit_compile=True)
    tensors = {k: tf.constant(v) for k, v in encoded.items()}
    np.testing.assert_allclose(compiled(tensors), layer(encoded), rtol=1e-3)


def test_gradients_of_the_tables_match_differences(layer, encoded):
    layer = TabularEmbedding.from_config({**layer.get_config(), "dtype": "float64"})
    layer.build()
    tensors = {k: tf.constant(v) for k, v in encoded.items()}

    def total(categories, words):
        outputs, _ = layer.stateless_call([categories, words], [], tensors)
        return tf.reduce_sum(outputs**2)

    weights = [tf.constant(w) for w in layer.get_weights()]
    exact, numeric = tf.test.compute_gradient(total, weights)
    np.testing.assert_allclose(exact[0], numeric[0], atol=1e-6)
    np.testing.assert_allclose(exact[1], numeric[1], atol=1e-6)


def test_the_layer_of_a_frame_takes_its_encoding():
    frame = pd.DataFrame(
        {
            "age": [1.0, 5.0, 2.5, np.nan],
            "city": ["a", "b", "a", None],
            "born": pd.date_range("2020-01-01", periods=4),
            "note": ["a b", "c d", "e f", "g h"],
        }
    )
    features = TabularFeatures.from_frame(frame)
    layer = TabularEmbedding.from_features(features, dim=2)
    outputs = layer(features.encode(frame))
    assert outputs.shape == (4, layer(features.encoded_inputs()).shape[1])
    assert np.isfinite(outputs).all()


@pytest.mark.parametrize("edges", [(1.0,), (1.0, 1.0), (2.0, 1.0), (1.0, 1.0 + 1e-12)])
def test_edges_must_increase(edges):
    with pytest.raises(ValueError, match=r"`numeric_edges`.*strictly increasing"):
        TabularEmbedding([edges])


def test_an_empty_layer_is_refused():
    with pytest.raises(ValueError, match="something to embed"):
        TabularEmbedding()


def test_widths_must_be_positive():
    with pytest.raises(ValueError, match="`dim` must be a positive integer"):
        TabularEmbedding([()], dim=0)
