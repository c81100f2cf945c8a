"""Encoded tabular arrays -> one vector of features a row."""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from keras import ops

from kmtl._checks import check_positive_integer, shorten
from kmtl._typing import Config, Tensor
from kmtl.features import TabularFeatures


@keras.saving.register_keras_serializable(package="kmtl")
class TabularEmbedding(keras.layers.Layer):
    """The trainable entry of a tabular model: numbers, categories, words -> features.

    A number becomes its standardised value, squashed smoothly into (-3, 3), and its
    piecewise linear encoding: one channel a bin, which runs from 0 to 1 as the number
    crosses the bin. That lets the next layer draw any piecewise linear function of the
    number, which one `Dense` layer of the plain number cannot. Numbers beyond the outer
    edges stay ordered by a last channel, the logarithm of their distance.

    A category becomes a row of a trainable table; one table holds all columns, so the
    cost is one gather, however many columns there are. A text becomes the mean of the
    embeddings of its words, and zeros if it has none.

    Args:
        numeric_edges: For each channel of `"numeric"` its bin edges, strictly
            increasing, or nothing for a channel that is taken as it is.
        category_sizes: For each slot of `"categorical"` its number of codes.
        text_sizes: For each column of `"text"` its number of codes.
        dim: Width of a category's embedding.
        text_dim: Width of a word's embedding.
        embeddings_initializer: Of both tables; `"uniform"` is that of
            `keras.layers.Embedding`.

    Call arguments:
        encoded: Dict with those of `"numeric"`, float `(batch, channels)`,
            `"categorical"`, int `(batch, slots)`, and `"text"`, int
            `(batch, columns, words)`, that have sizes.

    Returns:
        Tensor of shape `(batch, features)` in the layer's compute dtype.

    Example:
        >>> import numpy as np
        >>> layer = TabularEmbedding([(-1.0, 0.0, 1.0)], [3], dim=4)
        >>> encoded = {"numeric": np.array([[0.5]]), "categorical": np.array([[2]])}
        >>> layer(encoded).shape  # squashed value, 2 bins, tail, embedding
        TensorShape([1, 8])

    Reference:
        Gorishniy, Rubachev, Babenko, "On Embeddings for Numerical Features in Tabular
        Deep Learning", 2022, section 3.1, https://arxiv.org/abs/2203.05556. It differs
        in that the outer bins end at the outer edges, and the tail channel follows.
        The squashing is that of Holzmueller, Grinsztajn, Steinwart, "Better by
        Default" (RealMLP), 2024, https://arxiv.org/abs/2407.04491.
    """

    def __init__(
        self,
        numeric_edges: Sequence[Sequence[float]] = (),
        category_sizes: Sequence[int] = (),
        text_sizes: Sequence[int] = (),
        *,
        dim: int = 16,
        text_dim: int = 32,
        embeddings_initializer: Any = "uniform",
        **kwargs: Any,
    ) -> None:
        # The numbers must not be rounded to half precision before the bins are found.
        super().__init__(**{"autocast": False, **kwargs})
        check_positive_integer(dim, "dim")
        check_positive_integer(text_dim, "text_dim")
        _check_edges(numeric_edges)
        if not (numeric_edges or category_sizes or text_sizes):
            raise ValueError(
                "`TabularEmbedding` must have something to embed. Received: no "
                "numeric_edges, category_sizes or text_sizes."
            )
        self.numeric_edges = [[float(e) for e in edges] for edges in numeric_edges]
        self.category_sizes = [int(size) for size in category_sizes]
        self.text_sizes = [int(size) for size in text_sizes]
        self.dim = dim
        self.text_dim = text_dim
        self.embeddings_initializer = keras.initializers.get(embeddings_initializer)
        self._bins = _Bins(self.numeric_edges)

    @classmethod
    def from_features(cls, features: TabularFeatures, **kwargs: Any) -> Self:
        """Makes the layer for what `features` encodes; `kwargs` as of the class."""
        return cls(
            features.numeric_edges,
            features.category_sizes,
            features.text_sizes,
            **kwargs,
        )

    def build(self, input_shape: Any = None) -> None:  # noqa: ARG002 - sizes are known
        if self.category_sizes:
            self.category_table = self._table(
                "categories", self.category_sizes, self.dim
            )
        if self.text_sizes:
            self.word_table = self._table("words", self.text_sizes, self.text_dim)

    def call(self, encoded: Mapping[str, Tensor]) -> Tensor:
        parts = []
        if self.numeric_edges:
            parts.append(self._embed_numbers(encoded["numeric"]))
        if self.category_sizes:
            parts.append(self._embed_categories(encoded["categorical"]))
        if self.text_sizes:
            parts.append(self._embed_texts(encoded["text"]))
        return ops.concatenate(parts, axis=-1)

    def get_config(self) -> Config:
        config = super().get_config()
        config.update(
            numeric_edges=self.numeric_edges,
            category_sizes=self.category_sizes,
            text_sizes=self.text_sizes,
            dim=self.dim,
            text_dim=self.text_dim,
            embeddings_initializer=keras.initializers.serialize(
                self.embeddings_initializer
            ),
        )
        return config

    def _table(self, name: str, sizes: Sequence[int], dim: int) -> keras.Variable:
        return self.add_weight(
            shape=(sum(sizes), dim), initializer=self.embeddings_initializer, name=name
        )

    def _embed_numbers(self, numbers: Tensor) -> Tensor:
        numbers = ops.cast(numbers, "float32")
        squashed = numbers / ops.sqrt(1.0 + ops.square(numbers / 3.0))
        encoding = piecewise_linear(numbers, self._bins)
        return ops.cast(
            ops.concatenate([squashed, encoding], axis=-1), self.compute_dtype
        )

    def _embed_categories(self, codes: Tensor) -> Tensor:
        codes = ops.cast(codes, "int32")
        rows = codes + _offsets(self.category_sizes)  # (b, slots)
        vectors = ops.take(self.category_table, rows, axis=0)  # (b, slots, dim)
        flat = ops.reshape(vectors, (-1, len(self.category_sizes) * self.dim))
        return ops.cast(flat, self.compute_dtype)

    def _embed_texts(self, codes: Tensor) -> Tensor:
        codes = ops.cast(codes, "int32")
        rows = codes + _offsets(self.text_sizes)[:, None]  # (b, columns, words)
        words = ops.cast(codes > 0, self.compute_dtype)
        vectors = ops.cast(ops.take(self.word_table, rows, axis=0), self.compute_dtype)
        total = ops.einsum("bcw,bcwd->bcd", words, vectors)
        count = ops.sum(words, axis=-1, keepdims=True)  # (b, columns, 1)
        mean = total / ops.maximum(count, 1.0)
        return ops.reshape(mean, (-1, len(self.text_sizes) * self.text_dim))


