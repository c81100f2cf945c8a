"""The parts of a model, found by layer."""

import functools
from collections.abc import Sequence
from typing import Any

import keras

from kmtl._head_groups import HeadGroup, condition_name
from kmtl._hold import NOBODY, OwnedVariable
from kmtl._towers import Towers
from kmtl._typing import Tensor
from kmtl.layers import (
    Coupling,
    NothingGiven,
    Representation,
    SharedTensor,
    StackedLayer,
    TaskOutputs,
)
from kmtl.layers._stacked import owner_of
from kmtl.tasks import ProductTask


class Parts(keras.Model):
    """A functional model that ends in `TaskOutputs`; its parts, and who owns them.

    It has no `__init__` and no `get_config`: Keras saves it as a graph only then.
    """

    @property
    def outputs_layer(self) -> TaskOutputs:
        """The last layer, which carries tasks, features and loss weights."""
        found = [layer for layer in self.layers if isinstance(layer, TaskOutputs)]
        return found[0]

    @property
    def named_inputs(self) -> dict[str, Tensor]:
        """The symbolic inputs by name."""
        if isinstance(self.input, dict):
            return dict(self.input)
        is_input = keras.layers.InputLayer
        names = [layer.name for layer in self.layers if isinstance(layer, is_input)]
        return {names[0]: self.input}

    @functools.cached_property
    def encoder(self) -> keras.Model:
        """The part that tasks share: a model from the inputs to the representation."""
        return keras.Model(self.input, self._representation(), name="encoder")

    @functools.cached_property
    def heads(self) -> keras.Model:
        """The rest: a model from the representation to stacked logits, one a group.

        Where tasks are conditioned on others, it has a second input: the labels given,
        `(rows, tasks conditioned on)`, NaN where there is none.
        """
        return self.heads_with([])

    def heads_with(self, more: Sequence[Tensor]) -> keras.Model:
        """The heads as a model with more outputs: symbolic tensors inside them.

        A tensor that is an output anyway is no output twice: Keras cannot do that.
        """
        inputs = [*keras.tree.flatten(self._representation()), *self._given_inputs()]
        inputs = inputs if len(inputs) > 1 else inputs[0]
        outputs = {id(tensor): tensor for tensor in [*self.stacked_logits(), *more]}
        return keras.Model(inputs, list(outputs.values()), name="heads")

    @property
    def marks(self) -> list[Representation]:
        """The layers that mark where heads attach, in the order of the encoder."""
        return [layer for layer in self.layers if isinstance(layer, Representation)]

    def _representation(self) -> Any:
        """Where heads attach: one tensor, or a list where they do at several places."""
        outputs = [mark.output for mark in self.marks]
        return outputs[0] if len(outputs) == 1 else outputs

    def _given_inputs(self) -> list[Tensor]:
        """Where a training step puts labels: one tensor, or none."""
        marks = [layer for layer in self.layers if isinstance(layer, NothingGiven)]
        return [mark.output for mark in marks]

    @functools.cached_property
    def towers(self) -> Towers | None:
        """What soft sharing couples, or `None`."""
        found = [layer for layer in self.layers if isinstance(layer, Coupling)]
        return Towers(found[0], self.layers, self.heads.layers) if found else None

    @property
    def shared_tensors(self) -> list[Tensor]:
        """The last symbolic tensors that several tasks share, as the sharing says."""
        marks = [layer for layer in self.layers if isinstance(layer, SharedTensor)]
        return [mark.output for mark in marks]

    def stacked_logits(self) -> list[Tensor]:
        """The symbolic logits of the head groups."""
        logits = self.outputs_layer.input
        return [logits] if isinstance(logits, keras.KerasTensor) else list(logits)

    def owned_variables(self) -> list[OwnedVariable]:
        """The weights of the model and whose they are."""
        return self._owned_by_encoder() + self._owned_by_heads()

    def _owned_by_encoder(self) -> list[OwnedVariable]:
        return [part for layer in self.encoder.layers for part in self.parts_of(layer)]

    def _owned_by_heads(self) -> list[OwnedVariable]:
        layers = [
            layer for layer in self.heads.layers if isinstance(layer, StackedLayer)
        ]
        stacked = [part for layer in layers for part in self.parts_of(layer)]
        return stacked + self._owned_by_own_heads()

    def parts_of(self, layer: keras.layers.Layer) -> list[OwnedVariable]:
        owners: int | list[int] = NOBODY
        if isinstance(layer, StackedLayer):
            numbers = {task.name: i for i, task in enumerate(self.outputs_layer.tasks)}
            owners = [numbers.get(owner_of(name), NOBODY) for name in layer.tasks]
        return [OwnedVariable(weight, owners) for weight in layer.weights]

    def _owned_by_own_heads(self) -> list[OwnedVariable]:
        owned = []
        layer = self.outputs_layer
        for group, logits in zip(layer.groups, self.stacked_logits(), strict=True):
            task = layer.tasks[group.indices[0]]
            if group.own and not isinstance(task, ProductTask):  # that has no head
                head = keras.Model(self._head_input(group), logits)
                owned += [OwnedVariable(v, group.indices[0]) for v in head.weights]
        return owned

    def _head_input(self, group: HeadGroup) -> Any:
        """What a head of a task's own sees, after the heads of the task's parents."""
        if group.parents:
            return self.get_layer(condition_name(group)).output
        return self._representation()
