"""Which epoch of training is to be read."""

from dataclasses import dataclass


@dataclass
class Epoch:
    """The epoch that `fit` is in: a dataset asks for it when it starts to be read."""

    number: int = 0
