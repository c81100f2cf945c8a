"""What there is to couple in towers."""

import keras

from kmtl._typing import Tensor
from kmtl.layers import SharingWeights, StackedLayer
from kmtl.trunks import Inputs


def tower_weights(inputs: Inputs, towers: Tensor) -> dict[str, bool]:
    """Finds the stacked weights of towers; those that mix tasks are none.

    Args:
        inputs: What the towers start from.
        towers: What they end in.

    Returns:
        By the name that `kmtl.layers.Coupling` takes, `"<layer>/<weight>"`: whether
        the weight is a kernel, a trainable matrix, or more, in each slice.
    """
    return {
        f"{layer.name}/{name}": weight.trainable and len(weight.shape) > 2
        for layer in keras.Model(inputs, towers).layers
        if isinstance(layer, StackedLayer) and not isinstance(layer, SharingWeights)
        for name, weight in layer.stacked_weights.items()
    }
