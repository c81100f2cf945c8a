"""Small models and data that many tests share."""

import keras
import numpy as np
import pytest

import kmtl

FEATURES = 4
TRUNK = kmtl.trunks.MLP([8], activation="tanh")


def slow_but(quick, name):
    """The marks of a test of one of several names."""
    return () if name in quick else pytest.mark.slow


def some_tasks(**options):
    """Two tasks that share a stack, and one of each other kind."""
    return [
        kmtl.BinaryTask("click", **options),
        kmtl.MulticlassTask("colour", classes=3, **options),
        kmtl.RegressionTask("price", standardize=False, **options),
        kmtl.BinaryTask("buy", **options),
    ]


def some_inputs(rows=24, seed=0):
    draws = np.random.default_rng(seed).normal(size=(rows, FEATURES))
    return draws.astype(keras.config.floatx())


def some_labels(tasks, rows=24, seed=1):
    """Labels of every task, none missing, as floats."""
    rng = np.random.default_rng(seed)
    draws = {
        kmtl.BinaryTask: lambda _: rng.integers(0, 2, rows),
        kmtl.MulticlassTask: lambda task: rng.integers(0, task.units, rows),
        kmtl.RegressionTask: lambda _: rng.uniform(0.1, 0.9, rows),
    }
    return {task.name: draws[type(task)](task).astype(float) for task in tasks}


def build(tasks, *, seed=0, **options):
    """Builds a small model that runs eagerly: quick to start, and quick to debug."""
    keras.utils.set_random_seed(seed)
    model = kmtl.build_mtl_model(
        options.pop("inputs", (FEATURES,)),
        tasks,
        **{"trunk": TRUNK, "optimizer": keras.optimizers.SGD(0.1), **options},
    )
    model.compile(run_eagerly=True)
    return model


def slice_of(layer, name, x):
    """A layer of one slice of a stack, with the weights of that slice."""
    single = type(layer).from_config({**layer.get_config(), "tasks": [name]})
    single(x)
    single.copy_slices(layer)
    return single


def fit(model, x, y, *, epochs=1, batch_size=12, **options):
    """Trains without shuffling; returns the logs of the last epoch."""
    history = model.fit(
        x, y, epochs=epochs, batch_size=batch_size, shuffle=False, verbose=0, **options
    ).history
    return {name: values[-1] for name, values in history.items()}


def evaluate(model, x, y, **options):
    return model.evaluate(x, y, return_dict=True, verbose=0, **options)


def weights_by_path(model):
    """Trained weights by the path of their variable."""
    return {v.path: keras.ops.convert_to_numpy(v) for v in model.trainable_variables}


def head_slices(model, task):
    """The weights of the built-in head of one task, first layer first."""
    return [
        keras.ops.convert_to_numpy(weight)[layer.tasks.index(task)]
        for layer in model.layers
        if isinstance(layer, kmtl.layers.TaskDense) and task in layer.tasks
        for weight in layer.weights
    ]


def plain_twin(model, activations=None):
    """Makes plain functional Keras of a model: one chain of `Dense` layers a task.

    Args:
        model: A model with built-in heads.
        activations: By task name, what comes after the last layer; nothing by default.
    """
    encoder = keras.models.clone_model(model.encoder)
    encoder.set_weights(model.encoder.get_weights())
    outputs = {
        task.name: _plain_head(model, task, encoder.output, activations or {})
        for task in model.tasks
    }
    return keras.Model(encoder.input, outputs)


def _plain_head(model, task, tensor, activations):
    chain = [
        layer
        for layer in model.layers
        if isinstance(layer, kmtl.layers.TaskDense) and task.name in layer.tasks
    ]
    for depth, stacked in enumerate(chain):
        dense = keras.layers.Dense(
            stacked.units, activation=stacked.activation, name=f"{task.name}_{depth}"
        )
        tensor = dense(tensor)
        index = stacked.tasks.index(task.name)
        dense.set_weights([weight[index] for weight in stacked.get_weights()])
    activation = activations.get(task.name, "linear")
    return keras.layers.Activation(activation, name=task.name)(tensor)


def assert_same_weights(model, twin, **tolerance):
    """Compares a model with its plain twin, weight by weight."""
    expected = plain_twin(model)
    for ours, theirs in zip(expected.get_weights(), twin.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)
