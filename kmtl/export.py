"""A SavedModel that TensorFlow Serving runs: raw columns in, named outputs out."""

import contextlib
import os
import re
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from kmtl._prepare import check_adapted
from kmtl.model import MTLModel


def export_saved_model(model: MTLModel, folder: str | os.PathLike[str]) -> Path:
    """Writes a model as the next version under a folder.

    The version is written beside its place and renamed, so that a server which watches
    the folder never sees half a model. Its signature `serving_default` takes the raw
    columns of the frame by name (or the inputs of the model), with a batch dimension
    of any size, and gives one float32 output a task, by name. TensorFlow keeps only
    letters, digits and `_` in the names of inputs: `"hours per week"` is served as
    `hours_per_week`.

    Args:
        model: The model.
        folder: The folder of the model, e.g. `"saved_models/census"`; made if absent.

    Returns:
        The folder of the new version, `folder/<version>`, counted from 1.

    Raises:
        TypeError: If `model` is not an `MTLModel`.
        ValueError: If its label statistics are not known yet, or two columns would be
            served under one name.
        NotADirectoryError: If `folder` is a file.

    Example:
        >>> import kmtl, tempfile
        >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = kmtl.export_saved_model(model, folder)
        >>> path.name
        '1'
    """
    if not isinstance(model, MTLModel):
        raise TypeError(f"`model` must be an MTLModel. Received: {model!r}.")
    check_adapted(model, "export_saved_model")
    base = Path(folder)
    if base.exists() and not base.is_dir():
        raise NotADirectoryError(f"`folder` must be a folder. Received: {str(base)!r}.")
    base.mkdir(parents=True, exist_ok=True)
    with _folder_beside(base) as unfinished:
        _write(model, unfinished)
        return _rename_to_next_version(unfinished, base)


def serving_model(model: MTLModel) -> keras.Model:
    """Joins the preprocessing model, if any, to the trained core.

    Returns:
        A model from raw inputs by name to outputs by task name.
    """
    if model.features is None:
        inputs = {
            name: keras.Input(tensor.shape[1:], dtype=tensor.dtype, name=name)
            for name, tensor in model.named_inputs.items()
        }
        single = None if isinstance(model.input, dict) else next(iter(inputs.values()))
        return keras.Model(inputs, model(inputs if single is None else single))
    preprocessing = model.features.preprocessing_model()
    return keras.Model(preprocessing.input, model(preprocessing.output))


def _write(model: MTLModel, folder: Path) -> None:
    served = serving_model(model)
    keys = _serving_keys(served.input)
    signature = {
        keys[name]: tf.TensorSpec(tensor.shape, tensor.dtype, name=keys[name])
        for name, tensor in served.input.items()
    }

    def serving_default(inputs: dict[str, Any]) -> dict[str, Any]:
        named = {name: inputs[key] for name, key in keys.items()}
        outputs = served(named, training=False)
        return {name: tf.cast(value, "float32") for name, value in outputs.items()}

    archive = keras.export.ExportArchive()
    archive.track(served)
    archive.add_endpoint("serving_default", serving_default, [signature])
    archive.write_out(str(folder), verbose=False)


def _serving_keys(names: Iterable[str]) -> dict[str, str]:
    """Maps input names to the keys of the signature, which TensorFlow restricts.

    Raises:
        ValueError: If two names get the same key.
    """
    keys = {name: _serving_key(name) for name in names}
    for key in keys.values():
        same = [other for other in keys if keys[other] == key]
        if len(same) > 1:
            raise ValueError(
                "Names of inputs must differ in letters, digits and '_', the only "
                "characters TensorFlow keeps in a signature; rename a column. "
                f"Received: {same}, all served as {key!r}."
            )
    return keys


def _serving_key(name: str) -> str:
    key = re.sub(r"[^A-Za-z0-9_]", "_", name)
    # TensorFlow refuses an operation whose name starts with an underscore.
    return key if re.match("[A-Za-z0-9]", key) else f"input{key}"


@contextlib.contextmanager
def _folder_beside(base: Path) -> Iterator[Path]:
    """A folder on the same disk whose name no server takes for a version."""
    outer = Path(tempfile.mkdtemp(prefix=".export-", dir=base))
    try:
        yield outer / "model"
    finally:
        shutil.rmtree(outer, ignore_errors=True)


def _rename_to_next_version(unfinished: Path, base: Path) -> Path:
    while True:
        numbers = [int(p.name) for p in base.iterdir() if p.name.isdecimal()]
        target = base / str(max(numbers, default=0) + 1)
        try:
            unfinished.rename(target)
        except OSError:
            if not target.exists():
                raise
            continue  # another export has just taken the number
        return target
