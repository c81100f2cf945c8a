"""The part of a model that tasks share, without heads: quick to build and to call."""

import keras
import numpy as np

import kmtl
from kmtl.layers import StackedLayer
from kmtl.layers._per_task import draw_seed

TASKS = [
    kmtl.BinaryTask("a"),
    kmtl.BinaryTask("b"),
    kmtl.RegressionTask("c", standardize=False),
]
NAMES = [task.name for task in TASKS]
MLP = kmtl.trunks.MLP([8, 6], activation="tanh")
CNN = kmtl.trunks.CNN([4, 6], activation="tanh")
ROWS = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
IMAGES = np.random.default_rng(0).normal(size=(2, 9, 8, 1)).astype("float32")


def encoder(sharing, trunk=MLP, inputs=ROWS, *, tasks=TASKS, seed=0):
    """Builds a model from the inputs to what a sharing returns."""
    keras.utils.set_random_seed(seed)
    x = keras.Input(inputs.shape[1:])
    return keras.Model(x, sharing(trunk, x, tasks))


def independent(trunk=MLP, inputs=ROWS):
    """Towers that share nothing, with the initial values of other towers."""

    def towers(trunk, x, tasks):
        kit = kmtl.trunks.Stack([task.name for task in tasks], seed=draw_seed())
        return trunk.apply(kit, x)

    return encoder(towers, trunk, inputs)


def move_weights(model, seed=1):
    """Moves all trained weights off their initial values."""
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        value = keras.ops.convert_to_numpy(variable)
        variable.assign(value + rng.normal(scale=0.3, size=value.shape))


def layers_of(model, kind):
    return [layer for layer in model.layers if isinstance(layer, kind)]


def copy_slice(stacked, index, single):
    """Gives a model of ordinary layers the weights of one slice of a stacked one.

    Args:
        stacked: A model with stacks of layers.
        index: The slice.
        single: A model with ordinary layers of the same names.
    """
    for layer in filter(lambda layer: layer.weights, single.layers):
        source = stacked.get_layer(layer.name)
        values = source.get_weights()
        if isinstance(source, StackedLayer):
            values = [weight[index] for weight in values]
        layer.set_weights(values)
