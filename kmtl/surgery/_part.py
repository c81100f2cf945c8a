"""A part of the graph of a model with fewer slices, on the variables of the model."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
from keras import ops

from kmtl._training._own_layers import AsItIs
from kmtl._typing import Config, Tensor
from kmtl.layers import FoldTasks, StackedLayer, TakeTasks
from kmtl.layers._by_slice import works_by_slice
from kmtl.model import MTLModel
from kmtl.surgery._rebuild import layer_config, slices_in_heads
from kmtl.surgery._slices import SliceChange, changed_slices

# By axis of a weight the runs of places that stay, of an axis that gets shorter.
_Places: TypeAlias = Mapping[int, list[slice]]


class Part:
    """The layers between the inputs of a model and the logits of a head group.

    Layers that keep all their slices are called as they are. The others are made anew
    with fewer; their own variables only stand in for parts of the variables of the
    model, which `state` gives.

    Args:
        model: The model, which stays as it is.
        logits: The symbolic logits of the head group.
        slices: Names of the slices of the representation, if it has any.
        heads: What becomes of slices in the heads.
        encoder: What becomes of slices in the encoder.
        kept: Positions of the slices of the representation that stay; `None` for all.

    Attributes:
        graph: A model from the inputs to the logits. To be called where the variables
            have the values of `state`.

    Raises:
        ValueError: If a layer of the encoder may mix the slices.
    """

    def __init__(
        self,
        model: MTLModel,
        logits: Tensor,
        *,
        slices: Sequence[str] | None,
        heads: SliceChange,
        encoder: SliceChange,
        kept: Sequence[int] | None = None,
    ) -> None:
        self._slices, self._kept = slices, kept
        self._heads, self._encoder = heads, encoder
        self._in_encoder = {id(layer) for layer in model.encoder.layers}
        self._counterparts: dict[int, Any] = {}  # by the layer of the model
        self._originals: dict[int, Any] = {}  # and back
        self._sliced: set[int] = set()  # symbolic tensors with fewer slices
        self.graph = keras.models.clone_model(
            keras.Model(model.input, logits),
            clone_function=self._counterpart,
            call_function=self._called,
        )
        self._stand_ins = [
            stand_in
            for new in self._counterparts.values()
            if isinstance(new, keras.layers.Layer)
            for stand_in in _stand_ins(self._originals[id(new)], new)
        ]

    def state(self) -> list[tuple[Any, Tensor]]:
        """Pairs of a variable of `graph` and its value, read from the model."""
        return [
            (ours, _cut(ops.convert_to_tensor(theirs), places))
            for ours, theirs, places in self._stand_ins
        ]

    def _counterpart(self, layer: Any) -> Any:
        if id(layer) not in self._counterparts:
            changed = self._changed(layer)
            config = layer_config(layer) if changed else {}
            is_smaller = any(config[key] != value for key, value in changed.items())
            make = type(layer).from_config
            new = make({**config, **changed}) if is_smaller else AsItIs(layer)
            self._counterparts[id(layer)] = new
            self._originals[id(new)] = layer
        return self._counterparts[id(layer)]

    def _changed(self, layer: Any) -> Config:
        """The entries of a layer's config that name slices, with those that stay."""
        if id(layer) not in self._in_encoder:
            return slices_in_heads(layer, self._slices, self._encoder, self._heads)
        if self._kept is None:
            return {}
        changed = changed_slices(layer.get_config(), self._encoder)
        if isinstance(layer, TakeTasks):
            changed["taken"] = [layer.taken[place] for place in self._kept]
        return changed

    def _called(self, new: Any, *args: Any, **kwargs: Any) -> Any:
        """Calls a layer of the new graph, and follows the slices through the encoder.

        A layer that is neither told which slices there are nor known to work on each
        alone could mix them, and would give other values for fewer.
        """
        layer = self._originals[id(new)]
        inputs = keras.tree.flatten([args, kwargs])
        is_sliced = any(id(tensor) in self._sliced for tensor in inputs)
        is_same = isinstance(new, AsItIs)
        if is_sliced and is_same and not works_by_slice(layer):
            raise ValueError(f"`{layer.name}` may mix the slices of tasks.")
        outputs = new(*args, **kwargs)
        goes_on = id(layer) in self._in_encoder and not isinstance(layer, FoldTasks)
        if goes_on and (is_sliced or not is_same):
            self._sliced |= {id(tensor) for tensor in keras.tree.flatten(outputs)}
        return outputs


def _stand_ins(layer: Any, smaller: Any) -> list[tuple[Any, Any, _Places]]:
    """For each variable of a smaller layer that of the layer, and which part of it."""
    if not isinstance(layer, StackedLayer):
        pairs = zip(smaller.variables, layer.variables, strict=True)
        return [(ours, theirs, {}) for ours, theirs in pairs]
    return [
        (ours, theirs, _places(layer, smaller, theirs.shape, ours.shape))
        for ours, theirs in zip(smaller.weights, layer.weights, strict=True)
    ]


def _places(
    layer: StackedLayer,
    smaller: StackedLayer,
    old: tuple[int, ...],
    new: tuple[int, ...],
) -> _Places:
    """The places in a weight of a layer from which a smaller one has its slices.

    What `carried` does with weights, it does with the numbers of their places.
    """
    places = {}
    for axis in [axis for axis, size in enumerate(old) if size != new[axis]]:
        numbers = np.expand_dims(np.arange(old[axis]), [*range(1, len(old) - axis)])
        numbers = np.broadcast_to(numbers, old)
        carried = smaller.carried(layer, numbers, np.zeros(new, numbers.dtype))
        places[axis] = _runs(np.moveaxis(carried, axis, 0).reshape(new[axis], -1)[:, 0])
    return places


def _runs(places: np.ndarray) -> list[slice]:
    """Cuts increasing places into runs without a gap."""
    gaps = np.flatnonzero(np.diff(places) != 1) + 1
    runs = np.split(places, gaps)
    return [slice(int(run[0]), int(run[-1]) + 1) for run in runs]


def _cut(value: Tensor, places: _Places) -> Tensor:
    """Takes what stays of a weight: slices of tensors, which cost next to nothing."""
    for axis, runs in places.items():
        parts = [value[(slice(None),) * axis + (run,)] for run in runs]
        value = parts[0] if len(parts) == 1 else ops.concatenate(parts, axis=axis)
    return value
