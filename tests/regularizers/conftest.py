"""Stacks of weights on which the penalties are compared."""

import numpy as np
import pytest


@pytest.fixture
def stack():
    """Weights of five tasks, `(tasks, in, out)`."""
    return np.random.default_rng(0).normal(size=(5, 4, 3))
