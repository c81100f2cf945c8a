"""Adding tasks to a trained model, and removing them.

Both make a new model in which what stays is a copy: weights, states and what the
optimizer keeps for them. `kmtl.add_task` and `kmtl.remove_task` are the ways in.

Example:
    >>> import kmtl
    >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
    >>> larger = kmtl.add_task(model, kmtl.BinaryTask("b"))
    >>> kmtl.remove_task(larger, "a").task_names
    ['b']
"""

from kmtl.surgery._add import add_task
from kmtl.surgery._remove import remove_task

__all__ = ["add_task", "remove_task"]
