"""Rows as serialised `tf.Example`s: what they hold, how they are read and written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.features import Column, DateColumn
from kmtl.features._convert import MISSING_INTEGER
from kmtl.features._examples import example_feature, example_kind


@dataclass(frozen=True)
class ExampleFormat:
    """How the raw inputs of a model are kept in a `tf.Example`.

    An example holds lists of bytes, of float32 and of int64, no other types. So numbers
    are rounded to float32, and dates are whole seconds since 1970, int64. A column that
    an example lacks is missing, as in a frame.

    Args:
        inputs: The types of the raw inputs by name.
        columns: What is known of those that are columns of a table.
    """

    inputs: Mapping[str, tf.TensorSpec]
    columns: Mapping[str, Column]

    @property
    def is_possible(self) -> bool:
        """Whether all inputs have fixed shapes, which examples need."""
        shapes = [spec.shape[1:] for spec in self.inputs.values()]
        return all(shape.is_fully_defined() for shape in shapes)

    def parse(self, serialized: Tensor) -> dict[str, Tensor]:
        """Reads a batch of examples, strings `(batch,)`, as raw inputs by name."""
        features = {name: self._feature(name) for name in self.inputs}
        parsed = tf.io.parse_example(serialized, features)
        return {name: self._as_raw(name, parsed[name]) for name in self.inputs}

    def serialize(self, raw: Mapping[str, np.ndarray]) -> np.ndarray:
        """Writes raw inputs as an array of examples, objects of type `bytes`."""
        kept = {name: self._as_kept(name, values) for name, values in raw.items()}
        rows = range(len(next(iter(kept.values()))))
        examples = [
            tf.train.Example(
                features=tf.train.Features(
                    feature={
                        name: _list(self._feature(name).dtype, values[row])
                        for name, values in kept.items()
                    }
                )
            ).SerializeToString()
            for row in rows
        ]
        return np.array(examples, dtype=object)

    def rounded(self, raw: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Returns raw inputs as they are after a way through examples."""
        read = self.parse(tf.constant(self.serialize(raw)))
        return {name: values.numpy() for name, values in read.items()}

    def _feature(self, name: str) -> tf.io.FixedLenFeature:
        """What TensorFlow reads for an input."""
        if name in self.columns:
            return example_feature(example_kind(self.columns[name]))
        spec = self.inputs[name]
        kept_as = tf.float32 if spec.dtype.is_floating else tf.int64
        is_text = spec.dtype == tf.string
        return tf.io.FixedLenFeature(spec.shape[1:], tf.string if is_text else kept_as)

    def _as_raw(self, name: str, values: Tensor) -> Tensor:
        dtype = self.inputs[name].dtype
        if values.dtype == dtype:
            return values
        raw = tf.cast(values, dtype)
        if isinstance(self.columns.get(name), DateColumn):
            missing = tf.constant(float("nan"), dtype)
            raw = tf.where(values == MISSING_INTEGER, missing, raw)
        return raw

    def _as_kept(self, name: str, values: np.ndarray) -> np.ndarray:
        kept_as = self._feature(name).dtype
        if isinstance(self.columns.get(name), DateColumn):
            known = ~np.isnan(values)
            kept = np.full(len(values), MISSING_INTEGER, np.int64)
            kept[known] = np.floor(values[known]).astype(np.int64)
            return kept
        return values if kept_as == tf.string else values.astype(kept_as.as_numpy_dtype)


def _list(kept_as: tf.DType, values: Any) -> tf.train.Feature:
    flat = [values] if np.ndim(values) == 0 else list(np.ravel(values))
    if kept_as == tf.string:
        return tf.train.Feature(bytes_list=tf.train.BytesList(value=flat))
    if kept_as == tf.float32:
        return tf.train.Feature(float_list=tf.train.FloatList(value=flat))
    return tf.train.Feature(int64_list=tf.train.Int64List(value=flat))
