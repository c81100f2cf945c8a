"""Data sets whose rows belong to one task each, as frames with columns task, label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from _census import LEFT_OUT, read

import kmtl

COLLEGE = {
    "Bachelors degree(BA AB BS)",
    "Masters degree(MA MS MEng MEd MSW MBA)",
    "Prof school degree (MD DDS DVM LLB JD)",
    "Doctorate degree(PhD EdD)",
}
SHARES = {"college": 0.9, "married": 0.09, "income": 0.01}


@dataclass(frozen=True)
class TaskSet:
    """Rows of one task each.

    Attributes:
        frame: Features, `task` and `label`.
        kind: Makes the spec of a task from its name.
        columns: Which columns are of a kind that is not found from their values.
    """

    frame: pd.DataFrame
    kind: Any
    columns: Mapping[str, Any] = field(default_factory=dict)

    @property
    def tasks(self):
        return [self.kind(name) for name in sorted(self.frame["task"].unique())]

    def features(self):
        return kmtl.TabularFeatures.from_frame(
            self.frame, exclude=["task", "label"], **self.columns
        )

    def rows(self):
        """Frames with a column `label`, by task name."""
        parts = kmtl.data.rows_by_task(self.frame, task="task", label="label")
        return {task: x.assign(label=y) for task, (x, y) in parts.items()}


def binary(name):
    return kmtl.BinaryTask(name, metrics=["accuracy"])


def score(name):
    return kmtl.RegressionTask(name, standardize=False)


def census_labels(frame):
    """Three yes-or-no labels of every row."""
    return {
        "college": frame["education"].isin(COLLEGE).to_numpy(),
        "married": (frame["marital_status"] != "Never married").to_numpy(),
        "income": (frame["income_50k"] == "50000+.").to_numpy(),
    }


def census():
    """Every row keeps the label of one task, the shares of which are very unequal."""
    frame = read("census-income.data.xz")
    ends = np.cumsum([round(share * len(frame)) for share in SHARES.values()])
    order = np.random.default_rng(0).permutation(len(frame))
    task, label = np.empty(len(frame), object), np.empty(len(frame), bool)
    labels = census_labels(frame)
    for name, rows in zip(SHARES, np.split(order, ends[:-1]), strict=True):
        task[rows], label[rows] = name, labels[name][rows]
    rest = frame.drop(columns=LEFT_OUT)
    return TaskSet(rest.assign(task=task, label=label), binary)


def school(folder):
    """139 schools, one exam score a pupil; see `school.py` for the source."""
    with np.load(folder / "school.npz") as file:
        columns = {f"x_{i}": column for i, column in enumerate(file["X"].T)}
        task = [f"school_{number:03d}" for number in file["task"]]
        frame = pd.DataFrame({**columns, "task": task, "label": file["y"]})
    return TaskSet(frame, score)


def fdu_mtl(folder):
    """Reviews of 16 domains, praise or not; see `reviews_by_domain.py`."""
    frame = pd.read_csv(folder / "train.csv.gz").rename(columns={"text": "review"})
    return TaskSet(frame, binary, {"text": ["review"]})


def load(name, folder):
    """Reads a set; all but census, which comes with the project, from a folder."""
    if name == "census":
        return census()
    if folder is None:
        raise SystemExit(f"--set {name} needs --data FOLDER. See the docstring.")
    return {"school": school, "fdu_mtl": fdu_mtl}[name](folder)
