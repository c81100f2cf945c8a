"""`export_saved_model`: from a model to the next version that a server takes up."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from kmtl._checks import (
    as_tuple,
    check_flag,
    check_known_keys,
    check_positive_integer,
)
from kmtl._prepare import check_adapted, prepare_inputs
from kmtl.data._inputs import raw_arrays
from kmtl.export._batching import check_batching, write_batching
from kmtl.export._load import MODEL_FILE, load
from kmtl.export._metadata import metadata, write_metadata
from kmtl.export._model_card import write_model_card
from kmtl.export._onnx import check_onnx, write_onnx
from kmtl.export._sample_rows import sample_rows
from kmtl.export._saved_model_file import write_saved_model
from kmtl.export._served import Served
from kmtl.export._session import Session
from kmtl.export._signatures import Signature, signatures
from kmtl.export._verify import verify, verify_loaded
from kmtl.export._versions import (
    check_folder,
    prune,
    rename_to_next_version,
    unfinished,
)
from kmtl.export._warm_up import check_warm_up, replay_warm_up, write_warm_up
from kmtl.model import MTLModel
from kmtl.serving._description import description_of

_MOST_TASKS_WITH_SIGNATURES = 20


def export_saved_model(  # noqa: PLR0913 - one keyword a file or signature
    model: MTLModel,
    folder: str | os.PathLike[str],
    *,
    task_signatures: bool | Sequence[str] | None = None,
    top_k: int = 5,
    representation: bool = False,
    warm_up: Any = None,
    batching: Mapping[str, Any] | None = None,
    metrics: Mapping[str, float] | None = None,
    onnx: bool = False,
    keep: int | None = None,
) -> Path:
    """Writes a model as the next version under a folder.

    A version is a SavedModel that TensorFlow Serving runs, with these signatures:

    * `serving_default`: the raw columns of the frame by name (or the inputs of the
      model) in, one float32 output a task out, by name;
    * `predict_<task>`: the same inputs; computes that task only;
    * `labels`: the same inputs; for tasks of classes `<task>/classes` and
      `<task>/scores`, the likeliest classes first, for regressions `<task>` in the
      label's own unit;
    * `serve_examples`, `classify_<task>`, `regress_<task>`: serialised `tf.Example`s
      in (`inputs`), for TensorFlow Serving's Predict, Classify, Regress and
      MultiInference;
    * `describe`: what `kmtl.serving.Client` has to know;
    * `representation`, on request: what the heads see.

    Beside it lie the whole Keras model, from which `kmtl.load` goes on training, and
    what is known of it, as JSON and as a page to read.

    The version is written under another name, asked and compared with Keras, and then
    renamed: a server that watches the folder never sees half a model, and an export
    that fails leaves nothing.

    Args:
        model: The model.
        folder: The folder of the model, e.g. `"saved_models/census"`; made if absent.
        task_signatures: Which tasks get signatures of their own: all or none, or their
            names. By default all of a model of up to 20 tasks, else none.
        top_k: The most classes of a task that `labels` gives.
        representation: Whether to serve what the heads see, for retrieval or a later
            head.
        warm_up: Rows as for `predict`, with which a server tries a new version before
            it takes it up; they are checked, too. Needs the extra `serving`.
        batching: What a server started with `--enable_per_model_batching_parameters`
            shall take for this model, e.g.
            `{"max_batch_size": 128, "batch_timeout_micros": 1000}`.
        metrics: What `model.evaluate(..., return_dict=True)` gave, to be written down.
        onnx: Whether to write the trained core as ONNX too, with the preprocessing as
            JSON. Needs the extra `onnx`.
        keep: How many versions stay; older ones are removed. By default all.

    Returns:
        The folder of the new version, `folder/<version>`, counted from 1.

    Raises:
        TypeError: If `model` is not an `MTLModel`, or `folder` no path.
        ValueError: If its label statistics are not known yet, or an argument is wrong.
        OSError: If `folder` is a file or cannot be written.
        RuntimeError: If what was written does not compute what Keras does.
        ImportError: If an extra is missing.

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
    _check_options(top_k, representation, batching, onnx, keep)
    if onnx:
        check_onnx(model)
    served = Served(model)
    real = None if warm_up is None else _real_rows(served, warm_up)
    offered = signatures(
        served,
        _with_signatures(model, task_signatures),
        top_k=top_k,
        representation=representation,
        description=description_of(model),
    )
    known = metadata(model, signatures=[s.name for s in offered], metrics=metrics)
    base = check_folder(folder)
    with unfinished(base) as version:
        write_saved_model(version, offered, served.resources)
        write_metadata(version, known)
        write_model_card(version, known)
        _write_model(model, version)
        if batching is not None:
            write_batching(version, batching)
        if onnx:
            write_onnx(model, version)
        _check(served, offered, version, real)
        target = rename_to_next_version(version, base)
    if keep is not None:
        prune(base, keep)
    return target


