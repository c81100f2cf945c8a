"""What the labels of a source say about the tasks, while its frames pass by."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from kmtl.data._labels import has_labels
from kmtl.data._resolve import label_column, resolve_task
from kmtl.features._streaming import naming_shard
from kmtl.tasks import BinaryTask, MulticlassTask, Task


class LabelScan:
    """Keeps the distinct labels of tasks with classes, of others whether there are any.

    Args:
        tasks: The tasks.
    """

    def __init__(self, tasks: Sequence[Task]) -> None:
        self._tasks = tasks
        self._kept: dict[str, pd.Series] = {}

    @property
    def columns(self) -> list[str]:
        """The columns that hold labels."""
        return [task.column for task in self._tasks]

    def watch(self, frames: Iterable[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Passes frames on and looks at their labels."""
        for frame in frames:
            with naming_shard(frame):
                for task in self._tasks:
                    self._look(task, label_column(task, frame))
            yield frame

    def resolved(self) -> tuple[Task, ...]:
        """Returns the tasks with the classes found; see `resolve_task`."""
        return tuple(
            resolve_task(task, pd.DataFrame({task.column: self._kept[task.name]}))
            for task in self._tasks
        )

    def _look(self, task: Task, labels: pd.Series) -> None:
        known = self._kept.get(task.name)
        if known is None:
            known = labels.head(0)
        elif not isinstance(task, (BinaryTask, MulticlassTask)) and has_labels(
            task, known
        ):
            return  # one label is enough to know that there are some
        parts = [part for part in (known, labels.drop_duplicates()) if len(part)]
        together = pd.concat(parts, ignore_index=True)
        self._kept[task.name] = together.drop_duplicates(ignore_index=True)
