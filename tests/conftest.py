"""What every test starts from."""

import keras
import pytest


@pytest.fixture(autouse=True)
def fresh_keras():
    """Layer names count from 0 and draws repeat, whatever ran before."""
    keras.utils.clear_session()
    keras.utils.set_random_seed(0)
