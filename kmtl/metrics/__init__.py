"""Metrics that Keras does not have.

Example:
    >>> import kmtl
    >>> kmtl.metrics.CohenKappa(5, weightage="quadratic").name
    'cohen_kappa'
"""

from kmtl.metrics._cohen_kappa import CohenKappa

__all__ = ["CohenKappa"]
