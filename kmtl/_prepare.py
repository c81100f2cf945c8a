"""What a user passes to a model -> what Keras is given."""

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import shorten
from kmtl._rows_of_one_task import add_tasks, with_tasks
from kmtl._training import Trainer
from kmtl._typing import ByTask
from kmtl.data import (
    Adapter,
    Epoch,
    Feed,
    Packer,
    Reading,
    Source,
    SourceStream,
    TaskSampler,
    encoded_labels,
    given_labels,
    input_dataset,
    pack_dataset,
)
from kmtl.data._pivoted_source import PivotedSource
from kmtl.features._moments import Moments
from kmtl.layers._task_outputs import is_standardized


def prepare(
    model: Trainer,
    x: Any,
    y: Any,
    *,
    sample_weight: Any = None,
    class_weight: ByTask | None = None,
    training: bool,
    whole: bool = True,
    feed: Feed | None = None,
) -> tuple[Any, Any]:
    """Returns inputs and packed labels, or a dataset of both and `None`.

    `whole` says that these are all rows, not one batch of them; `feed` how the rows of
    a source are fed.
    """
    weights = {"sample_weight": sample_weight, "class_weight": class_weight}
    feed = feed or Feed()
    if isinstance(x, Source):
        return _source_batches(model, x, y, feed, training=training, **weights), None
    if isinstance(x, TaskSampler):
        x.check_arguments(y, {})
        given = {"sample_weight": sample_weight, "training": training}
        sampler, errors = x.in_order(), feed.errors
        return prepare_sampler(model, sampler, Epoch(), errors=errors, **given), None
    if not isinstance(x, tf.data.Dataset):
        _refuse_generators(x)
        inputs, packed = _adapter(model).batch(
            x, y, training=training, whole=whole, **weights
        )
        return _as_tensors(inputs), with_tasks(model, packed) if whole else packed
    if y is not None or sample_weight is not None:
        raise ValueError(
            "`y` and `sample_weight` must come from the dataset when `x` is one: "
            "(x, y) or (x, y, sample_weight). Received: a dataset and one of them."
        )
    packed = pack_dataset(
        x, _adapter(model), class_weight=class_weight, training=training
    )
    return packed, None


def _source_batches(
    model: Trainer, source: Source, y: Any, feed: Feed, **options: Any
) -> tf.data.Dataset:
    """Returns packed batches, with the task of each row where each has one."""
    if y is not None:
        raise ValueError(
            "`y` must be columns of the source `x`. Received: a source and `y`."
        )
    batches = SourceStream(source, _adapter(model), feed, **options).dataset()
    has_own_tasks = isinstance(source, PivotedSource) and _share_no_row(model, source)
    return add_tasks(model, batches) if has_own_tasks else batches


def _share_no_row(model: Trainer, source: PivotedSource) -> bool:
    """Whether no row can have labels of two tasks: each has a pivoted column alone."""
    columns = [task.column for task in model.outputs_layer.tasks]
    return set(columns) <= set(source.names) and len(columns) == len(set(columns))


def prepare_sampler(
    model: Trainer, sampler: TaskSampler, epoch: Epoch, **options: Any
) -> tf.data.Dataset:
    """Returns packed batches of the epoch that is named; see `TaskSampler.dataset`.

    They say of which task each row is, where a model gains by it.
    """
    dataset = sampler.dataset(_adapter(model), epoch, Reading(**options))
    return add_tasks(model, dataset)


def named_tasks(model: Trainer, x: Any, epoch: int) -> list[str]:
    """Returns the tasks that a dataset or a sampler should have labels of in an epoch.

    Of anything else the labels were looked through. What has not the form of a dataset
    to train on is refused elsewhere, and names none.
    """
    if isinstance(x, TaskSampler):
        return x.tasks_in(epoch)
    spec = x.element_spec if isinstance(x, tf.data.Dataset) else None
    if not isinstance(spec, tuple) or len(spec) < 2:
        return []
    if isinstance(spec[1], Mapping):
        return list(spec[1])
    return [task.name for task in model.outputs_layer.tasks]


