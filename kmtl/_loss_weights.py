"""The loss weights of a model, read and written by task name."""

from collections.abc import Iterator, Mapping

from keras import ops

from kmtl._checks import check_known_keys
from kmtl.layers import TaskOutputs


class LossWeights(Mapping[str, float]):
    """The loss weights of a model by task name; assigning an item takes effect."""

    def __init__(self, layer: TaskOutputs) -> None:
        self._layer = layer

    def __getitem__(self, name: str) -> float:
        names = list(self)
        check_known_keys([name], names, "loss_weights")
        weights = ops.convert_to_numpy(self._layer.loss_weights)
        return float(weights[names.index(name)])

    def __setitem__(self, name: str, value: float) -> None:
        self._layer.assign_loss_weights({name: value})

    def __iter__(self) -> Iterator[str]:
        return (task.name for task in self._layer.tasks)

    def __len__(self) -> int:
        return len(self._layer.tasks)

    def __repr__(self) -> str:
        return repr(dict(self))
