"""Tasks whose labels are numbers."""

from dataclasses import KW_ONLY, dataclass
from typing import ClassVar

import keras

from kmtl.tasks._task import Task


@keras.saving.register_keras_serializable(package="kmtl")
@dataclass(frozen=True)
class RegressionTask(Task):
    """A number; `predict` gives it in the label's own unit.

    Args:
        name: See `Task`, as for the fields it shares with the other kinds.
        standardize: Train on `(label - mean) / standard deviation`. Without it, raw
            scales that differ between tasks decide which task is learned.
        unit: What the number counts, e.g. `"years"`. An exported model names it, for
            people: no number changes.

    Raises:
        ValueError: If a field is not valid on its own or beside another.

    Example:
        >>> import kmtl
        >>> kmtl.RegressionTask("age", metrics=["mae", "r2"]).standardize
        True
    """

    _: KW_ONLY
    standardize: bool = True
    unit: str | None = None

    default_loss: ClassVar[str] = "mean_squared_error"
    default_metrics: ClassVar[tuple[str, ...]] = ("mae",)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.unit, str | None):
            raise ValueError(
                f"`unit` of RegressionTask({self.name!r}) must be text, such as "
                f"'years'. Received: {self.unit!r}."
            )
