"""What the trainings of a comparison depend on, as text that a file can keep."""

import dataclasses
import json
import re
from typing import Any

import keras

from kmtl._version import __version__
from kmtl.analysis._baselines import Network
from kmtl.analysis._runs import Study
from kmtl.features import TabularFeatures


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
    if isinstance(value, Network):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return ", ".join(f"{name}={_text(field)}" for name, field in fields.items())
    if isinstance(value, keras.optimizers.Optimizer):
        return json.dumps(keras.optimizers.serialize(value), default=str)
    if isinstance(value, TabularFeatures):
        return json.dumps(value.get_config())
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))
