"""Student's t distribution with a whole number of degrees of freedom.

Reference:
    Abramowitz and Stegun, "Handbook of Mathematical Functions", 26.7.3 and 26.7.4.
"""

import math


def within(t: float, degrees: int) -> float:
    """Returns the probability that |T| is at most `t`."""
    return _within(math.atan(t / math.sqrt(degrees)), degrees)


def two_sided(level: float, degrees: int) -> float:
    """Returns the `t` that |T| is at most with the probability `level`."""
    low, high = 0.0, math.pi / 2  # of the angle, in which the whole line is short
    for _ in range(100):
        middle = (low + high) / 2
        if _within(middle, degrees) < level:
            low = middle
        else:
            high = middle
    return math.tan(low) * math.sqrt(degrees)


def _within(angle: float, degrees: int) -> float:
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = degrees % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(odd + 1, degrees, 2):  # terms of the series up to degrees - 2
        total += term
        term *= cosine**2 * k / (k + 1)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
