"""Categories -> codes."""

from collections.abc import Sequence

import keras
from keras import ops

from kmtl._typing import Config, Tensor
from kmtl.features._code_table import code_table


@keras.saving.register_keras_serializable(package="kmtl")
class CategoryCodes(keras.layers.Layer):
    """Looks categories up: 0 is missing, 1 a value not in the vocabulary.

    Args:
        vocabularies: For each column the values with codes of their own, from 2: all
            strings or all integers.

    Call arguments:
        columns: One string or int64 tensor of shape `(batch,)` a column; the empty
            string and the smallest int64 are missing values.

    Returns:
        int32 tensor of shape `(batch, columns)`.

    Example:
        >>> import tensorflow as tf
        >>> layer = CategoryCodes([["Oslo", "Rome"], [10, 20]])
        >>> columns = [tf.constant(["Rome", ""]), tf.constant([30, 10], tf.int64)]
        >>> layer(columns).numpy().tolist()
        [[3, 1], [0, 2]]
    """

    def __init__(
        self,
        vocabularies: Sequence[Sequence[str] | Sequence[int]],
        **kwargs: object,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.vocabularies = [list(vocabulary) for vocabulary in vocabularies]
        self.supports_jit = False
        self._tables = [code_table(vocabulary) for vocabulary in vocabularies]

    def call(self, columns: Sequence[Tensor]) -> Tensor:
        pairs = zip(self._tables, columns, strict=True)
        return ops.stack([table.lookup(column) for table, column in pairs], axis=1)

    def compute_output_spec(self, columns: Sequence[Tensor]) -> keras.KerasTensor:
        return keras.KerasTensor((columns[0].shape[0], len(columns)), dtype="int32")

    def get_config(self) -> Config:
        return {**super().get_config(), "vocabularies": self.vocabularies}
