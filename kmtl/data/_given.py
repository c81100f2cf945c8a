"""Labels that are known when a model predicts."""

from typing import Any

import numpy as np
import pandas as pd

from kmtl._checks import check_known_keys, check_mapping, shorten
from kmtl._head_groups import conditions
from kmtl._typing import ByTask
from kmtl.data._adapter import check_same_order
from kmtl.data._labels import encode_labels
from kmtl.data._pack import Packer


def given_labels(packer: Packer, x: Any, given: ByTask, rows: int) -> np.ndarray:
    """Packs the labels that the heads of other tasks see in a prediction.

    Args:
        packer: Knows the tasks and the statistics of their labels.
        x: The inputs as the user passed them.
        given: By task name labels, or the name of a column of the frame `x`.
        rows: The number of rows of the inputs.

    Returns:
        Array `(rows, tasks conditioned on)`, NaN where a label is not known.

    Raises:
        TypeError: If `given` is no dict.
        ValueError: If a name, a length or a label is wrong.
    """
    parents = conditions(packer.tasks)
    _check_names(packer, parents, given)
    check_same_order(x, given, "given")
    known = np.full((rows, len(parents)), np.nan, packer.dtype)
    for column, index in enumerate(parents):
        name = packer.tasks[index].name
        if name in given:
            labels = _labels(x, given[name], f"given[{name!r}]")
            encoded = encode_labels(packer.tasks[index], labels, ())
            _check_length(encoded, rows, name)
            known[:, column] = packer.standardize(index, encoded)
    return known


def _check_names(packer: Packer, parents: tuple[int, ...], given: ByTask) -> None:
    check_mapping(given, "given", "labels by task name")
    check_known_keys(given, [task.name for task in packer.tasks], "given")
    known = [packer.tasks[index].name for index in parents]
    for name in given:
        if name not in known:
            raise ValueError(
                "`given` must name tasks that others are conditioned on. Received: "
                f"{name!r}. Known: {shorten(known)}. Build the model with "
                f"`condition_on={name!r}` in the tasks that should see it."
            )


def _labels(x: Any, value: Any, subject: str) -> Any:
    """Returns labels, or the column that is named."""
    if not isinstance(value, str):
        return value
    if not isinstance(x, pd.DataFrame):
        raise ValueError(
            f"`{subject}` may name a column only where `x` is a DataFrame. Received: "
            f"{value!r} with x={type(x).__name__}."
        )
    check_known_keys([value], x.columns, subject, kind="column")
    return x[value]


def _check_length(encoded: np.ndarray, rows: int, name: str) -> None:
    if len(encoded) != rows:
        raise ValueError(
            f"`given[{name!r}]` must have a label for each of {rows} rows, NaN where "
            f"it is not known. Received: {len(encoded)}."
        )
