"""The dtype in which outputs and losses are computed."""

import keras


def wide_dtype() -> str:
    """Dtype of outputs and losses: float32, or float64 where Keras is set to it."""
    return "float64" if keras.config.floatx() == "float64" else "float32"
