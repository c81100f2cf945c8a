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


def count_words(texts: Array, counts: Array) -> tuple[Counter[str], int]:
    """Counts words and finds how many of a text to read.

    Args:
        texts: Distinct strings.
        counts: How many rows hold each.

    Returns:
        The number of times that each word occurs, and the length, in words, that 99 of
        100 texts do not pass; at least 1.
    """
    occurrences: Counter[str] = Counter()
    lengths = np.zeros(len(texts), np.int64)
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        some = slice(start, start + TEXTS_AT_ONCE)
        words = split_words(tf.constant(texts[some]))
        lengths[some] = words.row_lengths().numpy()
        occurrences += _weighted_count(
            words.flat_values, np.repeat(counts[some], lengths[some])
        )
    missing = (texts == "") | (counts == 0)
    known = Distribution.of(np.repeat(lengths, counts), np.repeat(missing, counts))
    return occurrences, max(int(known.quantiles([LENGTH_QUANTILE])[0]), 1)


def _weighted_count(words: tf.Tensor, weights: Array) -> Counter[str]:
    distinct, positions = tf.unique(words)
    totals = np.bincount(positions.numpy(), weights, minlength=len(distinct))
    pairs = zip(distinct.numpy(), totals.astype(np.int64).tolist(), strict=True)
    return Counter({word.decode("utf-8"): n for word, n in pairs})
