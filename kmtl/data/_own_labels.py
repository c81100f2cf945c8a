"""Labels of one task a row -> the packed labels of all tasks."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from kmtl._head_groups import HeadGroup
from kmtl.data._adapter import Adapter
from kmtl.data._order import Rows
from kmtl.data._pack import Packer

# What stands where the task of a row has nothing to say.
_OF_OTHERS = {"labels": np.nan, "weights": 1.0, "class_weights": 1.0}


def own_adapter(adapter: Adapter, name: str) -> Adapter:
    """Returns an adapter that knows but one task, and packs no others."""
    packer = adapter.packer
    (index,) = (i for i, task in enumerate(packer.tasks) if task.name == name)
    (group,) = (group for group in packer.groups if index in group.indices)
    own = dataclasses.replace(
        packer,
        tasks=(packer.tasks[index],),
        groups=(dataclasses.replace(group, indices=(0,)),),
        shapes=(packer.shapes[index],),
        mean=packer.mean[index : index + 1],
        scale=packer.scale[index : index + 1],
    )
    return dataclasses.replace(adapter, packer=own)


@dataclass(frozen=True)
class Joint:
    """Puts rows of several tasks together, each packed for its own task.

    Attributes:
        packer: Of all tasks.
        inputs: How many arrays of inputs the rows start with.
        keys: What packed labels consist of, in the order of the arrays that follow.
    """

    packer: Packer
    inputs: int
    keys: Sequence[str]

    def join(self, pieces: Sequence[tuple[int, Rows]], places: np.ndarray) -> Rows:
        """Returns the rows in their places, with packed labels of all tasks.

        Args:
            pieces: Rows, and the position in the model of their task.
            places: Where they go, one piece after the other, `(rows,)`.
        """
        tasks = [task for task, _ in pieces]
        columns = list(zip(*(rows for _, rows in pieces), strict=True))
        joined = [_placed(column, places) for column in columns[: self.inputs]]
        for key, column in zip(self.keys, columns[self.inputs :], strict=True):
            if key == "row_weights":
                joined.append(_placed(column, places))
                continue
            joined += [
                self._of_group(group, tasks, column, places, _OF_OTHERS[key])
                for group in self.packer.groups
            ]
        return joined

    def _of_group(
        self,
        group: HeadGroup,
        tasks: Sequence[int],
        column: Sequence[np.ndarray],
        places: np.ndarray,
        of_others: float,
    ) -> np.ndarray:
        """Returns an array `(rows, tasks, ...)` of a head group."""
        slots = {task: slot for slot, task in enumerate(group.indices)}
        ends = np.cumsum([0, *map(len, column)])
        own = [i for i, task in enumerate(tasks) if task in slots]
        if not own:
            shape = (
                1 if n is None else n for n in self.packer.shapes[group.indices[0]]
            )
            wide = (len(places), len(slots), *shape)
            return np.full(wide, of_others, self.packer.dtype)
        values = np.concatenate([column[i] for i in own])[:, 0]
        rows = np.concatenate([places[ends[i] : ends[i + 1]] for i in own])
        where = np.repeat([slots[tasks[i]] for i in own], [len(column[i]) for i in own])
        wide = (len(places), len(slots), *values.shape[1:])
        packed = np.full(wide, of_others, self.packer.dtype)
        packed[rows, where] = values
        return packed


def _placed(column: Sequence[np.ndarray], places: np.ndarray) -> np.ndarray:
    placed = np.empty((len(places), *column[0].shape[1:]), column[0].dtype)
    start = 0
    for part in column:
        placed[places[start : start + len(part)]] = part
        start += len(part)
    return placed
