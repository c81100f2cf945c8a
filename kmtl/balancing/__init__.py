"""Weighing the tasks of a model while it trains."""

from kmtl.balancing._base import (
    Balancing,
    GradientBalancing,
    LossBalancing,
    State,
    Step,
)
from kmtl.balancing._gls import GLS

__all__ = ["GLS", "Balancing", "GradientBalancing", "LossBalancing", "State", "Step"]
