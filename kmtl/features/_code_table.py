"""Values -> codes, by a table."""

from collections.abc import Sequence

import tensorflow as tf

from kmtl.features._columns import CODES_BEFORE_VOCABULARY
from kmtl.features._convert import MISSING_INTEGER

MISSING_CODE = 0
UNKNOWN_CODE = 1


def code_table(vocabulary: Sequence[str] | Sequence[int]) -> tf.lookup.StaticHashTable:
    """Makes a table of the codes of some values.

    One operation looks a value up: unlike `keras.layers.StringLookup`, which compares
    with its mask token and selects after it has looked up, missing values are keys.

    Args:
        vocabulary: The values with codes of their own, from 2: all strings or all
            integers, at least one.

    Returns:
        Table from string or int64 to int32: the missing value (the empty string, the
        smallest int64) has code 0, what is not in the vocabulary 1.
    """
    is_text = isinstance(vocabulary[0], str)
    missing = "" if is_text else MISSING_INTEGER
    codes = range(CODES_BEFORE_VOCABULARY, CODES_BEFORE_VOCABULARY + len(vocabulary))
    initializer = tf.lookup.KeyValueTensorInitializer(
        tf.constant([missing, *vocabulary], tf.string if is_text else tf.int64),
        tf.constant([MISSING_CODE, *codes], tf.int32),
    )
    return tf.lookup.StaticHashTable(initializer, UNKNOWN_CODE)
