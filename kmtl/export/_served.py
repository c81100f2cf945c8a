"""What is served of a model: functions of its raw inputs."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from kmtl._typing import Tensor
from kmtl.export._examples import ExampleFormat
from kmtl.features import Column
from kmtl.model import MTLModel
from kmtl.surgery._one_task import one_task


class Served:
    """A trained core behind its preprocessing, if any: raw inputs in.

    Args:
        model: The model.

    Attributes:
        model: The model.
        preprocessing: From raw columns to what the model takes, or `None`.
        inputs: What a server takes: the type of each raw input, by its name, with the
            batch as the first dimension.
        columns: What is known of the inputs that are columns of a table, by name.
        examples: How raw inputs are kept in `tf.Example`s.
    """

    def __init__(self, model: MTLModel) -> None:
        self.model = model
        features = model.features
        self.preprocessing: keras.Model | None = None
        self.columns: dict[str, Column] = {}
        taken = model.named_inputs
        if features is not None:
            self.columns = {column.name: column for column in features.columns}
            self.preprocessing = features.preprocessing_model()
            self._preprocess = tf.function(self.preprocessing, autograph=False)
            taken = self.preprocessing.input
        self.inputs = {
            name: tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
            for name, tensor in taken.items()
        }
        self.examples = ExampleFormat(self.inputs, self.columns)

    @property
    def resources(self) -> list[keras.Model]:
        """The models whose weights and tables are served."""
        models = [self.model, self.preprocessing]
        return [model for model in models if model is not None]

    def encoded(self, raw: Mapping[str, Tensor]) -> Any:
        """Returns what the model takes for raw inputs by name."""
        if self.preprocessing is not None and tf.executing_eagerly():
            return self.preprocessing(dict(raw))
        if self.preprocessing is not None:  # traced once, for all signatures
            return self._preprocess(dict(raw))
        if isinstance(self.model.input, dict):
            return dict(raw)
        return next(iter(raw.values()))

    def outputs(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns the outputs of all tasks by name, float32."""
        outputs = self.model(self.encoded(raw), training=False)
        return {name: ops.cast(value, "float32") for name, value in outputs.items()}

    def task(self, name: str) -> Callable[[Mapping[str, Tensor]], Tensor]:
        """Returns the function of raw inputs that computes one task only, float32."""
        run = one_task(self.model, name)
        return lambda raw: ops.cast(run(self.encoded(raw)), "float32")

    def representation(self, raw: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns what the heads see, float32.

        One tensor `representation` where all tasks share it, one by task name where
        each has its own. Where heads attach at several places, further tensors are
        called `representation_1`, ...
        """
        seen = self.model.encoder(self.encoded(raw), training=False)
        tensors: dict[str, Tensor] = {}
        marked = zip(self.model.marks, keras.tree.flatten(seen), strict=True)
        for mark, seen_there in marked:
            tensor = ops.cast(seen_there, "float32")
            if mark.tasks is None:
                tensors[mark.name] = tensor
                continue
            places = {name: mark.tasks.index(name) for name in self.model.output}
            tensors |= {name: tensor[..., i, :] for name, i in places.items()}
        return tensors
