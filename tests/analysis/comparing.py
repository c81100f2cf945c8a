"""A small comparison: builders that other processes can import, and rows."""

import keras
import numpy as np

import kmtl

TASKS = [kmtl.RegressionTask("price"), kmtl.BinaryTask("sold")]


def some_rows(count=60, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(count, 3)).astype("float32")
    noise = rng.normal(size=(2, count))
    return x, {"price": x[:, 0] + noise[0], "sold": x[:, 0] + noise[1] > 0}


def build(train, tasks, seed, width=4):
    """A model that runs eagerly: quick to start."""
    del seed
    trunk = kmtl.trunks.MLP([width])
    model = kmtl.build_mtl_model(
        train, tasks, trunk=trunk, optimizer=keras.optimizers.SGD(0.1)
    )
    model.compile(run_eagerly=True)
    return model


def build_small(train, tasks, seed):
    return build(train, tasks, seed, width=2)


def build_nothing(train, tasks, seed):
    del train, tasks, seed


def break_down(train, tasks, seed):
    """Builds a model but for the second task alone."""
    if [task.name for task in tasks] == ["sold"] and seed == 1:
        raise RuntimeError("out of luck")
    return build(train, tasks, seed)


def compare(data=None, tasks=TASKS, **options):
    """Compares with little to do."""
    defaults = {"build": build, "seeds": 2, "epochs": 1, "batch_size": 64}
    options = {**defaults, "verbose": False, **options}
    return kmtl.compare(some_rows() if data is None else data, tasks, **options)
