"""Brings images of bytes and images of floats to one scale."""

import keras
from keras import ops

from kmtl._typing import Tensor

_LARGEST_BYTE = 255.0


@keras.saving.register_keras_serializable(package="kmtl")
class ScaleImage(keras.layers.Layer):
    """Divides images of bytes by 255 and passes images of floats through.

    What is done follows from the dtype alone, never from the values, so training and
    serving cannot differ: `uint8` becomes floats from 0 to 1, floats keep their
    values. Both come out in the compute dtype of the layer.

    Args:
        **kwargs: `name` and `dtype`, as for every Keras layer.

    Call arguments:
        images: Tensor of any shape, of dtype `uint8` or of a float dtype.

    Returns:
        Float tensor of the same shape.

    Raises:
        ValueError: If the dtype is another one. The range of an `int32` image is not
            known, so it is neither scaled nor passed on.

    Example:
        >>> import numpy as np
        >>> import kmtl
        >>> scale = kmtl.layers.ScaleImage()
        >>> np.asarray(scale(np.array([[0, 51, 255]], dtype="uint8"))).round(1).tolist()
        [[0.0, 0.20000000298023224, 1.0]]
        >>> np.asarray(scale(np.array([[0.0, 51.0]], dtype="float32"))).tolist()
        [[0.0, 51.0]]
    """

    def call(self, images: Tensor) -> Tensor:
        dtype = keras.backend.standardize_dtype(images.dtype)
        check_image_dtype(dtype, "images")
        floats = ops.cast(images, self.compute_dtype)
        return floats / _LARGEST_BYTE if dtype == "uint8" else floats


def check_image_dtype(dtype: str, subject: str) -> None:
    """Raises `ValueError` unless images of this dtype have a known scale."""
    if dtype != "uint8" and not keras.backend.is_float_dtype(dtype):
        raise ValueError(
            f"`{subject}` must be uint8 (0 to 255, scaled by kmtl) or floats "
            f"(scaled by you). Received: dtype={dtype}. Cast: `images.astype('uint8')`."
        )
