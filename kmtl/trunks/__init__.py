"""Trunks: what all tasks share, from the inputs to one representation.

A trunk is anything that maps a symbolic tensor (or a dict of them) to one tensor: `MLP`
and `CNN` of this module, a `keras.Model`, a layer, a list of layers, or a function.

Example:
    >>> import keras
    >>> import kmtl
    >>> trunk = kmtl.trunks.MLP([64, 32], dropout=0.1)
    >>> trunk(keras.Input((8,))).shape
    (None, 32)
"""

from kmtl.trunks._adapt import as_trunk
from kmtl.trunks._cnn import CNN
from kmtl.trunks._kit import Kit, Single, Stack
from kmtl.trunks._mlp import MLP
from kmtl.trunks._trunk import Inputs, Stage, Trunk

__all__ = [
    "CNN",
    "MLP",
    "Inputs",
    "Kit",
    "Single",
    "Stack",
    "Stage",
    "Trunk",
    "as_trunk",
]
