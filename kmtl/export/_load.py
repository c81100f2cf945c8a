"""From an exported version back to the model, to train on."""

import os
from pathlib import Path

import keras

from kmtl._checks import as_path, check_positive_integer, shorten
from kmtl.export._metadata import EXTRA
from kmtl.model import MTLModel
from kmtl.serving._version_folders import version_folders

MODEL_FILE = f"{EXTRA}/model.keras"


def load(folder: str | os.PathLike[str], version: int | None = None) -> MTLModel:
    """Loads a model from where it was exported, to predict or to train on.

    The model is whole: tasks, features, weights, what the optimizer and the balancing
    keep. It was saved without code, and is loaded in Keras' safe mode; layers of your
    own must be registered with `keras.saving.register_keras_serializable` and imported
    before.

    Args:
        folder: The folder of the model, e.g. `"saved_models/census"`, or of one of its
            versions.
        version: Number of the version; the newest by default.

    Returns:
        The model.

    Raises:
        FileNotFoundError: If there is no such folder or version, or it was not written
            by `kmtl.export_saved_model`.
        TypeError: If `folder` is no path, or another model than an `MTLModel` was put
            there.
        ValueError: If `version` is no positive integer, or `folder` is a version
            already.

    Example:
        >>> import kmtl, tempfile
        >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = kmtl.export_saved_model(model, folder)
        ...     loaded = kmtl.load(folder)
        >>> loaded.task_names
        ['a']
    """
    file = _version_folder(as_path(folder, "folder"), version) / MODEL_FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"A version to load must hold {MODEL_FILE!r}, which "
            f"`kmtl.export_saved_model` writes. Received: {str(file.parents[1])!r}."
        )
    model = keras.saving.load_model(file, safe_mode=True)
    if not isinstance(model, MTLModel):
        raise TypeError(
            f"{MODEL_FILE!r} must hold an MTLModel. Received: {type(model).__name__}."
        )
    return model


def _version_folder(folder: Path, version: int | None) -> Path:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"`folder` must be the folder of an exported model. Received: "
            f"{str(folder)!r}, which does not exist or is a file."
        )
    if version is not None:
        check_positive_integer(version, "version")
    if (folder / "saved_model.pb").is_file():
        if version is None:
            return folder
        raise ValueError(
            "`version` must be left out where `folder` is a version. "
            f"Received: folder={str(folder)!r}, version={version}."
        )
    found = version_folders(folder)
    if not found:
        raise FileNotFoundError(
            f"`folder` must hold versions of a model. Received: {str(folder)!r}, "
            "without any."
        )
    if version is not None and version not in found:
        raise FileNotFoundError(
            f"`version` must be one that is there. Received: {version}. "
            f"There are: {shorten(found)}."
        )
    return found[max(found) if version is None else version]
