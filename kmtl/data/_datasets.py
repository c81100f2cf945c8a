"""`tf.data.Dataset`s of `(x, y[, sample_weight])` -> datasets of packed batches."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl._checks import check_known_keys
from kmtl._typing import ByTask, Shape
from kmtl.data._adapter import Adapter
from kmtl.data._inputs import check_form, check_names
from kmtl.data._pack import resolve_class_weight


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

    Raises:
        ValueError: If the form of the dataset is wrong.
    """
    _check_labelled(dataset)
    encode = input_encoder(dataset, adapter)
    factors = resolve_class_weight(adapter.packer.tasks, class_weight)
    pack = _label_packer(dataset, adapter, factors if training else None)

    def packed(x: Any, y: Any, sample_weight: Any = None) -> tuple[Any, Any]:
        return encode(x), pack(y, sample_weight)

    return dataset.map(packed, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def input_dataset(dataset: tf.data.Dataset, adapter: Adapter) -> tf.data.Dataset:
    """Keeps and encodes only the inputs of a dataset of `x` or `(x, ...)`."""
    encode = input_encoder(dataset, adapter)

    def inputs(x: Any, *_: Any) -> Any:
        return encode(x)

    return dataset.map(inputs, num_parallel_calls=tf.data.AUTOTUNE).prefetch(2)


def encoded_labels(
    dataset: tf.data.Dataset, adapter: Adapter, steps: int | None
) -> list[np.ndarray]:
    """Reads the labels of a dataset once, encoded and not standardised.

    Raises:
        ValueError: If the dataset is endless and `steps` is not given, or if it is
            empty.
    """
    _check_labelled(dataset)
    check_ends(dataset, steps, "steps_per_epoch")
    batches = dataset if steps is None else dataset.take(steps)
    parts = [adapter.packer.encode(adapter.labels(None, b[1])) for b in batches]
    if not parts:
        raise ValueError("A dataset must hold at least one batch. Received: none.")
    return [np.concatenate(columns) for columns in zip(*parts, strict=True)]


def check_ends(dataset: Any, steps: int | None, argument: str) -> None:
    """Raises `ValueError` for an endless dataset of which all is to be read.

    Args:
        dataset: A dataset; anything else ends.
        steps: How many of its batches are read, `None` for all.
        argument: Names `steps` in the message.
    """
    if steps is not None or not isinstance(dataset, tf.data.Dataset):
        return
    if dataset.cardinality() == tf.data.INFINITE_CARDINALITY:
        raise ValueError(
            "A dataset must end unless the number of batches to read is given. "
            f"Received: an endless dataset and {argument}=None. Pass `{argument}`."
        )


def _check_labelled(dataset: tf.data.Dataset) -> None:
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(
            "A dataset must give (x, y) or (x, y, sample_weight) with labels by task "
            f"name. Received: {spec!r}."
        )
    if any(leaf.shape.rank == 0 for leaf in tf.nest.flatten(spec)):
        raise _unbatched(spec)


def _unbatched(spec: Any) -> ValueError:
    return ValueError(
        "A dataset must be batched; call `dataset.batch(batch_size)`. "
        f"Received: {spec!r}."
    )


def input_encoder(dataset: tf.data.Dataset, adapter: Adapter) -> Callable[[Any], Any]:
    """Returns what turns the inputs of a batch into those of a model.

    Raises:
        ValueError: If the inputs are not of the form that the model takes.
    """
    spec = dataset.element_spec
    x_spec = spec[0] if isinstance(spec, tuple) else spec
    names = list(adapter.specs)
    if not isinstance(x_spec, Mapping):
        if len(names) > 1 or adapter.features is not None:
            raise ValueError(
                "The inputs of the dataset must be a dict by column or input name. "
                f"Received: {x_spec!r}."
            )
        _check_input(names[0], x_spec, adapter)
        return lambda x: {names[0]: _shaped(names[0], x, adapter)}
    if adapter.features is not None and set(x_spec) != set(names):
        return _column_encoder(adapter.features, x_spec)
    check_names(names, x_spec)
    for name in names:
        _check_input(name, x_spec[name], adapter)
    return lambda x: {name: _shaped(name, x[name], adapter) for name in names}


def _check_input(name: str, leaf: Any, adapter: Adapter) -> None:
    row_shape, dtype = adapter.specs[name]
    shape = _shape_of(leaf, row_shape)
    if shape == row_shape and None not in shape[:1]:
        raise _unbatched(leaf)
    if len(shape) == len(row_shape) and row_shape[-1:] == (1,):
        shape = (*shape, 1)  # Keras adds the axis
    check_form(name, (shape, leaf.dtype.name), (row_shape, dtype), rows="batch")


def _shape_of(leaf: Any, row_shape: Shape) -> Shape:
    if leaf.shape.rank is None:  # of a generator: see `_shaped`
        return (None, *row_shape)
    return tuple(leaf.shape)


def _shaped(name: str, values: Any, adapter: Adapter) -> Any:
    """Gives values of unknown rank the shape of an input, checked as they are read."""
    if values.shape.rank is not None:
        return values
    row_shape, _ = adapter.specs[name]
    return tf.ensure_shape(values, (None, *row_shape))


def _column_encoder(features: Any, x_spec: Mapping[str, Any]) -> Callable[[Any], Any]:
    dtypes = features.serving_dtypes()
    check_names(dtypes, x_spec)
    for name, dtype in dtypes.items():
        _check_column(name, x_spec[name], dtype)
    preprocess: keras.Model = features.preprocessing_model()

    def encode(x: Any) -> Any:
        columns = {n: tf.reshape(_cast(x[n], d), (-1,)) for n, d in dtypes.items()}
        return preprocess(columns)

    return encode


def _check_column(name: str, leaf: Any, dtype: str) -> None:
    if leaf.shape.rank == 0:
        raise _unbatched(leaf)
    have = leaf.dtype
    cuts_fractions = have.is_floating and dtype == "int64"
    if (have == "string") != (dtype == "string") or cuts_fractions:
        raise ValueError(
            f"Column {name!r} of the dataset must be {dtype}, as served. Received: "
            f"{have.name}. See `model.features.serving_dtypes()`."
        )


def _cast(column: Any, dtype: str) -> Any:
    return column if column.dtype == dtype else tf.cast(column, dtype)


def _label_packer(
    dataset: tf.data.Dataset, adapter: Adapter, factors: Any
) -> Callable[[Any, Any], Any]:
    packer = adapter.packer
    _, y_spec, *weight_spec = dataset.element_spec
    adapter.labels(None, y_spec)
    if weight_spec and isinstance(weight_spec[0], Mapping):
        names: Iterable[str] = [task.name for task in packer.tasks]
        check_known_keys(weight_spec[0], names, "sample_weight")

    def pack(y: Any, sample_weight: Any) -> Any:
        tensors = {"labels": adapter.labels(None, y)}
        if sample_weight is not None:
            tensors["weights"] = sample_weight

        def run(*flat: np.ndarray) -> list[np.ndarray]:
            arrays = tf.nest.pack_sequence_as(tensors, flat)
            packed = packer.pack(
                packer.encode(arrays["labels"]),
                sample_weight=arrays.get("weights"),
                class_factors=factors,
            )
            return tf.nest.flatten(packed)

        template = packed_template(adapter, sample_weight, factors)
        shapes = tf.nest.flatten(template)
        packed = tf.numpy_function(
            run, tf.nest.flatten(tensors), [packer.dtype] * len(shapes)
        )
        for tensor, shape in zip(packed, shapes, strict=True):
            tensor.set_shape(shape)
        return tf.nest.pack_sequence_as(template, packed)

    return pack


def packed_template(
    adapter: Adapter, sample_weight: Any, factors: Any
) -> dict[str, Any]:
    """Returns the structure of packed labels, with static shapes in place of arrays."""
    packer = adapter.packer
    labels = tuple(
        tf.TensorShape((None, len(g.indices), *packer.shapes[g.indices[0]]))
        for g in packer.groups
    )
    template: dict[str, Any] = {"labels": labels}
    if isinstance(sample_weight, Mapping):
        template["weights"] = labels
    elif sample_weight is not None:
        template["row_weights"] = tf.TensorShape((None,))
    if factors is not None:
        template["class_weights"] = labels
    return template
