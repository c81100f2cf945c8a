"""What the trainings of a comparison depend on, as text that a file can keep."""

import dataclasses
import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping, Sequence, Set
from types import CellType, CodeType, FunctionType, MethodType
from typing import Any, TypeAlias

import keras
import numpy as np

from kmtl._version import __version__
from kmtl.analysis._runs import Study
from kmtl.features import TabularFeatures

Inside: TypeAlias = tuple[FunctionType, ...]


def settings_of(study: Study) -> dict[str, str]:
    """Returns the settings by name: other ones give other results.

    Of a function its code, defaults and what it encloses count, not what it reads or
    calls elsewhere.
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


@functools.singledispatch
def _text(value: Any, inside: Inside = ()) -> str:
    """Returns the `repr` of a value without addresses, or its settings.

    Args:
        value: Anything.
        inside: The functions that it belongs to.
    """
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return _without_addresses(repr(value))
    fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    inner = ", ".join(f"{k}={_text(field, inside)}" for k, field in fields.items())
    return f"{type(value).__name__}({inner})"


@_text.register(list)
@_text.register(tuple)
def _(value: Sequence[Any], inside: Inside = ()) -> str:
    return f"[{', '.join(_text(each, inside) for each in value)}]"


@_text.register(Set)
def _(value: Set[Any], inside: Inside = ()) -> str:
    # Each process has an order of its own.
    return f"{{{', '.join(sorted(_text(each, inside) for each in value))}}}"


@_text.register(Mapping)
def _(value: Mapping[Any, Any], inside: Inside = ()) -> str:
    parts = (f"{k!r}: {_text(each, inside)}" for k, each in value.items())
    return f"{{{', '.join(parts)}}}"


@_text.register(np.ndarray)
def _(value: np.ndarray, inside: Inside = ()) -> str:
    if value.dtype == object:
        return _text(value.tolist(), inside)
    return f"{value.dtype} {value.shape} {_digest([value.tobytes()])}"


@_text.register(TabularFeatures)
def _(value: TabularFeatures, inside: Inside = ()) -> str:
    del inside
    return json.dumps(value.get_config())


@_text.register(functools.partial)
def _(value: functools.partial[Any], inside: Inside = ()) -> str:
    return _text([value.func, value.args, value.keywords], inside)


@_text.register(MethodType)
def _(value: MethodType, inside: Inside = ()) -> str:
    return f"{_text(value.__func__, inside)} of {_text(value.__self__, inside)}"


@_text.register(FunctionType)
def _(value: FunctionType, inside: Inside = ()) -> str:
    """Returns its name and a digest of its code, defaults and what it encloses."""
    if value in inside:  # it calls itself
        return value.__qualname__
    cells = [_content(cell) for cell in value.__closure__ or ()]
    belongs = [value.__defaults__, value.__kwdefaults__, cells]
    parts = [_text_of_code(value.__code__), _text(belongs, (*inside, value))]
    digest = _digest(part.encode() for part in parts)
    return f"{value.__module__}.{value.__qualname__} {digest}"


def _content(cell: CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # it is empty so far
        return None


def _text_of_code(code: CodeType) -> str:
    """Returns what code does, not where it stands."""
    constants = [
        _text_of_code(each) if isinstance(each, CodeType) else _text(each)
        for each in code.co_consts
    ]
    names = [code.co_names, code.co_varnames, code.co_freevars]
    return f"{code.co_code.hex()} {names} {constants}"


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


@_text.register(keras.losses.Loss)
def _(value: keras.losses.Loss, inside: Inside = ()) -> str:
    del inside
    # The settings of `Huber` lack its delta, the `repr` of own losses has none.
    return f"{_without_addresses(repr(value))} {_text_of_keras(value)}"


@_text.register(keras.Layer)
@_text.register(keras.metrics.Metric)
@_text.register(keras.optimizers.Optimizer)
@_text.register(keras.regularizers.Regularizer)
def _text_of_keras(value: Any, inside: Inside = ()) -> str:
    """Returns the settings of a Keras object without the names that Keras gave.

    It counts on within a process: the same code makes `dense`, then `dense_1`. A layer
    that has weights, such as a trained one, counts with them.
    """
    del inside
    try:
        text = json.dumps(keras.saving.serialize_keras_object(value), default=str)
    except NotImplementedError:  # of the user's own, without `get_config`
        text = type(value).__name__
    names = dict.fromkeys(re.findall(r'"name": "([^"]*)"', text))
    for number, name in enumerate(names):
        text = text.replace(f'"{name}"', f'"#{number}"')
    if isinstance(value, keras.Layer) and value.weights:
        weights = value.get_weights()
        text += f" with weights {_digest(part.tobytes() for part in weights)}"
    return _without_addresses(text)


def _without_addresses(text: str) -> str:
    return re.sub(r" at 0x[0-9a-f]+", "", text)
