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

from kmtl.sharing._adatt import AdaTT
from kmtl.sharing._branched import Branched
from kmtl.sharing._cgc import CGC
from kmtl.sharing._cross_stitch import CrossStitch
from kmtl.sharing._dselect_k import DSelectK
from kmtl.sharing._film import FiLM
from kmtl.sharing._hard import Hard
from kmtl.sharing._low_level import LowLevel
from kmtl.sharing._mmoe import MMoE
from kmtl.sharing._mtan import MTAN
from kmtl.sharing._ple import PLE
from kmtl.sharing._sluice import Sluice
from kmtl.sharing._soft import Soft

__all__ = [
    "CGC",
    "MTAN",
    "PLE",
    "AdaTT",
    "Branched",
    "CrossStitch",
    "DSelectK",
    "FiLM",
    "Hard",
    "LowLevel",
    "MMoE",
    "Sluice",
    "Soft",
]
