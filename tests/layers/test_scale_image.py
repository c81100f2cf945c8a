"""`ScaleImage`: bytes become 0 to 1, floats stay."""

import keras
import numpy as np
import pytest

from kmtl.layers._scale_image import ScaleImage

BYTES = np.array([[0, 51, 255]], dtype="uint8")


def test_bytes_are_divided_by_255():
    np.testing.assert_allclose(ScaleImage()(BYTES), [[0.0, 0.2, 1.0]], rtol=1e-6)


def test_floats_keep_their_values():
    np.testing.assert_array_equal(ScaleImage()(BYTES.astype("float32")), BYTES)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize("image", ["uint8", "float32"])
def test_the_result_is_in_the_compute_dtype(dtype, image):
    assert ScaleImage(dtype=dtype)(keras.ops.cast(BYTES, image)).dtype == dtype


@pytest.mark.parametrize("dtype", ["int32", "int64", "bool"])
def test_a_dtype_of_unknown_scale_is_an_error(dtype):
    with pytest.raises(ValueError, match=rf"Received: dtype={dtype}.*astype"):
        ScaleImage()(BYTES.astype(dtype))


def test_a_saved_model_takes_bytes_and_predicts_the_same(tmp_path):
    inputs = keras.Input((3,), dtype="uint8")
    model = keras.Model(inputs, ScaleImage()(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        model.predict(BYTES, verbose=0), loaded.predict(BYTES, verbose=0)
    )
    assert loaded.inputs[0].dtype == "uint8"