def prepare_validation(model: Trainer, data: Any, feed: Feed | None = None) -> Any:
    """Returns `validation_data` for Keras' `fit`."""
    if isinstance(data, (tf.data.Dataset, Source, TaskSampler)):
        return prepare(model, data, None, training=False, feed=feed)[0]
    if isinstance(data, pd.DataFrame):
        data = (data,)
    if not isinstance(data, (tuple, list)) or not 1 <= len(data) <= 3:
        raise ValueError(
            "`validation_data` must be a DataFrame, (x, y), (x, y, sample_weight), a "
            f"source, a sampler or a tf.data.Dataset. Received: {type(data).__name__}."
        )
    x, y, weight = (*data, None, None)[:3]
    return prepare(model, x, y, sample_weight=weight, training=False, feed=feed)


def prepare_inputs(
    model: Trainer, x: Any, feed: Feed | None = None, given: ByTask | None = None
) -> Any:
    """Returns encoded inputs for Keras' `predict`.

    Labels that are given, see `MTLModel.predict`, stand beside them in a dataset.
    """
    if given is not None and isinstance(x, (tf.data.Dataset, Source)):
        raise ValueError(
            "`given` belongs to the rows of a frame, an array or a dict of arrays. "
            f"Received: `given` with x={type(x).__name__}. Predict it part by part."
        )
    feed = feed or Feed()
    if isinstance(x, Source):
        return SourceStream(x, _adapter(model), feed, labelled=False).dataset()
    if isinstance(x, tf.data.Dataset):
        return input_dataset(x, _adapter(model))
    if isinstance(x, TaskSampler):
        raise TypeError(
            "`x` must be rows in an order of their own, which those of a sampler lack. "
            f"Received: {x!r}. Predict the data of each task by themselves."
        )
    _refuse_generators(x)
    adapter = _adapter(model)
    inputs = adapter.inputs(x)
    if given is None:
        return inputs
    rows = len(next(iter(inputs.values())))
    known = given_labels(adapter.packer, x, given, rows)
    return tf.data.Dataset.from_tensor_slices((inputs, known)).batch(feed.batch_size)


def adapt_labels(
    model: Trainer,
    x: Any,
    y: Any,
    *,
    steps: int | None = None,
    only_unknown: bool = False,
) -> None:
    """Sets the statistics of regression labels from those of a data set.

    Args:
        model: The model.
        x: A frame with label columns, a source, a dataset or a sampler, where `y` is
            `None`.
        y: Labels by task name.
        steps: How many batches of a dataset to read; all by default.
        only_unknown: Whether statistics that are known stay as they are.
    """
    if isinstance(x, Source):
        _adapt_to_source(model, x, only_unknown=only_unknown)
        return
    encoded = encoded_columns(model, x, y, steps=steps)
    model.outputs_layer.adapt_labels(encoded, only_unknown=only_unknown)


def encoded_columns(
    model: Trainer, x: Any, y: Any, *, steps: int | None = None
) -> list[np.ndarray]:
    """Returns the labels of every task as numbers, in the unit of the labels.

    Args:
        model: The model.
        x: A frame with label columns, a source, a dataset or a sampler, where `y` is
            `None`.
        y: Labels by task name.
        steps: How many batches of a dataset to read; all by default.

    Returns:
        Arrays `(rows, ...)`, one a task, NaN where missing. Rows belong together, but
        not those of a sampler: there each task has rows of its own.
    """
    adapter = _adapter(model)
    if isinstance(x, Source):
        parts = _encoded_frames(model, x)
        return [np.concatenate(column) for column in zip(*parts, strict=True)]
    if isinstance(x, TaskSampler):
        return x.encoded_labels(adapter)
    if isinstance(x, tf.data.Dataset):
        return encoded_labels(x, adapter, steps)
    return adapter.packer.encode(adapter.labels(x, y))


def _encoded_frames(model: Trainer, source: Source) -> Iterator[list[np.ndarray]]:
    """Reads the labels of every task as numbers, frame by frame."""
    adapter = _adapter(model)
    for frame in source.frames({task.column for task in model.outputs_layer.tasks}):
        yield adapter.packer.encode(adapter.labels(frame, None))


def _adapt_to_source(model: Trainer, source: Source, *, only_unknown: bool) -> None:
    layer = model.outputs_layer
    if not any(map(is_standardized, layer.tasks)):
        return
    moments = [Moments() for _ in layer.tasks]
    for encoded in _encoded_frames(model, source):
        pairs = zip(moments, layer.label_moments(encoded), strict=True)
        moments = [sum_so_far + found for sum_so_far, found in pairs]
    layer.adapt_moments(moments, only_unknown=only_unknown)


