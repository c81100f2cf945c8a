"""The mean of paired differences and how sure it is."""

import numpy as np
import pandas as pd

from kmtl.analysis._student import two_sided, within


def paired(gains: pd.Series, level: float, overlap: float) -> dict[str, float]:
    """Returns the mean of gains, its t interval and the p-value of a mean of 0.

    Args:
        gains: A gain a seed.
        level: The confidence of the interval.
        overlap: What comes to the variance of the mean, as a share of that of a gain,
            as the splits of different seeds overlap; see `Comparison`.

    Returns:
        `gain`, `low`, `high` and `p`; the last three are NaN for one seed, or where a
        gain is not finite.
    """
    with np.errstate(invalid="ignore"):  # of infinite gains of both signs
        mean, count = float(gains.mean()), len(gains)
    if count < 2 or not np.isfinite(mean):
        return {"gain": mean, "low": np.nan, "high": np.nan, "p": np.nan}
    error = float(gains.std(ddof=1)) * np.sqrt(1 / count + overlap)
    half = two_sided(level, count - 1) * error
    p = float(mean == 0) if error == 0 else 1 - within(abs(mean) / error, count - 1)
    return {"gain": mean, "low": mean - half, "high": mean + half, "p": p}


def holm(p: np.ndarray) -> np.ndarray:
    """Corrects p-values for their number.

    Reference:
        Holm, "A Simple Sequentially Rejective Multiple Test Procedure", Scandinavian
        Journal of Statistics 6, 1979.
    """
    order = np.argsort(p)
    factors = np.arange(len(p), 0, -1)
    corrected = np.empty(len(p))
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected
