"""The order in which the rows of a source come in training."""

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeAlias, TypeVar

import numpy as np

Item = TypeVar("Item")
Rows: TypeAlias = list[np.ndarray]
"""Arrays that share the first axis."""


def in_turn(streams: Iterable[Iterator[Item]], at_a_time: int) -> Iterator[Item]:
    """Takes one item of each of some iterators in turn.

    Args:
        streams: The iterators; the next one starts where one has ended.
        at_a_time: How many are open.
    """
    waiting = iter(streams)
    active: list[Iterator[Item]] = []
    place = 0
    while True:
        while len(active) < at_a_time and (new := next(waiting, None)) is not None:
            active.append(new)
        if not active:
            return
        place %= len(active)
        try:
            item = next(active[place])
        except StopIteration:
            del active[place]
            continue
        yield item
        place += 1


def mix_rows(
    chunks: Iterable[Rows], buffer_rows: int, rng: np.random.Generator
) -> Iterator[Rows]:
    """Draws rows at random from a buffer that the next ones fill up.

    As `tf.data.Dataset.shuffle`, but for many rows at once: of every chunk, its rows
    take the places of as many that are drawn from the buffer.

    Args:
        chunks: The rows in their order.
        buffer_rows: How many rows the buffer holds.
        rng: Makes the draws.

    Yields:
        Every row once.
    """
    buffer: Rows | None = None
    filled: list[Rows] = []
    for chunk in chunks:
        if buffer is None:
            filled.append(chunk)
            if sum(len(part[0]) for part in filled) >= buffer_rows:
                buffer, filled = _joined(filled), []
            continue
        for part in _split(chunk, len(buffer[0])):
            places = rng.permutation(len(buffer[0]))[: len(part[0])]
            yield [column[places] for column in buffer]
            for column, new in zip(buffer, part, strict=True):
                column[places] = new
    rest = _joined(filled) if filled else buffer
    if rest is not None:
        places = rng.permutation(len(rest[0]))
        for some in np.array_split(places, -(-len(places) // 16_384)):
            yield [column[some] for column in rest]


def _split(chunk: Rows, most: int) -> Iterator[Rows]:
    for start in range(0, len(chunk[0]), most):
        yield [column[start : start + most] for column in chunk]


def _joined(parts: Sequence[Rows]) -> Rows:
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]