def _check_options(
    top_k: Any, representation: Any, batching: Any, onnx: Any, keep: Any
) -> None:
    check_positive_integer(top_k, "top_k")
    check_flag(representation, "representation")
    if batching is not None:
        check_batching(batching)
    check_flag(onnx, "onnx")
    if keep is not None:
        check_positive_integer(keep, "keep")


def _with_signatures(
    model: MTLModel, task_signatures: bool | Sequence[str] | None
) -> list[str]:
    """Returns the names of the tasks that get signatures of their own."""
    names = [task.name for task in model.tasks if not task.auxiliary]
    if task_signatures is None:
        return names if len(names) <= _MOST_TASKS_WITH_SIGNATURES else []
    if isinstance(task_signatures, bool):
        return names if task_signatures else []
    chosen = list(as_tuple(task_signatures, "task_signatures"))
    check_known_keys(chosen, names, "task_signatures")
    return chosen


def _real_rows(served: Served, warm_up: Any) -> dict[str, np.ndarray]:
    """Returns rows as a server takes them, by name of the input."""
    if isinstance(warm_up, tf.data.Dataset):
        raise TypeError(
            "`warm_up` must be a frame or arrays with some rows. Received: a dataset."
        )
    features = served.model.features
    if features is None:
        raw = dict(prepare_inputs(served.model, warm_up))
    else:
        raw = raw_arrays(warm_up, features)
    check_warm_up(raw)  # before all signatures are asked about all rows
    return raw


def _write_model(model: MTLModel, version: Path) -> None:
    """Writes the Keras model, with what the optimizer and the balancing keep."""
    if model.compiled and not model.optimizer.built:
        # Keras does so on loading, and warns where the file knows nothing of it.
        model.optimizer.build(model.trainable_variables)
    model.save(version / MODEL_FILE)


def _check(
    served: Served,
    offered: Sequence[Signature],
    version: Path,
    real: Mapping[str, np.ndarray] | None,
) -> None:
    """Asks the version that was written, and the Keras model in it.

    With real rows it is also asked as a server will ask it.
    """
    rows = sample_rows(served)
    with Session(version) as session:
        verify(served, offered, session, rows)
        if real is not None:
            verify(served, offered, session, real)
            write_warm_up(version, served, offered, real)
            replay_warm_up(version, session)
    verify_loaded(served, _loaded(version), rows)


def _loaded(version: Path) -> MTLModel:
    """Takes the Keras model out of the version, as those do who train on."""
    try:
        return load(version)
    except (TypeError, ValueError) as error:
        # Keras puts the cause behind what all was not loaded for it.
        cause = str(error).rpartition("Exception encountered: ")[2].strip()
        raise ValueError(
            "The export was given up: the model must load again, in Keras' safe mode, "
            "so that training can go on from it. Put code of your own (`Lambda`, "
            "functions) into layers, losses and metrics with `get_config`, registered "
            "with `keras.saving.register_keras_serializable()`. "
            f"Received: {cause.partition('. ')[0]}."
        ) from error
