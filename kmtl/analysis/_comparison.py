"""What `kmtl.compare` found."""

import html
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from kmtl._gains import gain, is_absolute
from kmtl.analysis._compare_plot import plot_gains
from kmtl.analysis._paired import holm, paired
from kmtl.analysis._runs import MULTI_TASK

SHARE, DO_NOT, NO_DIFFERENCE = "share", "do not share", "no difference"
DEPENDS, UNKNOWN = "depends on the size", "unknown"


@dataclass(frozen=True, eq=False)
class Comparison:
    """A multi-task model beside single-task models; made by `kmtl.compare`.

    Gains say how much better the multi-task model is; positive is better. They are
    differences for AUC and other scores whose best value is 1, and shares of the
    baseline's value for errors; both in percent. Each seed gives one gain, of models
    trained on the same rows in the same batches. Intervals are paired t intervals of
    their mean. They hold for all tasks and baselines at once with the confidence
    `level` (Bonferroni: each is one at `1 - (1 - level) / (tasks * baselines)`), and so
    do the verdicts: where sharing changes nothing, all are "no difference" at least
    with that probability. The interval of `delta_m` is a single one at `level`.

    Attributes:
        runs: A row a seed, model and task: `model` (`"multi-task"`, `"equal width"`,
            `"equal parameters"`), `seed`, `task`, `metric`, its `value` on the rows to
            test on, the trained `parameters` of the model, its `epochs` up to the best
            one, and the `seconds` it took.
        metrics: The metric of each task.
        higher: Whether higher is better, by task.
        kinds: What kmtl or Keras calls the metric of each task, if it has a name of its
            own; by default its name.
        overlap: Rows to test on as a share of the other rows, where each seed splits
            the same rows anew, else 0. Such splits overlap, so the variance of a mean
            over n seeds is taken as (1 / n + overlap) times that of a gain (Nadeau and
            Bengio, "Inference for the Generalization Error", Machine Learning 52,
            2003). With one test set intervals are about seeds only: they leave out that
            other rows to test on would give other values.
        level: The confidence of the intervals.
    """

    runs: pd.DataFrame
    metrics: Mapping[str, str]
    higher: Mapping[str, bool]
    overlap: float = 0.0
    level: float = 0.95
    kinds: Mapping[str, str] | None = None

    @property
    def baselines(self) -> list[str]:
        """The single-task models that were trained."""
        return [m for m in self.runs["model"].unique() if m != MULTI_TASK]

    @cached_property
    def gains(self) -> pd.DataFrame:
        """Gains in percent, a row a baseline and task.

        `gain` is the mean, `low` and `high` its interval, `p` the p-value of a gain of
        0, corrected for the number of tasks and baselines by Holm; `kind` is `"points"`
        for a difference and `"%"` for a share of the baseline. A share of a baseline of
        exactly 0 is infinite and has no interval.
        """
        each = 1 - (1 - self.level) / (len(self.metrics) * len(self.baselines))
        frames = []
        for baseline in self.baselines:
            by_seed = self._gains_by_seed(baseline)
            rows = [paired(g, each, self.overlap) for _, g in by_seed.items()]
            frames.append(pd.DataFrame(rows, index=by_seed.columns))
        gains = pd.concat(frames, keys=self.baselines, names=["baseline", "task"])
        absolute = {task: is_absolute(kind) for task, kind in self._kinds.items()}
        points = gains.index.get_level_values("task").map(absolute)
        return gains.assign(
            p=holm(gains["p"].to_numpy()), kind=np.where(points, "points", "%")
        )

    @property
    def _kinds(self) -> Mapping[str, str]:
        return self.metrics if self.kinds is None else self.kinds

    @cached_property
    def delta_m(self) -> pd.DataFrame:
        """The mean gain of the tasks in percent, positive is better, by baseline.

        Columns: `delta_m`, `low`, `high`, `p`. Vandenhende et al., TPAMI 2021, have it
        with this sign; the code of NashMTL and FAMO with the other one.
        """
        rows = {}
        for baseline in self.baselines:
            with np.errstate(invalid="ignore"):  # of infinite gains of both signs
                means = self._gains_by_seed(baseline).mean(axis=1)
            rows[baseline] = paired(means, self.level, self.overlap)
        frame = pd.DataFrame.from_dict(rows, orient="index").rename_axis("baseline")
        return frame.rename(columns={"gain": "delta_m"})

    @cached_property
    def verdicts(self) -> dict[str, str]:
        """What the intervals say, by task.

        `"share"`: better than a baseline and worse than none. `"do not share"`: worse
        than a baseline and better than none. `"no difference"`: all intervals hold 0.
        `"depends on the size"`: better than one baseline and worse than the other.
        `"unknown"`: there is no interval, as with one seed, or where a share is to be
        taken of a baseline that is exactly 0 for a seed.
        """
        return {task: self._verdict(task) for task in self.metrics}

    @cached_property
    def table(self) -> pd.DataFrame:
        """A row a task: its metric, mean and sd of each model, gains, verdict."""
        by_model = self.runs.groupby(["task", "model"])["value"].agg(["mean", "std"])
        table = pd.DataFrame({"metric": pd.Series(self.metrics)}).rename_axis("task")
        for model in [MULTI_TASK, *self.baselines]:
            values = by_model.xs(model, level="model")
            table[model], table[f"{model} sd"] = values["mean"], values["std"]
        for baseline in self.baselines:
            for column in ("gain", "low", "high"):
                gains = self.gains.xs(baseline, level="baseline")
                table[f"{column} over {baseline}"] = gains[column]
        table["verdict"] = pd.Series(self.verdicts)
        return table

    def plot(self) -> Any:
        """Draws the gains with their intervals, a line a task and one for their mean.

        Returns:
            A Matplotlib figure.

        Raises:
            ImportError: If Matplotlib is not installed: `pip install 'kmtl[plot]'`.
        """
        return plot_gains(self.gains, self.delta_m)

    def _gains_by_seed(self, baseline: str) -> pd.DataFrame:
        """Gains in percent, seeds by tasks."""
        values = self.runs.pivot(
            index=["model", "seed"], columns="task", values="value"
        )
        ours, theirs = values.loc[MULTI_TASK], values.loc[baseline]
        return pd.DataFrame(
            {
                task: 100
                * gain(kind, ours[task], theirs[task], higher=self.higher[task])
                for task, kind in self._kinds.items()
            },
            index=ours.index,
        )

    def _verdict(self, task: str) -> str:
        intervals = self.gains.xs(task, level="task")
        if intervals["low"].isna().any():
            return UNKNOWN
        better, worse = (intervals["low"] > 0).any(), (intervals["high"] < 0).any()
        if better and worse:
            return DEPENDS
        return SHARE if better else DO_NOT if worse else NO_DIFFERENCE

    def __str__(self) -> str:
        return "\n".join([self._readable().to_string(), "", *self._sentences()])

    def _repr_html_(self) -> str:
        sentences = "<br>".join(map(html.escape, self._sentences()))
        return f"{self._readable().to_html()}<p>{sentences}</p>"

    def _readable(self) -> pd.DataFrame:
        """The table with a cell for each mean and each interval."""
        table = self.table
        shown = table[["metric"]].copy()
        for model in [MULTI_TASK, *self.baselines]:
            pairs = zip(table[model], table[f"{model} sd"], strict=True)
            shown[model] = [_with_spread(mean, sd) for mean, sd in pairs]
        for baseline in self.baselines:
            gains = self.gains.loc[[baseline]].to_dict("records")
            shown[f"gain over {baseline}"] = [
                f"{_with_interval(g['gain'], g)} {g['kind']}" for g in gains
            ]
        return shown.assign(verdict=table["verdict"])

    def _sentences(self) -> list[str]:
        seeds = self.runs["seed"].nunique()
        weights = self.runs.drop_duplicates(["model", "seed", "task"])
        lines = [
            f"delta_m over {baseline}: {_with_interval(row['delta_m'], row)} % "
            "(positive: sharing is better)"
            for baseline, row in self.delta_m.to_dict("index").items()
        ]
        sizes = ", ".join(
            f"{model} {self._size(weights, model):,}"
            for model in [MULTI_TASK, *self.baselines]
        )
        lines.append(f"trained weights in all: {sizes}")
        if seeds == 1:
            return [*lines, "One seed has no interval: compare with 5 or more."]
        if not np.isfinite(self.gains["gain"]).all():
            lines.append("A gain over a baseline of exactly 0 has no interval.")
        return [
            *lines,
            f"{seeds} seeds; {self._hold()} with {self.level:.0%} confidence.",
        ]

    def _hold(self) -> str:
        """What the intervals hold for."""
        tasks, baselines = len(self.metrics), len(self.baselines)
        of = f"all {tasks} tasks" if tasks > 1 else "the task"
        if baselines > 1:
            of += " and both baselines"
        if tasks * baselines == 1:
            return "intervals hold"
        return f"intervals hold for {of} at once, those of delta_m each alone,"

    def _size(self, rows: pd.DataFrame, model: str) -> int:
        of_model = rows[rows["model"] == model]
        by_seed = of_model.groupby("seed")["parameters"]
        sizes = by_seed.first() if model == MULTI_TASK else by_seed.sum()
        return int(sizes.iloc[0])


def _with_spread(mean: float, sd: float) -> str:
    return f"{mean:.4g}" if np.isnan(sd) else f"{mean:.4g} +- {sd:.2g}"


def _with_interval(gain: float, row: Mapping[Any, float]) -> str:
    low, high = row["low"], row["high"]
    return f"{gain:+.2f}" + ("" if np.isnan(low) else f" [{low:+.2f}, {high:+.2f}]")
