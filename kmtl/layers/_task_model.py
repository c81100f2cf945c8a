"""Any Keras model as a stack of copies."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from kmtl._typing import Config, Shape, Tensor
from kmtl.layers._per_task import derive_seed
from kmtl.layers._stacked import SlicewiseLayer


@keras.saving.register_keras_serializable(package="kmtl")
class TaskModel(SlicewiseLayer):
    """Copies of a Keras model, with stacked weights, called one after the other.

    Slice `t` computes what the model computes with the weights of slice `t`:
    dropout draws a mask a slice, batch normalisation has statistics a slice, and the
    regularizers of the model's layers count for every slice. All slices start from the
    weights of the model.

    Args:
        template: The model; only its graph and its values are used.
        tasks: Names of the slices.
        per_task: Whether the inputs have a task axis; else all slices see the same.
        **kwargs: Passed to `keras.layers.Layer`.

    Call arguments:
        inputs: What the template takes, a tensor or a nest of them; with `per_task`
            with a task axis before the last one.
        training: Passed to the template.

    Returns:
        Tensor of shape `(batch, ..., tasks, features)`.

    Example:
        >>> import keras, kmtl, numpy as np
        >>> x = keras.Input((8,))
        >>> model = keras.Model(x, keras.layers.Dense(4)(x))
        >>> layer = kmtl.layers.TaskModel(model, tasks=["a", "b"])
        >>> tuple(layer(np.zeros((3, 8))).shape)
        (3, 2, 4)
    """

    def __init__(
        self,
        template: keras.Model,
        *,
        tasks: Sequence[str],
        per_task: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(tasks=tasks, **kwargs)
        # In a function, or Keras would track the template's own weights too.
        self._template: Callable[[], keras.Model] = lambda: template
        self.per_task = per_task

    @property
    def template(self) -> keras.Model:
        """The model that the slices are copies of."""
        return self._template()

    def build(self, input_shape: Any) -> None:
        del input_shape  # the template is built
        self._trained = [self._stack(v) for v in self.template.trainable_variables]
        self._kept = [self._stack(v) for v in self.template.non_trainable_variables]

    def _stack(self, variable: Any) -> Any:
        def start(shape: Shape, dtype: Any) -> Tensor:
            value = ops.broadcast_to(ops.convert_to_tensor(variable.value), shape)
            return ops.cast(self._own_seeds(variable, value), dtype)

        return self.add_weight(
            name=variable.path.replace("/", "."),
            shape=(len(self.tasks), *variable.shape),
            dtype=variable.dtype,
            initializer=start,
            trainable=variable.trainable,
            autocast=False,
            aggregation=variable.aggregation,
        )

    def _own_seeds(self, variable: Any, value: Tensor) -> Tensor:
        """Gives every slice a dropout mask of its own: (seed, number of draws)."""
        if not _is_seed(variable):
            return value
        # Halved: a seed must fit a signed integer of 32 bits too.
        seeds = [[derive_seed(self.seed, name) // 2, 0] for name in self.tasks]
        return ops.convert_to_tensor(seeds, dtype=variable.dtype)

    @property
    def stacked_weights(self) -> dict[str, Any]:
        """The stacked weights by their path in the template."""
        ours = [*self._trained, *self._kept]
        template = self.template
        theirs = [*template.trainable_variables, *template.non_trainable_variables]
        return {t.path: o for t, o in zip(theirs, ours, strict=True)}

    def assign_slice(self, index: int, values: Sequence[Any]) -> None:
        """Sets the weights of one slice, in the order of `stacked_weights`.

        The state of random draws stays as it is.
        """
        template = self.template
        theirs = [*template.trainable_variables, *template.non_trainable_variables]
        for ours, variable, value in zip(
            [*self._trained, *self._kept], theirs, values, strict=True
        ):
            if not _is_seed(variable):
                stack = ops.convert_to_numpy(ours).copy()
                stack[index] = ops.convert_to_numpy(value)
                ours.assign(stack)

    def call(self, inputs: Any, training: bool | None = None) -> Tensor:
        trained = _slices([v.value for v in self._trained], len(self.tasks))
        kept = _slices([v.value for v in self._kept], len(self.tasks))
        outputs, states, losses = [], [], []
        for ours, others, x in zip(
            trained, kept, self._inputs(inputs, len(self.tasks)), strict=True
        ):
            output, state, penalties = self.template.stateless_call(
                ours, others, x, training=training, return_losses=True
            )
            outputs.append(output)
            states.append(state)
            losses.extend(penalties)
        if training:  # serving writes no variable
            columns = zip(*states, strict=True)
            for variable, values in zip(self._kept, columns, strict=True):
                variable.assign(ops.stack(values))
        if losses:
            self.add_loss(ops.sum(ops.stack(losses)))
        return ops.stack(outputs, axis=-2)

    def apply_slices(self, inputs: Any, weights: Sequence[Any]) -> Tensor:
        count = weights[0].shape[0]
        ours = _slices(weights[: len(self._trained)], count)
        others = _slices(weights[len(self._trained) :], count)
        slices = zip(ours, others, self._inputs(inputs, count), strict=True)
        outputs = [self.template.stateless_call(*s, training=False)[0] for s in slices]
        return ops.stack(outputs, axis=-2)

    def _inputs(self, inputs: Any, count: int) -> list[Any]:
        """Returns the input of each slice."""
        if not self.per_task:
            return [inputs] * count
        slices = _slices(keras.tree.flatten(inputs), count, axis=-2)
        return [keras.tree.pack_sequence_as(inputs, own) for own in slices]

    def compute_output_shape(self, input_shape: Any) -> Shape:
        del input_shape
        *rest, features = self.template.output_shape
        return (*rest, len(self.tasks), features)

    def get_config(self) -> Config:
        return {
            **super().get_config(),
            "template": keras.saving.serialize_keras_object(self.template),
            "per_task": self.per_task,
        }

    @classmethod
    def from_config(cls, config: Config) -> "TaskModel":
        template = config["template"]
        if not isinstance(template, keras.Model):  # from a file
            template = keras.saving.deserialize_keras_object(template)
        return cls(**{**config, "template": template})


def _slices(stacks: Sequence[Tensor], count: int, axis: int = 0) -> list[list[Tensor]]:
    """Returns for each slice the part of every stack."""
    # Unstacked at once: the gradient of one slice is as large as the whole stack.
    parts = [ops.unstack(stack, axis=axis) for stack in stacks]
    return [[part[i] for part in parts] for i in range(count)]


def _is_seed(variable: Any) -> bool:
    return variable.name == "seed_generator_state"
