"""The rows of one task that are read on and on."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from kmtl.data._order import Rows

# Whether a pass starts with these rows, and the rows.
Chunk: TypeAlias = tuple[bool, Rows]


@dataclass
class RowStream:
    """Reads the rows of one task, any number at once, pass after pass.

    Attributes:
        task: Name of the task.
        rows: How many it has.
        open: Reads them in chunks, without end, from the start of a pass that is given
            by its number.
        exact: Whether every pass must give that many.
    """

    task: str
    rows: int
    open: Callable[[int], Iterator[Chunk]]
    exact: bool = True
    _chunks: Iterator[Chunk] | None = field(default=None, init=False)
    _chunk: Rows = field(default_factory=list, init=False)
    _unread: int = field(default=0, init=False)  # of the chunk at hand
    _position: int = field(default=0, init=False)  # rows taken
    _received: int = field(default=0, init=False)  # in this pass

    def go_to(self, position: int) -> None:
        """Goes to where that many rows have been taken."""
        if position == self._position:
            return
        number, skipped = divmod(position, self.rows)
        self._start(number)
        self.take(skipped)

    def rest(self, most: int) -> list[Rows]:
        """Takes rows of one pass, fewer than `most` at its end."""
        return self.take(min(most, self.rows - self._position % self.rows))

    def take(self, count: int) -> list[Rows]:
        """Takes rows in pieces, of the next pass too when this one ends."""
        self._position += count
        pieces = []
        while count > 0:
            if self._unread == 0:
                self._next_chunk()
            some = min(count, self._unread)
            start = len(self._chunk[0]) - self._unread
            pieces.append([array[start : start + some] for array in self._chunk])
            self._unread -= some
            count -= some
        return pieces

    def _start(self, number: int) -> None:
        self._chunks = self.open(number)
        self._unread = 0
        self._position = number * self.rows
        self._received = self.rows

    def _next_chunk(self) -> None:
        if self._chunks is None:
            self._chunks, self._received = self.open(0), self.rows
        starts, self._chunk = next(self._chunks, (True, []))
        self._unread = len(self._chunk[0]) if self._chunk else 0
        if starts:
            self._check(self._received == self.rows and self._chunk)
            self._received = 0
        self._received += self._unread
        self._check(self._received <= self.rows)

    def _check(self, is_right: object) -> None:
        if not is_right and (self.exact or not self._chunk):
            raise ValueError(
                f"The data of task {self.task!r} must give {self.rows} rows, as when "
                f"they were counted. Received: {self._received} or more."
            )
