"""How many labels each part of the data has."""

from collections.abc import Hashable, Mapping, Sequence

import numpy as np
import pandas as pd

from kmtl._checks import check_mapping
from kmtl.data._resolve import resolve_task
from kmtl.data._split_labels import check_label_columns, encode_tasks
from kmtl.features._encode import check_frame
from kmtl.tasks import BinaryTask, MulticlassTask, Task, check_tasks, class_values


def label_counts(
    parts: Mapping[str, pd.DataFrame], tasks: Sequence[Task]
) -> pd.DataFrame:
    """Counts the labels of every task in each part of the data.

    Args:
        parts: Frames by name, such as those of `kmtl.data.split`.
        tasks: The tasks. Labels count as in training: missing ones do not, nor do
            those that `only_if` leaves out.

    Returns:
        A frame with a column a part, and a row a task and class; a regression has one
        row, `"any"`.

    Raises:
        TypeError: If `parts` is no dict of frames.
        ValueError: If there is no part, a label column is not there, or labels are not
            what a task expects.

    Example:
        >>> import kmtl, pandas as pd
        >>> frame = pd.DataFrame({"sick": [1, 0, None, 0] * 5, "age": range(20)})
        >>> tasks = [kmtl.BinaryTask("sick"), kmtl.RegressionTask("age")]
        >>> train, test = kmtl.data.split(frame, tasks, (0.8, 0.2))
        >>> parts = {"train": train, "test": test}
        >>> kmtl.data.label_counts(parts, tasks)  # doctest: +NORMALIZE_WHITESPACE
                    train  test
        task label
        sick 0          8     2
             1          4     1
        age  any       16     4
    """
    check_mapping(parts, "parts", "frames by name")
    if not parts:
        raise ValueError("`parts` must hold at least one frame. Received: {}.")
    tasks = check_tasks(tasks)
    for frame in parts.values():
        check_frame(frame)
        check_label_columns(frame, tasks)
    columns = list(dict.fromkeys(task.column for task in tasks))
    whole = pd.concat([frame[columns] for frame in parts.values()], ignore_index=True)
    encoded = encode_tasks(whole, tasks)
    ends = np.cumsum([len(frame) for frame in parts.values()])[:-1]
    rows: dict[tuple[str, Hashable], list[int]] = {}
    for task in tasks:
        pieces = np.split(encoded[task.name], ends)
        for code, name in _names(resolve_task(task, whole)).items():
            counted = [~np.isnan(p) if code is None else p == code for p in pieces]
            rows[task.name, name] = [int(c.sum()) for c in counted]
    index = pd.MultiIndex.from_tuples(rows, names=["task", "label"])
    return pd.DataFrame(list(rows.values()), index, list(parts))


def _names(task: Task) -> dict[int | None, Hashable]:
    """Returns the classes of a task by code; a number has none."""
    if isinstance(task, BinaryTask) and not class_values(task):
        return {0: "other", 1: task.positive}  # one value against several
    if isinstance(task, BinaryTask | MulticlassTask):
        return dict(enumerate(class_values(task)))
    return {None: "any"}
