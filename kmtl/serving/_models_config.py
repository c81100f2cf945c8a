"""The file that tells a server which models it offers."""

import os
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path

from kmtl._checks import (
    as_path,
    as_tuple,
    check_count,
    check_known_keys,
    check_mapping,
)
from kmtl.serving._version_folders import version_folders

FILE = "models.config"


def write_models_config(
    folder: str | os.PathLike[str],
    *,
    base_path: str = "/models",
    versions: Mapping[str, Sequence[int]] | None = None,
) -> Path:
    r"""Writes `models.config`, with which one server offers all models of a folder.

    A model is a subfolder with at least one version: a folder that is named by a number
    and holds `saved_model.pb`. It is offered under the name of its folder. The file is
    replaced at once, so that a server which watches it never reads half of it::

        docker run -p 8501:8501 -v "$PWD/saved_models:/models" tensorflow/serving \
            --model_config_file=/models/models.config

    Args:
        folder: The folder of the models, e.g. `"saved_models"`.
        base_path: The same folder as the server sees it: an absolute path, or a URI
            such as `"gs://bucket/models"`.
        versions: By name of a model, the versions to offer side by side. A model
            without an entry offers its newest version, and each newer one that comes.

    Returns:
        The file, `folder/models.config`.

    Raises:
        FileNotFoundError: If there are no models in the folder.
        ValueError: If `versions` names a model or a version that is not there, or
            `base_path` is relative.

    Example:
        >>> import kmtl, pathlib, tempfile
        >>> model = kmtl.build_mtl_model((8,), [kmtl.BinaryTask("a")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = kmtl.export_saved_model(model, f"{folder}/clicks")
        ...     text = kmtl.serving.write_models_config(folder).read_text()
        >>> print(text)
        model_config_list {
          config {
            name: "clicks"
            base_path: "/models/clicks"
            model_platform: "tensorflow"
          }
        }
        <BLANKLINE>

    Reference:
        `model_server_config.proto` and `server_core.cc` of
        https://github.com/tensorflow/serving.
    """
    folder = as_path(folder, "folder")
    if not base_path.startswith("/") and "://" not in base_path:
        raise ValueError(
            "`base_path` must be an absolute path, or a URI, as the server sees it. "
            f"Received: {base_path!r}."
        )
    models = _models(folder)
    chosen = _chosen({} if versions is None else versions, models)
    configs = [_config(name, base_path, chosen.get(name, ())) for name in models]
    text = f"model_config_list {{\n{''.join(configs)}}}\n"
    return _replace(folder / FILE, text)


def _models(folder: Path) -> dict[str, list[int]]:
    """Finds the versions of each model, by name."""
    found = {
        path.name: list(version_folders(path))
        for path in (sorted(folder.iterdir()) if folder.is_dir() else [])
        if path.is_dir()
    }
    models = {name: numbers for name, numbers in found.items() if numbers}
    if not models:
        raise FileNotFoundError(
            "`folder` must hold models, each in a subfolder with version folders, as "
            "`kmtl.export_saved_model(model, 'saved_models/census')` writes them. "
            f"Received: {str(folder)!r}."
        )
    return models


def _chosen(
    versions: Mapping[str, Sequence[int]], models: Mapping[str, Sequence[int]]
) -> dict[str, tuple[int, ...]]:
    check_mapping(versions, "versions", "version numbers by name of a model")
    check_known_keys(versions, models, "versions", "model")
    chosen = {}
    for name, numbers in versions.items():
        subject = f"versions[{name!r}]"
        chosen[name] = as_tuple(numbers, subject)
        for number in chosen[name]:
            check_count(number, subject)
        if not chosen[name] or not set(chosen[name]) <= set(models[name]):
            raise ValueError(
                f"`{subject}` must name versions that are there: {models[name]}. "
                f"Received: {list(chosen[name])}."
            )
    return chosen


def _config(name: str, base_path: str, versions: Sequence[int]) -> str:
    """One model as the text form of its protocol buffer."""
    path = f"{base_path.rstrip('/')}/{name}"
    lines = [
        f"name: {_quote(name)}",
        f"base_path: {_quote(path)}",
        'model_platform: "tensorflow"',
    ]
    if versions:
        numbers = " ".join(f"versions: {number}" for number in versions)
        lines.append(f"model_version_policy {{ specific {{ {numbers} }} }}")
    return "  config {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _quote(text: str) -> str:
    """A string of the text form: bytes that are no plain ASCII as octal numbers."""
    kept = (
        chr(byte) if 32 <= byte < 127 and chr(byte) not in '"\\' else f"\\{byte:03o}"
        for byte in os.fsencode(text)
    )
    return f'"{"".join(kept)}"'


def _replace(path: Path, text: str) -> Path:
    """Writes a file beside its place and moves it there."""
    beside = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        beside.write_text(text, encoding="ascii")
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
    return path
