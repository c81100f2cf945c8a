"""Which way a metric is better, and how much better one value is than another."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from kmtl._checks import check_known_keys, check_mapping, did_you_mean, shorten

# Metrics and losses of kmtl and Keras under the names they have in logs. Counts, such
# as `true_positives`, are not here: which way is better depends on the data.
# fmt: off
_SCORES = frozenset([
    "accuracy", "auc", "binary_accuracy", "binary_io_u", "categorical_accuracy",
    "cohen_kappa", "concordance_correlation", "cosine_similarity", "f1_score",
    "fbeta_score", "io_u", "mean_io_u", "one_hot_io_u", "one_hot_mean_io_u",
    "pearson_correlation", "pr_auc", "precision", "precision_at_recall", "r2",
    "r2_score", "recall", "recall_at_precision", "roc_auc",
    "sensitivity_at_specificity", "sparse_categorical_accuracy",
    "sparse_top_k_categorical_accuracy", "specificity_at_sensitivity",
    "top_k_categorical_accuracy",
])
_ERRORS = frozenset([
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_crossentropy",
    "categorical_focal_crossentropy", "categorical_hinge", "hinge", "huber",
    "kl_divergence", "logcosh", "loss", "mae", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "mse", "pinball", "poisson", "rmse",
    "root_mean_squared_error", "sparse_categorical_crossentropy", "squared_hinge",
])
# fmt: on


def higher_is_better(metric: str) -> bool:
    """Tells which way a metric is better by its name in the logs.

    Args:
        metric: A metric or loss of kmtl or Keras without the name of the task, such as
            `"auc"`, `"mae"` or `"loss"`.

    Raises:
        ValueError: If the name is not known.

    Example:
        >>> higher_is_better("auc"), higher_is_better("mae")
        (True, False)
    """
    if metric in _SCORES:
        return True
    if metric in _ERRORS:
        return False
    known = sorted(_SCORES | _ERRORS)
    raise ValueError(
        "`metric` must have a known direction: say which way is better with "
        f"`higher=True` or `higher=False`. Received: {metric!r}."
        f"{did_you_mean(metric, known)} Known: {shorten(known, len(known))}."
    )


def is_absolute(metric: str) -> bool:
    """Tells whether gains of a metric are differences, not shares of the baseline.

    So they are for the known scores whose best value is 1, such as AUC, accuracy,
    correlation and R2: half of an AUC is worth nothing, so a share of it says nothing.
    They are known by the names that Keras gives them. For a score under a name of its
    own ask by what `TaskMetrics.kinds` says that it is, here and in `gain`.
    """
    return metric in _SCORES


def gain(metric: str, value: Any, baseline: Any, *, higher: bool | None = None) -> Any:
    """Tells how much better a value is than a baseline; positive is better.

    A difference for scores whose best value is 1 (see `is_absolute`), for all others
    the difference as a share of the size of the baseline.

    Args:
        metric: Name of the metric, such as `"auc"`.
        value: The value, a number or an array.
        baseline: What it is compared with, of a shape that broadcasts.
        higher: Whether higher is better; by default what `higher_is_better` says.

    Returns:
        A float or an array of them: 0.01 is one point of AUC, or an error 1 % lower.
        As a share of a baseline of 0 it is 0 for 0 and infinite for all else.

    Raises:
        ValueError: If `higher` is not given for a metric that is not known.

    Example:
        >>> gain("auc", 0.81, 0.80).round(4), gain("mae", 1.5, 2.0)
        (np.float64(0.01), np.float64(0.25))
    """
    sign = 1.0 if (higher_is_better(metric) if higher is None else higher) else -1.0
    value, baseline = np.asarray(value, "float64"), np.asarray(baseline, "float64")
    difference = sign * (value - baseline)
    if is_absolute(metric):
        return difference
    with np.errstate(divide="ignore", invalid="ignore"):
        share = difference / np.abs(baseline)
    return np.where(difference == 0, 0.0, share)[()]


def delta_m(
    values: Mapping[str, float],
    baselines: Mapping[str, float],
    metrics: Mapping[str, str],
    *,
    higher: Mapping[str, bool] | None = None,
) -> float:
    """Returns the mean gain of the tasks in percent; positive is better.

    Args:
        values: The metric of each task, by its name.
        baselines: What it is compared with, such as that of single-task models.
        metrics: The name of the metric of each task.
        higher: Whether higher is better, by task, where the metric is not known.

    Returns:
        The mean of `100 * gain(...)`. Tasks without a value (NaN) are left out; NaN if
        all are.

    Raises:
        TypeError: If an argument is no dict.
        ValueError: If a task is in one of them and not in the others, there is none, or
            the direction of a metric is not known.

    Reference:
        Maninis et al., "Attentive Single-Tasking of Multiple Tasks", CVPR 2019;
        Vandenhende et al., "Multi-Task Learning for Dense Prediction Tasks: A Survey",
        TPAMI 2021, https://arxiv.org/abs/2004.13379. There all gains are relative; here
        those of AUC and its like are differences. The code of NashMTL and FAMO has the
        opposite sign: there, lower is better.

    Example:
        >>> values, alone = {"rich": 0.81, "age": 1.5}, {"rich": 0.8, "age": 2.0}
        >>> round(delta_m(values, alone, {"rich": "auc", "age": "mae"}), 4)
        13.0
    """
    by_name = {"values": values, "baselines": baselines, "metrics": metrics}
    for subject, given in by_name.items():
        check_mapping(given, subject, "values by task name")
        check_known_keys(given, metrics, subject)
        check_known_keys(metrics, given, "metrics")
    if not metrics:
        raise ValueError("`metrics` must name at least one task. Received: {}.")
    check_known_keys(higher or {}, metrics, "higher")
    gains = [
        gain(metric, values[task], baselines[task], higher=(higher or {}).get(task))
        for task, metric in metrics.items()
    ]
    known = np.array([g for g in gains if not np.isnan(g)])
    return float(100 * known.mean()) if known.size else float("nan")