class _Bins:
    """The bins of all channels, one after the other, as constant arrays.

    Attributes:
        channel, left, width: Of each bin, the channel it reads, its left edge and its
            width; `(bins,)`.
        tailed, first, last: Of each channel with bins, its position and outer edges.
    """

    def __init__(self, edges: Sequence[Sequence[float]]) -> None:
        arrays = [np.asarray(e, np.float32) for e in edges]
        used = [(i, a) for i, a in enumerate(arrays) if len(a)]
        self.channel = np.repeat(
            [i for i, _ in used], [len(a) - 1 for _, a in used]
        ).astype(np.int32)
        self.left = _join([a[:-1] for _, a in used])
        self.width = _join([np.diff(a) for _, a in used])
        self.tailed = np.array([i for i, _ in used], np.int32)
        self.first = np.array([a[0] for _, a in used], np.float32)
        self.last = np.array([a[-1] for _, a in used], np.float32)


def piecewise_linear(numbers: Tensor, bins: _Bins) -> Tensor:
    """Returns the channels of all bins, then the tail channel of each number.

    Args:
        numbers: float32, `(batch, channels)`.
        bins: Where they end.

    Returns:
        float32 tensor of shape `(batch, bins + channels with bins)`.
    """
    crossed = (ops.take(numbers, bins.channel, axis=1) - bins.left) / bins.width
    tailed = ops.take(numbers, bins.tailed, axis=1)
    above = ops.log1p(ops.relu(tailed - bins.last))
    below = ops.log1p(ops.relu(bins.first - tailed))
    return ops.concatenate([ops.clip(crossed, 0.0, 1.0), above - below], axis=-1)


def _check_edges(numeric_edges: Sequence[Sequence[float]]) -> None:
    for edges in numeric_edges:
        widths = np.diff(np.asarray(edges, np.float32))
        if len(edges) == 1 or not (widths > 0).all():
            raise ValueError(
                "`numeric_edges` must hold, for each channel, nothing or at least two "
                f"edges, strictly increasing in float32. Received: {shorten(edges)}."
            )


def _join(arrays: Sequence[Any]) -> Any:
    return np.concatenate(arrays) if arrays else np.zeros(0, np.float32)


def _offsets(sizes: Sequence[int]) -> Any:
    return np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)
