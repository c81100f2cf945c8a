"""Weighing the tasks of a model while it trains."""

from kmtl.balancing._aligned_mtl import AlignedMTL
from kmtl.balancing._base import (
    Balancing,
    GradientBalancing,
    LossBalancing,
    State,
    Step,
)
from kmtl.balancing._cagrad import CAGrad
from kmtl.balancing._config import ConFIG
from kmtl.balancing._dual_proj import DualProj
from kmtl.balancing._dwa import DWA
from kmtl.balancing._fairgrad import FairGrad
from kmtl.balancing._famo import FAMO
from kmtl.balancing._fixed_weights import FixedWeights
from kmtl.balancing._gls import GLS
from kmtl.balancing._gradnorm import GradNorm
from kmtl.balancing._gradvac import GradVac
from kmtl.balancing._imtlg import IMTLG
from kmtl.balancing._imtll import IMTLL
from kmtl.balancing._mgda import MGDA
from kmtl.balancing._nashmtl import NashMTL
from kmtl.balancing._normalized_losses import NormalizedLosses
from kmtl.balancing._pcgrad import PCGrad
from kmtl.balancing._rlw import RLW
from kmtl.balancing._scale_invariant import ScaleInvariant
from kmtl.balancing._stch import STCH
from kmtl.balancing._uncertainty_weighting import UncertaintyWeighting
from kmtl.balancing._upgrad import UPGrad

__all__ = [
    "DWA",
    "FAMO",
    "GLS",
    "IMTLG",
    "IMTLL",
    "MGDA",
    "RLW",
    "STCH",
    "AlignedMTL",
    "Balancing",
    "CAGrad",
    "ConFIG",
    "DualProj",
    "FairGrad",
    "FixedWeights",
    "GradNorm",
    "GradVac",
    "GradientBalancing",
    "LossBalancing",
    "NashMTL",
    "NormalizedLosses",
    "PCGrad",
    "ScaleInvariant",
    "State",
    "Step",
    "UPGrad",
    "UncertaintyWeighting",
]
