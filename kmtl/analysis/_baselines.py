"""The networks of a comparison, and how wide those of one task are."""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import keras
import numpy as np

from kmtl._typing import ByTask
from kmtl.balancing import Balancing
from kmtl.builder import build_mtl_model, default_trunk
from kmtl.features import TabularFeatures
from kmtl.model import MTLModel
from kmtl.tasks import Task
from kmtl.trunks import CNN, MLP

Build: TypeAlias = Callable[[Any, Sequence[Task], int], MTLModel]
"""`build(train, tasks, seed)` makes a compiled model."""

_NARROWEST, _WIDEST = 1 / 64, 16.0  # of the trunk, as a share of the one given
_CLOSE = 0.01  # parameters that are near enough, as a share
_ROUNDS = 12


@dataclass(frozen=True)
class Network:
    """Builds models as `kmtl.build_mtl_model` does; see there for the fields."""

    trunk: Any = None
    sharing: Any = None
    head_units: Sequence[int] = ()
    optimizer: Any = "adam"
    features: TabularFeatures | None = None
    loss_weights: ByTask | None = None
    balancing: Balancing | None = None

    def __call__(self, train: Any, tasks: Sequence[Task], seed: int) -> MTLModel:
        """Builds a model; the seed is set already."""
        del seed
        settings = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        settings["optimizer"] = _fresh(self.optimizer)
        # Layers of a trunk or a head that is given would go on with their weights.
        own = copy.deepcopy([self.trunk, self.sharing, list(tasks)])
        settings["trunk"], settings["sharing"], tasks = own
        return build_mtl_model(train, tasks, **settings)

    @property
    def has_width(self) -> bool:
        """Whether the width of the trunk can be changed."""
        return isinstance(self.trunk, (MLP, CNN))

    def single(self) -> "Network":
        """Returns the builder of networks of one task: the trunk, then a head."""
        return dataclasses.replace(
            self, sharing=None, loss_weights=None, balancing=None
        )

    def scaled(self, share: float) -> "Network":
        """Returns the builder of networks whose trunk is as wide as a share of it."""
        field = "units" if isinstance(self.trunk, MLP) else "filters_per_stage"
        widths = [max(1, round(w * share)) for w in getattr(self.trunk, field)]
        trunk = dataclasses.replace(self.trunk, **{field: widths})
        return dataclasses.replace(self, trunk=trunk)


def with_default_trunk(network: Network, train: Any) -> Network:
    """Returns the builder with the trunk that it has for some training data."""
    if network.trunk is not None:
        return network
    is_array = isinstance(train, np.ndarray)
    trunk = default_trunk(keras.Input(train.shape[1:]) if is_array else None)
    return dataclasses.replace(network, trunk=trunk)


def of_parameters(
    network: Network, target: int, tasks: Sequence[Task], train: Callable[[Task], Any]
) -> tuple[Network, int]:
    """Finds how wide networks of one task are that have a number of weights together.

    Args:
        network: Builds networks of one task.
        target: The number of trained weights.
        tasks: The tasks, each for a network of its own.
        train: Gives the training data of a task.

    Returns:
        The builder of the networks, and their number of trained weights.
    """
    found = {1.0: _total(network, tasks, train)}
    low, high = np.log(_NARROWEST), np.log(_WIDEST)
    share = 1.0
    for _ in range(_ROUNDS):
        if abs(found[share] / target - 1) < _CLOSE:
            break
        low, high = (
            (low, np.log(share)) if found[share] > target else (np.log(share), high)
        )
        share = float(np.exp((low + high) / 2))
        found[share] = _total(network.scaled(share), tasks, train)
    best = min(found, key=lambda share: abs(found[share] - target))
    return (network if best == 1.0 else network.scaled(best)), found[best]


def parameters(model: Any) -> int:
    """Returns the number of trained weights of a model."""
    return int(sum(np.prod(v.shape, dtype="int64") for v in model.trainable_variables))


def _total(
    network: Network, tasks: Sequence[Task], train: Callable[[Task], Any]
) -> int:
    """Counts the weights of all networks; those with heads of one form count alike."""
    forms: dict[Any, list[Task]] = {}
    for task in tasks:
        form = task.units, task.head_units, id(task.head)
        forms.setdefault(form, []).append(task)
    return sum(
        len(same) * parameters(network(train(same[0]), same[:1], 0))
        for same in forms.values()
    )


def _fresh(optimizer: Any) -> Any:
    """Returns an optimizer like the one given that has trained nothing."""
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    return type(optimizer).from_config(optimizer.get_config())
