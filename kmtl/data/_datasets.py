"""`tf.data.Dataset`s of `(x, y[, sample_weight])` -> datasets of packed batches."""

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._checks import check_known_keys, did_you_mean, shorten
from kmtl._typing import ByTask
from kmtl.data._adapter import Adapter
from kmtl.data._pack import effective_class_weight


def pack_dataset(
    dataset: tf.data.Dataset,
    adapter: Adapter,
    *,
    class_weight: ByTask | None,
    training: bool,
) -> tf.data.Dataset:
    """Packs every batch of a dataset.

    Labels are encoded by the code that encodes arrays, so every check holds here too;
    an error surfaces while the dataset is read, with the same words.

    Args:
        dataset: Batches `(x, y)` or `(x, y, sample_weight)`.
        adapter: Knows tasks, inputs and features.
        class_weight: Class weights by task name.
        training: Whether class weights count.

    Returns:
        A dataset of `(inputs by name, packed labels)`.
    """
    _check_batched(dataset)
    encode = _input_encoder(dataset, adapter)
    factors = effective_class_weight(adapter.packer.tasks, class_weight)
    pack = _label_packer(dataset, adapter, factors if training else None)

    def packed(x: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        return encode(x), pack(y, sample_weight)

    return dataset.map(packed, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def input_dataset(dataset: tf.data.Dataset, adapter: Adapter) -> tf.data.Dataset:
    """Keeps and encodes only the inputs of a dataset of `x` or `(x, ...)`."""
    encode = _input_encoder(dataset, adapter)

    def inputs(x: Any, *_: Any) -> Any:
        return encode(x)

    return dataset.map(inputs, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def encoded_labels(
    dataset: tf.data.Dataset, adapter: Adapter, steps: int | None
) -> list[np.ndarray]:
    """Reads the labels of a dataset once, encoded and not standardised."""
    if steps is None and dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "The label statistics of an endless dataset cannot be taken; pass "
            "`steps_per_epoch`, or call `model.adapt_labels(y)` before `fit`."
        )
    batches = dataset if steps is None else dataset.take(steps)
    parts = [_encode(y, adapter) for y in _labels(batches)]
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def _labels(dataset: tf.data.Dataset) -> Iterator[Any]:
    for batch in dataset:
        yield batch[1]


def _encode(y: Any, adapter: Adapter) -> list[np.ndarray]:
    labels = {n: _to_numpy(v) for n, v in adapter.labels(None, y).items()}
    rows = len(next(iter(labels.values())))
    return adapter.packer.encode(labels, rows)


def _to_numpy(value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype == object:  # TensorFlow strings are bytes
        return np.char.decode(array.astype(bytes), "utf-8").astype(object)
    return array


def _check_batched(dataset: tf.data.Dataset) -> None:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            f"A dataset must give (x, y) or (x, y, sample_weight). Received: {spec!r}."
        )
    if any(len(leaf.shape) == 0 for leaf in tf.nest.flatten(spec[:2])):
        raise ValueError(
            "A dataset must be batched; call `dataset.batch(batch_size)`. "
            f"Received: {spec!r}."
        )


def _input_encoder(dataset: tf.data.Dataset, adapter: Adapter) -> Callable[[Any], Any]:
    spec = dataset.element_spec
    x_spec = spec[0] if isinstance(spec, tuple) else spec
    names = list(adapter.specs)
    if not isinstance(x_spec, dict):
        if len(names) > 1 or adapter.features is not None:
            raise ValueError(
                "The inputs of the dataset must be a dict by column or input name. "
                f"Received: {x_spec!r}."
            )
        return lambda x: {names[0]: x}
    if adapter.features is None or set(x_spec) == set(names):
        _check_present(names, x_spec)
        return lambda x: {name: x[name] for name in names}
    dtypes = adapter.features.serving_dtypes()
    _check_present(list(dtypes), x_spec)
    preprocess: keras.Model = adapter.features.preprocessing_model()

    def encode(x: Any) -> Any:
        columns = {n: tf.reshape(_cast(x[n], d), (-1,)) for n, d in dtypes.items()}
        return preprocess(columns)

    return encode


def _cast(column: Any, dtype: str) -> Any:
    return column if column.dtype == dtype else tf.cast(column, dtype)


def _check_present(names: list[str], spec: dict[str, Any]) -> None:
    for name in names:
        if name not in spec:
            raise ValueError(
                f"The inputs of the dataset lack {name!r}.{did_you_mean(name, spec)} "
                f"Received: {shorten(spec)}."
            )


def _label_packer(
    dataset: tf.data.Dataset, adapter: Adapter, factors: Any
) -> Callable[[Any, Any], Any]:
    packer = adapter.packer
    y_spec = dataset.element_spec[1]
    names = list(adapter.labels(None, y_spec))
    check_known_keys(names, [task.name for task in packer.tasks], "y")

    def pack(y: Any, sample_weight: Any) -> Any:
        structure = [list(adapter.labels(None, y).values())]
        structure += [] if sample_weight is None else [sample_weight]
        template = _template(adapter, sample_weight, factors)

        def run(*flat: np.ndarray) -> list[np.ndarray]:
            columns, *weights = tf.nest.pack_sequence_as(structure, flat)
            labels = dict(zip(names, map(_to_numpy, columns), strict=True))
            packed = packer.pack(
                packer.encode(labels, len(columns[0])),
                sample_weight=weights[0] if weights else None,
                class_weight=factors,
            )
            return tf.nest.flatten(packed)

        shapes = tf.nest.flatten(template)
        flat = tf.numpy_function(
            run, tf.nest.flatten(structure), [packer.dtype] * len(shapes)
        )
        for tensor, shape in zip(flat, shapes, strict=True):
            tensor.set_shape(shape)
        return tf.nest.pack_sequence_as(template, flat)

    return pack


def _template(adapter: Adapter, sample_weight: Any, factors: Any) -> dict[str, Any]:
    """The structure of packed labels, with static shapes in place of arrays."""
    packer = adapter.packer
    labels = [
        tf.TensorShape((None, len(g.indices), *packer.shapes[g.indices[0]]))
        for g in packer.groups
    ]
    template: dict[str, Any] = {"labels": labels}
    if isinstance(sample_weight, dict):
        template["weights"] = labels
    elif sample_weight is not None:
        template["row_weights"] = tf.TensorShape((None,))
    if factors is not None:
        template["class_weights"] = labels
    return template
