"""One number for several tasks, to stop by and to choose a model by."""

import math
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np

from kmtl._checks import (
    as_tuple,
    check_flag,
    check_known_keys,
    check_mapping,
    check_number,
    check_unique,
    check_weight,
    shorten,
)
from kmtl._gains import gain


class CombinedScore(keras.callbacks.Callback):
    """Makes one number of the validation metrics of several tasks, for other callbacks.

    It writes the number into the logs of each epoch that has validation metrics.
    `EarlyStopping`, `ModelCheckpoint` and `ReduceLROnPlateau` take it as `monitor=`;
    `fit` runs this callback before them, wherever it stands in the list. Higher is
    always better: `mode="auto"` knows, `mode="max"` says so.

    * Without `baselines` it is the weighted mean of the metrics. Errors and losses
      count negative. That fits metrics of one unit, such as AUCs.
    * With `baselines` each metric is replaced by its gain over the baseline in percent:
      a difference for scores whose best value is 1, such as AUC, else a share of the
      baseline. With one metric a task and equal weights that is `delta_m`.
    * `worst=True` takes the smallest in place of the mean: it is improved only by
      what improves the task that is worst off.

    A metric that is NaN, such as an AUC over rows of one class, makes the number NaN,
    and a warning says so once: a mean over other tasks could win by what is left out.
    NaN never wins.

    Args:
        metrics: Names of losses and metrics as in `evaluate`, without `val_`:
            `["rich_auc", "age_mae"]`, or weights by name.
        baselines: What each metric is compared with, by name, such as
            `evaluate(valid, return_dict=True)` of single-task models; more names than
            those in `metrics` are fine.
        worst: Whether the smallest counts, not the mean; takes no weights.
        name: The name of the number in the logs.

    Raises:
        TypeError: If `baselines` is no dict.
        ValueError: If an argument is wrong; in `fit`, if a metric is not one of the
            model or there is no validation data.

    Example:
        >>> import keras, kmtl, numpy as np
        >>> model = kmtl.build_mtl_model((2,), [kmtl.BinaryTask(n) for n in "ab"])
        >>> score = kmtl.callbacks.CombinedScore({"a_auc": 2.0, "b_auc": 1.0})
        >>> stop = keras.callbacks.EarlyStopping("val_combined_score", patience=2)
        >>> x, y = np.ones((4, 2)), {"a": [0, 1, 0, 1], "b": [1, 1, 0, 0]}
        >>> data = {"validation_data": (x, y), "verbose": 0}
        >>> logs = model.fit(x, y, callbacks=[stop, score], **data).history
        >>> logs["val_combined_score"]
        [0.5]

    Reference:
        Vandenhende et al., "Multi-Task Learning for Dense Prediction Tasks: A Survey",
        TPAMI 2021, https://arxiv.org/abs/2004.13379, section 4.1. There all gains are
        shares of the baseline; here those of AUC and its like are differences.
    """

    def __init__(
        self,
        metrics: Sequence[str] | Mapping[str, float],
        *,
        baselines: Mapping[str, float] | None = None,
        worst: bool = False,
        name: str = "val_combined_score",
    ) -> None:
        super().__init__()
        check_flag(worst, "worst")
        if not isinstance(name, str) or not name:
            raise ValueError(f"`name` must be a name in the logs. Received: {name!r}.")
        self.weights = _weights(metrics, worst=worst)
        self.baselines = _baselines(baselines, self.weights)
        self.worst = worst
        self.name = name
        self._has_warned = False

    def on_train_begin(self, logs: Any = None) -> None:
        del logs
        # The names whose better way is known.
        known = self.model.task_metrics.directions
        check_known_keys(self.weights, known, "metrics", kind="metric of the model")
        if self.name.removeprefix("val_") in known:
            raise ValueError(
                "`name` must not be that of another number in the logs. Received: "
                f"{self.name!r}."
            )
        self._has_warned = False

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        del epoch
        if any(f"val_{name}" in logs for name in self.weights):  # see validation_freq
            values = [self._value(name, logs[f"val_{name}"]) for name in self.weights]
            self._warn_of_nan(values)
            logs[self.name] = self._combined(values)

    def _value(self, name: str, value: float) -> float:
        metrics = self.model.task_metrics
        higher = metrics.directions[name] == "max"
        if self.baselines is None:
            return value if higher else -value
        kind = metrics.kinds.get(name, name)
        return float(100 * gain(kind, value, self.baselines[name], higher=higher))

    def _combined(self, values: Sequence[float]) -> float:
        if self.worst:  # the smallest of NaN and another is NaN
            return float(np.min(values))
        return float(np.average(values, weights=[*self.weights.values()]))

    def _warn_of_nan(self, values: Sequence[float]) -> None:
        pairs = zip(self.weights, values, strict=True)
        unknown = [name for name, value in pairs if math.isnan(value)]
        if unknown and not self._has_warned:
            self._has_warned = True
            warnings.warn(
                f"`{self.name}` is NaN, as are {shorten(unknown)} of the validation "
                "data: no row is labelled, or an AUC has one class only. Leave them "
                "out of `metrics`, or validate on more rows.",
                stacklevel=2,
            )


def _weights(metrics: Any, *, worst: bool) -> dict[str, float]:
    if not isinstance(metrics, Mapping):
        names = as_tuple(metrics, "metrics")
        check_unique(names, "metrics")
        metrics = dict.fromkeys(names, 1.0)
    elif worst:
        raise ValueError(
            "`metrics` must be a list of names where `worst=True`: the smallest has no "
            f"weight. Received: {metrics!r}."
        )
    for name, weight in metrics.items():
        check_weight(weight, f"metrics[{name!r}]")
    if not sum(metrics.values()) > 0:
        raise ValueError(
            "`metrics` must name at least one metric with a weight above 0. Received: "
            f"{metrics!r}."
        )
    # What counts 0 must not count as NaN either.
    return {name: weight for name, weight in metrics.items() if weight > 0}


def _baselines(
    baselines: Mapping[str, float] | None, names: Mapping[str, float]
) -> dict[str, float] | None:
    if baselines is None:
        return None
    check_mapping(baselines, "baselines", "values by metric")
    check_known_keys(names, baselines, "metrics", kind="metric of `baselines`")
    for name in names:
        check_number(baselines[name], f"baselines[{name!r}]")
    return {name: float(baselines[name]) for name in names}
