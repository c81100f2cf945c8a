"""Who feeds whom in a functional model."""

from collections.abc import Callable, Iterable
from typing import Any

import keras


class Graph:
    """The operations of a functional model, and what each takes from which.

    Args:
        model: The model.

    Attributes:
        operations: The operations.
        is_whole: Whether the maker of every tensor is known. A layer that is called
            several times shows its first call only.
    """

    def __init__(self, model: keras.Model) -> None:
        self.operations = list(model.operations)
        self._makers = {
            id(tensor): operation
            for operation in self.operations
            for tensor in keras.tree.flatten(operation.output)
        }
        taken = [keras.tree.flatten(op.input) for op in self.operations]
        self.is_whole = all(id(t) in self._makers for tensors in taken for t in tensors)

    def behind(
        self, tensors: Any, *, stop: Callable[[Any], bool] = lambda _: False
    ) -> dict[int, Any]:
        """Finds the operations that tensors are made by, directly or not.

        Args:
            tensors: Symbolic tensors of the model.
            stop: Tells at which operations to turn back; they are left out.

        Returns:
            The operations by `id`.
        """
        found: dict[int, Any] = {}
        todo = self._makers_of(tensors)
        while todo:
            operation = todo.pop()
            if id(operation) not in found and not stop(operation):
                found[id(operation)] = operation
                todo += self._makers_of(operation.input)
        return found

    def _makers_of(self, tensors: Any) -> list[Any]:
        flat: Iterable[Any] = keras.tree.flatten(tensors)
        return [self._makers[id(t)] for t in flat if id(t) in self._makers]
