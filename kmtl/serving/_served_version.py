"""One version of a model, as a client asks it."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from kmtl._checks import check_known_keys, shorten
from kmtl.serving._description import Description
from kmtl.serving._errors import not_understood
from kmtl.serving._transport import Transport
from kmtl.tasks import Task

_Arrays: TypeAlias = Mapping[str, np.ndarray]


class ServedVersion:
    """Asks one version; it is described once, by the server.

    Args:
        transport: Asks the server.
        number: The version.

    Raises:
        ValueError: If it is no export of kmtl.
    """

    def __init__(self, transport: Transport, number: int) -> None:
        self.number = number
        self._transport = transport
        # What is sent is ignored: a server answers nothing to no input.
        answer = self._ask("describe", {"inputs": np.zeros(1, np.int64)}, ["metadata"])
        self._description = Description.from_text(answer["metadata"][0])

    def predict(
        self, x: Any, task: str | None, batch_size: int
    ) -> tuple[list[Task], dict[str, np.ndarray]]:
        """Predicts in batches; returns the tasks and their float32 arrays by name."""
        tasks = list(self._description.tasks)
        signature = "serving_default"
        if task is not None:
            check_known_keys([task], [t.name for t in tasks], "task")
            tasks = [t for t in tasks if t.name == task]
            signature = f"predict_{task}"
        names = [t.name for t in tasks]
        batches = [
            self._ask(signature, batch, names)
            for batch in _batches(self._description.inputs(x), batch_size)
        ]
        arrays = {n: np.concatenate([batch[n] for batch in batches]) for n in names}
        return tasks, {n: a.astype(np.float32, copy=False) for n, a in arrays.items()}

    def _ask(self, signature: str, inputs: _Arrays, outputs: Sequence[str]) -> _Arrays:
        try:
            answer = self._transport.predict(self.number, signature, inputs, outputs)
        except ValueError as error:
            names = self._transport.signatures(self.number)
            known = [name for name in names if name[:2] != "__"]  # TensorFlow's own
            if signature in known:
                raise
            raise ValueError(
                f"{self._transport.name} must have the signature {signature!r} in "
                f"version {self.number}. `kmtl.export_saved_model` writes 'describe', "
                "and 'predict_<task>' for the tasks that `task_signatures` names. "
                f"Received: signatures {shorten(known)}."
            ) from error
        rows = len(next(iter(inputs.values())))
        shapes = {name: values.shape for name, values in answer.items()}
        if set(shapes) != set(outputs) or {s[:1] for s in shapes.values()} != {(rows,)}:
            raise not_understood(
                self._transport.name,
                f"shapes {shapes} for {rows} rows of {shorten(outputs)}",
            )
        return answer


def _batches(inputs: _Arrays, size: int) -> Iterator[_Arrays]:
    rows = len(next(iter(inputs.values())))
    for start in range(0, rows, size):
        yield {name: a[start : start + size] for name, a in inputs.items()}
