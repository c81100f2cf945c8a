"""What Keras knows and has no public way to ask: its private names, in one place."""

from typing import Any

import keras

from kmtl._typing import Config

# Keras 3.15 leaves arguments of these out of their configs.
_HIDE_ARGUMENTS = (keras.losses.CosineSimilarity, keras.losses.Huber)


def loss_config(loss: keras.losses.Loss) -> Config:
    """Returns the config of a loss with all its arguments."""
    config = dict(loss.get_config())
    if isinstance(loss, _HIDE_ARGUMENTS):
        config.update(vars(loss)["_fn_kwargs"])
    return config


def serialize_loss(loss: Any) -> Any:
    """Serialises a loss, its name or a function with all its arguments."""
    serialized = keras.saving.serialize_keras_object(loss)
    if isinstance(loss, _HIDE_ARGUMENTS):
        serialized["config"] = loss_config(loss)
    return serialized


def metric_direction(metric: keras.metrics.Metric) -> str | None:
    """Returns which way of a metric is better, `"max"` or `"min"`, if Keras knows."""
    direction = vars(metric).get("_direction")
    return {"up": "max", "down": "min"}.get(str(direction))
