"""An adapter without a model: data in, packed batches out."""

import numpy as np
import pytest

from kmtl._head_groups import group_heads
from kmtl.data import Adapter, Packer
from kmtl.tasks import RegressionTask


@pytest.fixture
def make_adapter():
    def make(tasks, specs=None, features=None, mean=0.0, scale=1.0):
        is_number = [isinstance(task, RegressionTask) for task in tasks]
        packer = Packer(
            tasks=tuple(tasks),
            groups=group_heads(tasks, ()),
            shapes=((),) * len(tasks),
            mean=np.where(is_number, mean, 0.0),
            scale=np.where(is_number, scale, 1.0),
            dtype="float32",
        )
        return Adapter(packer, specs or {"inputs": ((2,), "float32")}, features)

    return make
