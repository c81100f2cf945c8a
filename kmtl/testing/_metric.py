"""`check_metric`: what a metric must keep to be exact over the rows of an epoch."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl.testing import _assertions as check


def check_metric(
    make_metric: Callable[[], keras.metrics.Metric], labels: Any, outputs: Any
) -> None:
    """Checks a metric on a batch.

    * two batches, one of them small, give what one batch gives;
    * weights of 1 change nothing, and a row of weight 0 counts as if it were not there;
    * `reset_state` forgets, and the config gives the same metric;
    * a compiled step updates it as eager mode does.

    Args:
        make_metric: Makes a new metric.
        labels: Labels of at least four rows.
        outputs: Predictions for them.

    Raises:
        AssertionError: If a property does not hold.

    Example:
        >>> import keras, kmtl
        >>> kmtl.testing.check_metric(
        ...     keras.metrics.MeanAbsoluteError,
        ...     [[1.0], [2.0], [3.0], [4.0]],
        ...     [[0.5], [2.0], [2.0], [4.5]],
        ... )
    """
    labels, outputs = tf.convert_to_tensor(labels), tf.convert_to_tensor(outputs)
    expected = _value(make_metric(), labels, outputs)
    check.assert_finite(expected, "the metric")
    _check_batches(make_metric(), labels, outputs, expected)
    _check_weights(make_metric, labels, outputs, expected)
    config = make_metric().get_config()
    restored = type(make_metric()).from_config(config)
    check.assert_close(_value(restored, labels, outputs), expected, "from its config")
    metric = make_metric()
    tf.function(metric.update_state)(labels, outputs)
    check.assert_close(metric.result(), expected, "a compiled update")


def _value(
    metric: keras.metrics.Metric, labels: Any, outputs: Any, w: Any = None
) -> Any:
    metric.update_state(labels, outputs, sample_weight=w)
    return keras.ops.convert_to_numpy(metric.result())


def _check_batches(
    metric: keras.metrics.Metric, labels: Any, outputs: Any, expected: Any
) -> None:
    for part in (slice(None, -1), slice(-1, None)):
        metric.update_state(labels[part], outputs[part])
    check.assert_close(metric.result(), expected, "two batches against one")
    metric.reset_state()
    check.assert_close(_value(metric, labels, outputs), expected, "after `reset_state`")


def _check_weights(
    make_metric: Callable[[], Any], labels: Any, outputs: Any, expected: Any
) -> None:
    ones = np.ones(len(labels), "float32")
    weighted = _value(make_metric(), labels, outputs, ones)
    check.assert_close(weighted, expected, "weights of 1")
    without = _value(make_metric(), labels[1:], outputs[1:])
    ones[0] = 0.0
    weighted = _value(make_metric(), labels, outputs, ones)
    check.assert_close(weighted, without, "a row of weight 0")
