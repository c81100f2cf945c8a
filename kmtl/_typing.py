"""Type aliases shared by the whole package.

Keras ships no types, so a tensor is `Any` to a checker. The aliases say what is meant.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

Tensor: TypeAlias = Any
"""A backend tensor, a symbolic Keras tensor or something Keras converts to one."""

Shape: TypeAlias = tuple[int | None, ...]
"""A shape without the batch dimension unless said otherwise."""

Config: TypeAlias = dict[str, Any]
"""What `get_config` returns: plain data that JSON can hold."""

LossLike: TypeAlias = str | Callable[..., Tensor] | Any
"""A Keras loss name, a `keras.losses.Loss`, or a callable `(y_true, y_pred)`."""

MetricLike: TypeAlias = str | Callable[..., Tensor] | Any
"""A Keras metric name, a `keras.metrics.Metric`, or a callable."""

ByTask: TypeAlias = Mapping[str, Any]
"""Anything keyed by task name."""
