"""Soft parameter sharing."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field

from kmtl._checks import check_flag, did_you_mean, shorten
from kmtl._typing import Tensor
from kmtl.layers import Coupling
from kmtl.layers._per_task import draw_seed
from kmtl.regularizers import MeanL2, ProximalRegularizer, TaskRegularizer
from kmtl.sharing._tower_weights import tower_weights
from kmtl.tasks import Task
from kmtl.trunks import Inputs, Stack, Trunk


@dataclass(frozen=True)
class Soft:
    """A tower for each task; a regularizer draws their weights together.

    All towers have the form of the trunk and start equal, from its weights where it is
    a Keras model. What encodes a table comes before the towers and is shared. The
    penalty is summed over the coupled weights and logged as `sharing_penalty`.
    `model.sharing_strength` reads and sets its strength,
    `kmtl.callbacks.SharingStrength` lets it follow a schedule, and
    `model.tower_distances()` tells how far apart the towers are.

    Args:
        regularizer: One of `kmtl.regularizers`. With strength 0 the towers are
            independent; a large strength of `MeanL2` keeps them equal.
        layers: Which weights are coupled: names of layers of the trunk, for their
            kernels, or `"<layer>/<weight>"`. By default every kernel; biases and
            normalisation are left to each task.
        heads: Whether kernels of heads of the same form are coupled too, as for
            linear models, whose trunk is `lambda x: x`.
        proximal: Whether the penalty acts as a proximal step after the optimizer's, in
            place of a gradient: exact zeros with `GroupLasso`, exact low rank with
            `TraceNorm`. The step is strength times the learning rate, which is proximal
            gradient descent with `SGD`; other optimizers scale their own step, not
            this one.

    Reference:
        Duong et al., "Low Resource Dependency Parsing: Cross-lingual Parameter Sharing
        in a Neural Network Parser", ACL 2015; Yang and Hospedales, "Trace Norm
        Regularised Deep Multi-Task Learning", 2017, https://arxiv.org/abs/1606.04038.

    Example:
        >>> import keras, kmtl
        >>> trunk, inputs = kmtl.trunks.MLP([16]), keras.Input((8,))
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> kmtl.sharing.Soft(kmtl.regularizers.MeanL2(0.1))(trunk, inputs, tasks).shape
        (None, 2, 16)
    """

    regularizer: TaskRegularizer = field(default_factory=MeanL2)
    _: KW_ONLY
    layers: Sequence[str] | None = None
    heads: bool = False
    proximal: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.regularizer, TaskRegularizer):
            raise TypeError(
                "`regularizer` must be one of `kmtl.regularizers`, such as "
                f"`MeanL2(1e-3)`. Received: {self.regularizer!r}. Derive your own from "
                "`kmtl.regularizers.TaskRegularizer`."
            )
        if isinstance(self.layers, str):
            raise ValueError(
                f"`layers` must be a list of names. Received: {self.layers!r}."
            )
        check_flag(self.heads, "heads")
        check_flag(self.proximal, "proximal")
        if self.proximal and not isinstance(self.regularizer, ProximalRegularizer):
            raise ValueError(
                "`proximal` needs a regularizer with a proximal step, such as "
                "`GroupLasso` or `TraceNorm`. "
                f"Received: {type(self.regularizer).__name__}."
            )

    def __call__(self, trunk: Trunk, inputs: Inputs, tasks: Sequence[Task]) -> Tensor:
        """Builds the towers.

        Args:
            trunk: The form of a tower.
            inputs: A symbolic tensor or a dict of them.
            tasks: The tasks, one a tower.

        Returns:
            Symbolic tensor `(batch, tasks, features)`; nothing in it is shared.

        Raises:
            ValueError: If `layers` names what does not exist, or nothing is coupled.
        """
        names = [task.name for task in tasks]
        kit = Stack(names, seed=draw_seed(), same_start=True)
        towers = trunk.apply(kit, inputs)
        weights = _choose(tower_weights(inputs, towers), self.layers)
        if not weights and not self.heads:
            raise ValueError(
                "`Soft` found no kernel to couple. Couple the heads with "
                "`Soft(..., heads=True)`, or give a trunk with trainable layers. "
                f"Received: layers={self.layers!r}."
            )
        return Coupling(
            self.regularizer.for_tasks(names),
            weights,
            heads=self.heads,
            proximal=self.proximal,
            name="coupling",
        )(towers)


def _choose(stacked: dict[str, bool], layers: Sequence[str] | None) -> list[str]:
    kernels = [name for name, is_kernel in stacked.items() if is_kernel]
    if layers is None:
        return kernels
    chosen = []
    for layer in layers:
        own = [name for name in kernels if _layer_of(name) == layer]
        own = own or [name for name in stacked if name == layer]
        if not own:
            known = [_layer_of(name) for name in kernels]
            raise ValueError(
                f"`layers` names no layer of the trunk with a kernel. Received: "
                f"{layer!r}.{did_you_mean(layer, [*known, *stacked])} "
                f"Known: {shorten(known)}; weights: {shorten(stacked)}."
            )
        chosen += own
    return chosen


def _layer_of(weight: str) -> str:
    return weight.rsplit("/", 1)[0]
