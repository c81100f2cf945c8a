"""What an export says of itself to a client."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from kmtl._typing import Config
from kmtl.data._inputs import InputSpecs, as_frame, encode_inputs, rows_of
from kmtl.features import TabularFeatures
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask, Task

_FORMAT = 1


@dataclass(frozen=True)
class Description:
    """Inputs and tasks of a served model.

    Args:
        tasks: The tasks that are predicted, in the order of the outputs.
        features: The columns of a model that was built on a table, without what only
            the server needs of them; `None` for a model on arrays.
        specs: Shape (without rows) and dtype of each input.
    """

    tasks: tuple[Task, ...]
    features: TabularFeatures | None
    specs: InputSpecs

    @classmethod
    def from_text(cls, text: str | bytes) -> Self:
        """Reads what the signature `describe` answers.

        Raises:
            ValueError: If a newer kmtl wrote it.
        """
        config: Config = json.loads(text)
        if config["format"] > _FORMAT:
            raise ValueError(
                "The model was exported by a newer kmtl: upgrade this one. Received: "
                f"format {config['format']}; up to {_FORMAT} is known."
            )
        inputs = config["inputs"]
        columns = [i["column"] for i in inputs if i["column"] is not None]
        features = (
            TabularFeatures.from_config({"columns": columns}) if columns else None
        )
        return cls(
            tasks=tuple(map(_task, config["tasks"])),
            features=features,
            specs={i["name"]: (tuple(i["shape"]), i["dtype"]) for i in inputs},
        )

    def inputs(self, x: Any) -> dict[str, np.ndarray]:
        """Converts a frame or arrays to what the server takes, as the model does.

        Raises:
            TypeError: If the form of `x`, or a column, is not what the model takes.
            ValueError: If something is missing or wrong.
        """
        if self.features is not None:
            tensors = self.features.raw_inputs(as_frame(x))
            return {name: tensor.numpy() for name, tensor in tensors.items()}
        arrays: Mapping[str, np.ndarray] = encode_inputs(x, self.specs, None)
        rows_of(arrays)
        return {n: a.astype(self.specs[n][1], copy=False) for n, a in arrays.items()}


def _task(config: Config) -> Task:
    name, classes = config["name"], config["classes"]
    if config["kind"] == "BinaryTask":
        return BinaryTask(name, classes=classes)
    if config["kind"] == "MulticlassTask":
        return MulticlassTask(name, classes=classes)
    return RegressionTask(name)