def label_columns(model: Trainer, frame: pd.DataFrame) -> pd.DataFrame:
    """Returns the columns of a frame that hold labels, or raises if there are none."""
    tasks = model.outputs_layer.tasks
    known = {task.name for task in tasks} | {task.column for task in tasks}
    labels = [column for column in frame.columns if column in known]
    if not labels:
        raise ValueError(
            "`y` must have a label column of a task. Received columns: "
            f"{shorten(frame.columns)}. Label columns: {shorten(sorted(known))}."
        )
    return frame[labels]


def check_adapted(model: Trainer, action: str) -> None:
    """Raises `ValueError` while the statistics of some labels are not known."""
    layer = model.outputs_layer
    auxiliary = {task.name for task in layer.tasks if task.auxiliary}
    unknown = [name for name in layer.unadapted() if name not in auxiliary]
    if unknown:
        raise ValueError(
            f"`{action}` needs mean and standard deviation of the labels of "
            f"{unknown[:5]}; call `fit` or `adapt_labels(y)` first."
        )


def by_task(model: Trainer, stacked: Any) -> dict[str, np.ndarray]:
    """Splits stacked predictions, one array a head group, into arrays by task name."""
    layer = model.outputs_layer
    parts = stacked if isinstance(stacked, (list, tuple)) else [stacked]
    outputs: dict[int, np.ndarray] = {}
    for group, part in zip(layer.groups, parts, strict=True):
        for position, index in enumerate(group.indices):
            outputs[index] = np.asarray(part)[:, position]
    return layer.by_name(outputs)


def _adapter(model: Trainer) -> Adapter:
    layer = model.outputs_layer
    mean, scale = layer.label_statistics_on_host()
    packer = Packer(
        tasks=layer.tasks,
        groups=layer.groups,
        shapes=tuple(layer.label_shape(i) for i in range(len(layer.tasks))),
        mean=mean,
        scale=scale,
        dtype=layer.compute_dtype,
    )
    specs = {
        name: (tuple(t.shape[1:]), t.dtype) for name, t in model.named_inputs.items()
    }
    return Adapter(packer, specs, layer.features)


def _as_tensors(inputs: dict[str, np.ndarray]) -> dict[str, Any]:
    """Turns arrays into tensors one by one; Keras would hold both in memory."""
    return {name: tf.convert_to_tensor(inputs.pop(name)) for name in list(inputs)}


def check_one_batch(x: Any, method: str) -> None:
    """Raises `TypeError` for data of many batches where one is wanted."""
    if isinstance(x, (Source, TaskSampler, tf.data.Dataset)):
        raise TypeError(
            f"`{method}` takes one batch: a DataFrame, an array or a dict of arrays. "
            f"Received: {type(x).__name__}. Use `{_OF_MANY[method]}`."
        )


_OF_MANY = {
    "train_on_batch": "fit",
    "test_on_batch": "evaluate",
    "predict_on_batch": "predict",
}


def check_validation(x: Any, data: Any, arguments: dict[str, Any]) -> None:
    """Raises `ValueError` for settings of validation that cannot be followed.

    Args:
        x: What is trained on.
        data: The rows to validate on.
        arguments: Those of `fit`.
    """
    share = arguments.get("validation_split")
    if share and isinstance(x, (Source, TaskSampler, tf.data.Dataset)):
        raise ValueError(
            "`validation_split` needs data in memory. Received: "
            f"validation_split={share!r} and x={type(x).__name__}. Pass "
            "`validation_data`."
        )
    if isinstance(data, TaskSampler):
        batch_size = arguments.get("validation_batch_size")
        data.check_arguments(None, {"batch_size": batch_size})


def _refuse_generators(x: Any) -> None:
    parts = x.values() if isinstance(x, dict) else x if isinstance(x, list) else ()
    if any(isinstance(part, (Source, tf.data.Dataset)) for part in parts):
        raise TypeError(
            "`x` must be one source or one dataset. Received: a "
            f"{type(x).__name__} of them. Use `kmtl.data.sample_tasks` for one a task, "
            "or read files of one form together: `read_parquet([file, ...])`."
        )
    if isinstance(x, (keras.utils.PyDataset, Iterator)):
        raise TypeError(
            "`x` must be a DataFrame, an array, a dict of arrays or a tf.data.Dataset. "
            f"Received: {type(x).__name__}. Wrap a generator with "
            "`tf.data.Dataset.from_generator`."
        )
