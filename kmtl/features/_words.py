"""Counts the words of the training texts, split as the preprocessing model does it."""

from collections import Counter

import numpy as np
import tensorflow as tf

from kmtl.features._convert import Array
from kmtl.features._statistics import Distribution
from kmtl.features._tokens import split_words

LENGTH_QUANTILE = 0.99
"""The share of texts that is read to its end."""

TEXTS_AT_ONCE = 65_536


class WordTally:
    """Counts words, and how many of them texts have."""

    def __init__(self) -> None:
        self.occurrences: Counter[str] = Counter()
        self._texts: Counter[int] = Counter()

    def add(self, texts: Array, counts: Array) -> None:
        """Counts the words of some texts.

        Args:
            texts: Distinct strings; the empty one is a missing text.
            counts: How many rows hold each.
        """
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            some = slice(start, start + TEXTS_AT_ONCE)
            self._add(texts[some], counts[some])

    @property
    def tokens(self) -> int:
        """The length, in words, that 99 of 100 texts do not pass; at least 1."""
        lengths = np.array(sorted(self._texts))
        counts = np.array([self._texts[n] for n in lengths.tolist()])
        known = Distribution(lengths, counts, 0)
        return max(int(known.quantiles([LENGTH_QUANTILE])[0]), 1)

    def _add(self, texts: Array, counts: Array) -> None:
        words = split_words(tf.constant(texts))
        lengths = words.row_lengths().numpy()
        self.occurrences += _weighted_count(
            words.flat_values, np.repeat(counts, lengths)
        )
        known = texts != ""
        rows = np.bincount(lengths[known], counts[known]).astype(np.int64)
        found = np.flatnonzero(rows)
        self._texts.update(dict(zip(found.tolist(), rows[found].tolist(), strict=True)))


def _weighted_count(words: tf.Tensor, weights: Array) -> Counter[str]:
    distinct, positions = tf.unique(words)
    totals = np.bincount(positions.numpy(), weights, minlength=len(distinct))
    pairs = zip(distinct.numpy(), totals.astype(np.int64).tolist(), strict=True)
    return Counter({word.decode("utf-8"): n for word, n in pairs})
