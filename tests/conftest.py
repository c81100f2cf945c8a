"""What every test starts from."""

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    """Layer names count from 0 and draws repeat, whatever ran before."""
    keras.utils.clear_session(free_memory=False)  # a garbage collection takes 0.4 s
    keras.utils.set_random_seed(0)


@pytest.fixture
def in_float64():
    """Keras computes in float64."""
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")
