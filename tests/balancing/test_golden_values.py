"""All methods by gradients, on the example of TorchJD.

The values are those of TorchJD 0.17, tests/unit/aggregation/test_values.py, to 4
decimals; the weights of ConFIG and NashMTL, which it does not list, follow from its
updates. Where TorchJD takes means over tasks, kmtl takes sums: twice its values. CAGrad
is divided by 1 + c beside that.
"""

import numpy as np
import pytest
from steps import a_step, state_of

from kmtl.balancing import (
    IMTLG,
    MGDA,
    AlignedMTL,
    CAGrad,
    ConFIG,
    DualProj,
    FairGrad,
    GradNorm,
    GradVac,
    NashMTL,
    PCGrad,
    UPGrad,
)

GRADIENTS = np.array([[-4.0, 1.0, 1.0], [6.0, 1.0, 1.0]])


@pytest.mark.parametrize(
    ("method", "factor", "weights", "update"),
    [
        (AlignedMTL(), 2, [0.5591, 0.4083], [0.2133, 0.9673, 0.9673]),
        (CAGrad(0.5), 2 / 1.5, [0.7041, 0.5000], [0.1835, 1.2041, 1.2041]),
        (ConFIG(), 1, [1.2265, 0.8441], [0.1588, 2.0706, 2.0706]),
        (DualProj(), 2, [0.6109, 0.5000], [0.5563, 1.1109, 1.1109]),
        (FairGrad(), 1, [0.5915, 0.4071], [0.0766, 0.9985, 0.9985]),
        (GradNorm(), 1, [1.0, 1.0], [2.0, 2.0, 2.0]),  # its first step: the sum
        (GradVac(), 1, [2.2222, 1.5789], [0.5848, 3.8012, 3.8012]),
        (IMTLG(), 2, [0.5923, 0.4077], [0.0767, 1.0, 1.0]),
        (MGDA(), 2, [0.6, 0.4], [0.0, 1.0, 1.0]),
        (NashMTL(), 1, [0.4182, 0.2878], [0.0542, 0.7061, 0.7061]),
        (NashMTL(max_norm=None), 1, [0.5915, 0.4071], [0.0766, 0.9985, 0.9985]),
        (PCGrad(), 1, [2.2222, 1.5789], [0.5848, 3.8012, 3.8012]),
        (UPGrad(), 2, [1.1109, 0.7894], [0.2929, 1.9004, 1.9004]),
    ],
    ids=repr,
)
def test_the_example_of_torchjd(method, factor, weights, update):
    step = a_step(gramian=GRADIENTS @ GRADIENTS.T)
    actual = method(step, state_of(method, 2))[0].numpy()
    atol = 1e-4 * factor
    np.testing.assert_allclose(actual, np.multiply(weights, factor), atol=atol)
    np.testing.assert_allclose(
        actual @ GRADIENTS, np.multiply(update, factor), atol=atol
    )
