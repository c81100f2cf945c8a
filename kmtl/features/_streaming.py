"""Frames, one after the other -> the description of every column, in one pass."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import pandas as pd

from kmtl._checks import check_known_keys, check_positive_integer, did_you_mean, shorten
from kmtl.features._collect import ColumnCollector
from kmtl.features._columns import Column
from kmtl.features._encode import check_frame
from kmtl.features._infer import Limits
from kmtl.features._tally import Sampling


@dataclass(frozen=True, kw_only=True)
class Settings:
    """The keywords of `TabularFeatures.from_frame`, where they are explained."""

    numeric: Sequence[str] | None = None
    categorical: Sequence[str] | None = None
    boolean: Sequence[str] | None = None
    date: Sequence[str] | None = None
    text: Sequence[str] | None = None
    exclude: Iterable[str] = ()
    max_vocabulary: int = 10_000
    min_count: int | None = None
    bins: int | None = None
    drop_ids: bool = False

    def __post_init__(self) -> None:
        """Refuses numbers that are not positive."""
        for name in ("max_vocabulary", "min_count", "bins"):
            if getattr(self, name) is not None:
                check_positive_integer(getattr(self, name), name)

    def limits(self, rows: int, width: int) -> Limits:
        """Returns the settings of each column of a frame of this size."""
        return Limits(
            max_vocabulary=self.max_vocabulary,
            min_count=self.min_count or _clip(rows // 1_000, 1, 10),
            bins=self.bins or _clip(4_096 // width, 4, 32),
        )

    def collectors(
        self, frame: pd.DataFrame, sampling: Sampling
    ) -> dict[str, ColumnCollector]:
        """Returns a collector for each column that is not excluded."""
        excluded = _column_names(frame, self.exclude, "exclude")
        kinds: dict[str, str | None] = {str(c): None for c in frame}
        for name in excluded:
            kinds.pop(name, None)
        for kind in ("numeric", "categorical", "boolean", "date", "text"):
            for name in _column_names(frame, getattr(self, kind) or (), kind):
                _check_named_once(name, kind, kinds)
                kinds[name] = kind
        return {n: ColumnCollector(n, kind, sampling) for n, kind in kinds.items()}


def infer_columns(
    frames: Iterable[pd.DataFrame], settings: Settings, sampling: Sampling
) -> tuple[Column, ...]:
    """Describes the columns of a table that comes in frames.

    Args:
        frames: Its rows, in frames with the same columns.
        settings: Settings.
        sampling: How much of each column is kept.

    Raises:
        TypeError: If a frame is none, or a column mixes types.
        ValueError: If there is no frame, or one has other columns than the first.
    """
    collectors: dict[str, ColumnCollector] = {}
    first: Sequence[str] = ()
    rows = 0
    for frame in frames:
        check_frame(frame)
        with naming_shard(frame):
            if not rows:
                first = list(frame.columns)
                collectors = settings.collectors(frame, sampling)
            _check_same_columns(frame, first)
            for name, collector in collectors.items():
                collector.add(frame[name])
        rows += len(frame)
    if not rows:
        raise ValueError("`frames` must hold at least one row. Received: no frame.")
    return _useful(collectors.values(), settings.limits(rows, len(first)), settings)


@contextmanager
def naming_shard(frame: pd.DataFrame) -> Iterator[None]:
    """Adds to an error which rows of which shard were read."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if "shard" in frame.attrs:
            first, last = frame.index[0], frame.index[-1]
            error.add_note(f"In rows {first} to {last} of {frame.attrs['shard']}.")
        raise


def _useful(
    collectors: Iterable[ColumnCollector], limits: Limits, settings: Settings
) -> tuple[Column, ...]:
    columns = []
    for collector in collectors:
        column = collector.describe(limits)
        if isinstance(column, str):
            _warn(
                f"Column {collector.name!r} {column} in the training frame: left out."
            )
            continue
        if collector.is_nearly_unique():
            if settings.drop_ids:
                continue
            _warn(_id_warning(collector.name))
        columns.append(column)
    return tuple(columns)


def _warn(message: str) -> None:
    # Five calls up is the line that calls `from_frame` or `from_stream`.
    warnings.warn(message, UserWarning, stacklevel=5)


def _check_named_once(name: str, kind: str, kinds: dict[str, str | None]) -> None:
    if kinds.get(name, "exclude"):
        raise ValueError(
            f"Column {name!r} must be named once. Received: it is in "
            f"`{kind}` and in `{kinds.get(name, 'exclude')}`."
        )


def _check_same_columns(frame: pd.DataFrame, first: Sequence[str]) -> None:
    lacks = [name for name in first if name not in frame.columns]
    if lacks or len(frame.columns) != len(first):
        more = [name for name in frame.columns if name not in first]
        raise ValueError(
            "Every frame must have the columns of the first. Received: one without "
            f"{shorten(lacks)} and with {shorten(more)} besides."
            f"{did_you_mean(lacks[0], more) if lacks else ''}"
        )


def _column_names(
    frame: pd.DataFrame, names: Iterable[str], argument: str
) -> list[str]:
    if isinstance(names, str):
        raise TypeError(
            f"`{argument}` must be a sequence of column names. Received: {names!r}. "
            f"Use [{names!r}]."
        )
    names = list(names)
    check_known_keys(names, list(frame.columns), argument, kind="column")
    return names


def _clip(value: int, low: int, high: int) -> int:
    return min(max(value, low), high)


def _id_warning(name: str) -> str:
    return (
        f"Column {name!r} is nearly unique, like an id: a network learns such a column "
        f"by heart. Leave it out with `exclude=[{name!r}]` or `drop_ids=True`, or name "
        f"its kind, e.g. `categorical=[{name!r}]`, to keep it without this warning."
    )
