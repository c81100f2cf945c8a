"""What every test starts from."""

import gc
import itertools
import os

# One worker a core: threads of their own would only wait for each other's.
os.environ.setdefault("TF_NUM_INTRAOP_THREADS", "1")
os.environ.setdefault("TF_NUM_INTEROP_THREADS", "1")

import keras
import pytest

TESTS = itertools.count(1)


# To search for garbage in all that TensorFlow keeps takes seconds. It is done rarely,
# and what is still there after a hundred tests is not searched again.


def pytest_sessionstart():
    gc.freeze()
    gc.set_threshold(100_000)


def pytest_collectstart(collector):
    # Layers draw the seeds of their weights when they are made, some by a module.
    if isinstance(collector, pytest.Module):
        keras.utils.set_random_seed(0)


def pytest_runtest_logfinish():
    if next(TESTS) % 100 == 0:
        gc.collect()
        gc.freeze()


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
