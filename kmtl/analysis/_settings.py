"""What the trainings of a comparison depend on, as text that a file can keep."""

import dataclasses
import json
import re
from typing import Any

import keras

from kmtl._version import __version__
from kmtl.analysis._runs import Study
from kmtl.features import TabularFeatures

_OF_KERAS = (
    keras.Layer,
    keras.optimizers.Optimizer,
    keras.regularizers.Regularizer,
)


def settings_of(study: Study) -> dict[str, str]:
    """Returns the settings by name: other ones give other results.

    Of a function only its name counts: nobody can tell whether two do the same.
    """
    first, *others = study.rows
    return {
        "train": first.digest(),
        **{
            name: "split" if rows is first else rows.digest()
            for name, rows in zip(("valid", "test"), others, strict=True)
        },
        "tasks": _text(study.tasks),
        **{f"network {k}": _text(v) for k, v in study.networks.items()},
        "metrics": _text(dict(study.metrics)),
        **{name: _text(value) for name, value in study.fit.items()},
        "patience": _text(study.patience),
        "learning_rates": _text(list(study.rates)),
        "precision": f"{keras.config.floatx()}, {keras.config.dtype_policy().name}",
        "kmtl": __version__,
    }


def _text(value: Any) -> str:
    """Returns the `repr` of a value without addresses, or its settings."""
    if isinstance(value, _OF_KERAS):
        return _text_of_keras(value)
    if isinstance(value, keras.losses.Loss):
        # The settings of `Huber` lack its delta, the `repr` of own losses has none.
        return f"{_without_addresses(repr(value))} {_text_of_keras(value)}"
    if isinstance(value, TabularFeatures):
        return json.dumps(value.get_config())
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_text, value))}]"
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        inside = ", ".join(f"{name}={_text(field)}" for name, field in fields.items())
        return f"{type(value).__name__}({inside})"
    return _without_addresses(repr(value))


def _text_of_keras(value: Any) -> str:
    """Returns the settings of a Keras object without the names that Keras gave.

    It counts on within a process: the same code makes `dense`, then `dense_1`.
    """
    try:
        text = json.dumps(keras.saving.serialize_keras_object(value), default=str)
    except NotImplementedError:  # of the user's own, without `get_config`
        return type(value).__name__
    names = dict.fromkeys(re.findall(r'"name": "([^"]*)"', text))
    for number, name in enumerate(names):
        text = text.replace(f'"{name}"', f'"#{number}"')
    return _without_addresses(text)


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", text)
