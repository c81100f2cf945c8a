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


def optimizer_slots(optimizer: Any, variable: Any) -> dict[str, Any]:
    """Returns what an optimizer keeps for a variable, by kind of slot.

    Every list attribute with one entry a trained variable holds one kind of slot.

    Args:
        optimizer: A Keras optimizer with its variables built.
        variable: A variable; one that the optimizer does not update has no slots.
    """
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    trained = vars(optimizer)["_trainable_variables"]
    places = [i for i, other in enumerate(trained) if other is variable]
    return {
        name: slots[place]
        for place in places
        for name, slots in vars(optimizer).items()
        if isinstance(slots, list)
        and len(slots) == len(trained)
        and name != "_trainable_variables"
        and isinstance(slots[place], keras.Variable)
        and slots[place].shape == variable.shape
    }


def optimizer_state(optimizer: Any) -> dict[str, Any]:
    """Returns the variables of an optimizer that belong to no weight, by attribute."""
    return {k: v for k, v in vars(optimizer).items() if isinstance(v, keras.Variable)}
