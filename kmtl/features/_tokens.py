"""Texts -> codes of their words."""

from collections.abc import Sequence

import keras
import tensorflow as tf

from kmtl._typing import Config, Tensor
from kmtl.features._code_table import code_table

# Apostrophes join ("don't" -> "dont"), all other punctuation separates.
_APOSTROPHES = "['\u2019]"
_PUNCTUATION = r"[\p{P}\p{S}]+"


def split_words(texts: Tensor) -> tf.RaggedTensor:
    """Splits texts into lower-case words without punctuation.

    Args:
        texts: String tensor of shape `(batch,)`.

    Returns:
        Ragged string tensor of shape `(batch, words)`.
    """
    lowered = tf.strings.lower(texts, encoding="utf-8")
    joined = tf.strings.regex_replace(lowered, _APOSTROPHES, "")
    return tf.strings.split(tf.strings.regex_replace(joined, _PUNCTUATION, " "))


@keras.saving.register_keras_serializable(package="kmtl")
class TextTokens(keras.layers.Layer):
    """Codes of a text's first words: 0 is padding, 1 a word not in the vocabulary.

    Args:
        vocabulary: The words with codes of their own, from 2.
        tokens: How many words are read.
        length: The length of the result; the rest is padding. Defaults to `tokens`.

    Call arguments:
        texts: String tensor of shape `(batch,)`.

    Returns:
        int32 tensor of shape `(batch, length)`.

    Example:
        >>> import tensorflow as tf
        >>> layer = TextTokens(["good", "film"], tokens=3)
        >>> layer(tf.constant(["A good film!"])).numpy().tolist()
        [[1, 2, 3]]
    """

    def __init__(
        self,
        vocabulary: Sequence[str],
        tokens: int,
        length: int | None = None,
        **kwargs: object,
    ) -> None:
        super().__init__(**kwargs)
        self.vocabulary = list(vocabulary)
        self.tokens = tokens
        self.length = tokens if length is None else length
        self.supports_jit = False
        self._table = code_table(self.vocabulary)

    def call(self, texts: Tensor) -> Tensor:
        words = split_words(texts)[:, : self.tokens]
        dense = words.to_tensor(default_value="", shape=(None, self.length))
        return self._table.lookup(dense)

    def compute_output_spec(self, texts: keras.KerasTensor) -> keras.KerasTensor:
        return keras.KerasTensor((texts.shape[0], self.length), dtype="int32")

    def get_config(self) -> Config:
        config = super().get_config()
        config.update(
            vocabulary=self.vocabulary, tokens=self.tokens, length=self.length
        )
        return config
