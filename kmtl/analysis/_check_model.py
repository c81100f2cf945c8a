"""What every analysis asks of a model."""

from typing import Any

from kmtl.model import MTLModel


def check_model(model: Any) -> None:
    """Raises `TypeError` unless `model` is an `MTLModel`."""
    if not isinstance(model, MTLModel):
        raise TypeError(
            "`model` must be an MTLModel, such as `kmtl.build_mtl_model` returns. "
            f"Received: {type(model).__name__}."
        )
