import numpy as np
import pytest
from gradients import gramian, of_rank, stretched
from steps import a_step

from kmtl.balancing import AlignedMTL


def weigh(rows, scale="min"):
    return AlignedMTL(scale)(a_step(gramian=gramian(rows)), {})[0].numpy()


def align(rows, scale):
    """The sum of the rows after their singular values are made equal."""
    left, values, right = np.linalg.svd(rows, full_matrices=False)
    rank = (values > 1e-6 * values[0]).sum()
    return np.sqrt(scale(values[:rank] ** 2)) * (left[:, :rank] @ right[:rank]).sum(0)


@pytest.mark.parametrize(
    ("name", "scale"),
    [
        ("min", np.min),
        ("median", lambda values: np.sort(values)[(len(values) - 1) // 2]),
        ("rmse", np.mean),
    ],
)
@pytest.mark.parametrize("rank", [2, 3, 6])
def test_principal_components_become_equally_long(name, scale, rank):
    rows = of_rank(6, rank)
    update = weigh(rows, name) @ rows
    np.testing.assert_allclose(update, align(rows, scale), rtol=1e-3, atol=1e-3)


def test_gradients_of_very_different_lengths_count():
    rows = np.diag([1.0, 1e3, 1e5])
    np.testing.assert_allclose(weigh(rows), [1, 1e-3, 1e-5], rtol=1e-6)


def test_rounding_is_no_component():
    rows = np.float32(stretched(of_rank(20, 3), 2))
    exact = rows.astype("float64") @ rows.T.astype("float64")
    expected = AlignedMTL()(a_step(gramian=exact), {})[0].numpy() @ rows
    np.testing.assert_allclose(weigh(rows) @ rows, expected, rtol=1e-3)


def test_a_scale_that_is_none():
    with pytest.raises(ValueError, match="Did you mean 'median'"):
        AlignedMTL("medium")
