"""How tasks share a network: one file an architecture.

A sharing is a callable `(trunk, inputs, tasks) -> tensor`. It runs once, when the
model is built, and leaves ordinary layers in the graph. A tensor of rank 2 is a
representation shared by all tasks, one of rank 3, `(batch, tasks, features)`, is one
per task.

Example:
    >>> import kmtl
    >>> kmtl.sharing.Hard()
    Hard()
"""

from kmtl.sharing._hard import Hard

__all__ = ["Hard"]
