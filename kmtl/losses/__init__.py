"""Losses that Keras does not have.

Example:
    >>> import kmtl
    >>> kmtl.losses.Pinball(tau=0.9).name
    'pinball'
"""

from kmtl.losses._pinball import Pinball

__all__ = ["Pinball"]
