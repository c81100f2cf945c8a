"""`build_mtl_model`: checks what is wanted, wires the graph, compiles it."""

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import pandas as pd

from kmtl._checks import check_units
from kmtl._heads import Heads, has_task_axis, mark
from kmtl._typing import ByTask, Tensor
from kmtl.balancing import Balancing
from kmtl.data import LabelScan, Source, resolve_task
from kmtl.features import TabularFeatures
from kmtl.features._encode import check_frame
from kmtl.layers import TabularEmbedding, TaskOutputs
from kmtl.layers._per_task import draw_seed
from kmtl.model import MTLModel
from kmtl.sharing import Hard
from kmtl.tasks import Task, check_tasks
from kmtl.trunks import CNN, MLP, as_trunk


def build_mtl_model(  # noqa: PLR0913 - one keyword a choice
    inputs: Any,
    tasks: Sequence[Task],
    *,
    features: TabularFeatures | None = None,
    trunk: Any = None,
    sharing: Any = None,
    head_units: Sequence[int] = (),
    optimizer: Any = "adam",
    loss_weights: ByTask | None = None,
    balancing: Balancing | None = None,
    name: str = "mtl_model",
) -> MTLModel:
    """Builds and compiles a multi-task model.

    Args:
        inputs: The training frame, or a source of `kmtl.data.read_parquet` and its
            like, of which every column that is no label is a feature; or
            `TabularFeatures`, an array of training samples, the shape of one sample, a
            `keras.Input`, or a dict of them. Token ids need `keras.Input(shape,
            dtype="int32")`: a float16 cannot hold them.
        tasks: The tasks. Classes and label statistics are found in a training frame.
        features: Which columns of the frame are features and of what kind, made by
            `TabularFeatures.from_frame`; by default found in the frame.
        trunk: What the tasks share: `kmtl.trunks.MLP` or `CNN`, a Keras model, a layer,
            a list of layers or a callable. `MLP([256, 128])` by default, for images
            `CNN([32, 64])`.
        sharing: How the tasks share it; `kmtl.sharing.Hard()` by default.
        head_units: Widths of the hidden layers (ReLU) of each head, for tasks that
            name none.
        optimizer: A Keras optimizer or its name.
        loss_weights: Weights of the losses by task name, over those of the tasks.
        balancing: How tasks are weighed in each step, a method of `kmtl.balancing`;
            by default `kmtl.balancing.FixedWeights()`.
        name: Name of the model.

    Returns:
        A compiled `MTLModel` whose outputs are a dict by task name.

    Raises:
        ValueError: If tasks, inputs, trunk and heads do not fit together.
        TypeError: If an argument is of a kind that is not supported.

    Example:
        >>> import kmtl
        >>> model = kmtl.build_mtl_model(
        ...     (28, 28, 1), [kmtl.MulticlassTask("digit", classes=10)]
        ... )
        >>> model.output["digit"].shape
        (None, 10)
    """
    tasks = check_tasks(tasks)
    check_units(head_units, "head_units")
    _check_sharing(sharing)
    table = inputs if isinstance(inputs, (pd.DataFrame, Source)) else None
    if isinstance(inputs, Source):
        tasks, inputs = _read_source(inputs, tasks, features)
    elif isinstance(inputs, pd.DataFrame):
        tasks, inputs = _read_frame(inputs, tasks, features)
    elif features is not None:
        raise ValueError(
            "`features` tells how to take a frame's columns, so `inputs` must be one. "
            f"Received: inputs={type(inputs).__name__}."
        )
    if isinstance(inputs, TabularFeatures):
        features = inputs
        check_no_leak(features, tasks)
    graph_inputs = _graph_inputs(inputs)
    outputs = _wire(graph_inputs, tasks, features, trunk, sharing, head_units)
    model = MTLModel(graph_inputs, outputs, name=name)
    model.compile(optimizer, loss_weights=loss_weights, balancing=balancing)
    if table is not None:
        model.adapt_labels(table)
    return model


def _wire(
    graph_inputs: Any,
    tasks: Sequence[Task],
    features: TabularFeatures | None,
    trunk: Any,
    sharing: Any,
    head_units: Sequence[int],
) -> dict[str, Tensor]:
    """Builds the graph from the inputs to the outputs by task name."""
    seed = draw_seed()
    encoded = graph_inputs
    if features is not None:
        encoded = TabularEmbedding.from_features(features)(graph_inputs)
    trunk = as_trunk(default_trunk(encoded) if trunk is None else trunk)
    sharing = Hard() if sharing is None else sharing
    shared = sharing(trunk, encoded, tasks)
    # Whatever axes the output of one trunk for all tasks has, none of them is tasks.
    per_task = not isinstance(sharing, Hard) and has_task_axis(shared, tasks)
    heads = Heads(tasks, mark(shared, tasks, has_task_axis=per_task), seed=seed)
    heads.add_all(head_units)
    layer = TaskOutputs(tasks, heads.groups, features, name="outputs")
    outputs: dict[str, Tensor] = layer(heads.logits)
    return outputs


def _check_sharing(sharing: Any) -> None:
    if sharing is not None and (inspect.isclass(sharing) or not callable(sharing)):
        raise TypeError(
            "`sharing` must be an object such as `kmtl.sharing.Hard()`. "
            f"Received: {sharing!r}."
        )


def _read_frame(
    frame: pd.DataFrame, tasks: Sequence[Task], features: TabularFeatures | None
) -> tuple[tuple[Task, ...], TabularFeatures]:
    """Returns the tasks with their classes, and the features."""
    check_frame(frame)
    resolved = tuple(resolve_task(task, frame) for task in tasks)
    if features is None:
        features = TabularFeatures.from_frame(frame, exclude=_columns(tasks))
    return resolved, features


def _read_source(
    source: Source, tasks: Sequence[Task], features: TabularFeatures | None
) -> tuple[tuple[Task, ...], TabularFeatures]:
    """Returns the tasks with their classes, and the features, from one pass."""
    scan = LabelScan(tasks)
    if features is None:
        frames = scan.watch(source)
        features = TabularFeatures.from_stream(frames, exclude=_columns(tasks))
    else:
        for _ in scan.watch(source.frames(_columns(tasks))):
            pass
    return scan.resolved(), features


def _columns(tasks: Sequence[Task]) -> list[str]:
    return [task.column for task in tasks]


def check_no_leak(features: TabularFeatures | None, tasks: Sequence[Task]) -> None:
    """Raises `ValueError` if the label of a task is a feature."""
    names = () if features is None else features.names
    for task in tasks:
        if task.column in names:
            raise ValueError(
                f"Column {task.column!r} is the label of task {task.name!r} and cannot "
                "be a feature too; leave it out with "
                f"`TabularFeatures.from_frame(frame, exclude=[{task.column!r}])`."
            )


def _graph_inputs(inputs: Any) -> Any:
    """Makes the `keras.Input`s of the trained core."""
    if isinstance(inputs, TabularFeatures):
        return inputs.encoded_inputs()
    if isinstance(inputs, (pd.Series, np.ndarray)):
        return _input_like(np.asarray(inputs))
    if isinstance(inputs, Mapping) and inputs:
        return {name: _named_input(name, part) for name, part in inputs.items()}
    if isinstance(inputs, keras.KerasTensor):
        return inputs
    if isinstance(inputs, (tuple, list)) and all(
        part is None or isinstance(part, int) for part in inputs
    ):
        return keras.Input(tuple(inputs), name="inputs")
    raise TypeError(
        "`inputs` must be a DataFrame, TabularFeatures, an array of samples, the shape "
        "of one sample such as (28, 28, 1), a keras.Input or a dict of them. "
        f"Received: {inputs!r}."
    )


def _input_like(array: np.ndarray, name: str = "inputs") -> Tensor:
    if array.dtype.kind not in "biuf" or array.ndim < 2:
        raise ValueError(
            "An array of `inputs` must hold numbers, one sample a row. Received: "
            f"dtype={array.dtype}, shape={array.shape}. For columns of text, "
            "categories or dates use a DataFrame."
        )
    is_pixels = array.dtype == np.uint8 and array.ndim > 2
    dtype = "uint8" if is_pixels else keras.config.floatx()
    return keras.Input(array.shape[1:], dtype=dtype, name=name)


def _named_input(name: str, part: Any) -> Tensor:
    if isinstance(part, np.ndarray):
        return _input_like(part, name)
    if isinstance(part, (tuple, list)):
        return keras.Input(tuple(part), name=name)
    if isinstance(part, keras.KerasTensor):
        if part.name != name:
            raise ValueError(
                f"Input {name!r} must be called so: keras.Input(..., name={name!r}). "
                f"Received: an input with the name {part.name!r}."
            )
        return part
    raise TypeError(
        f"Input {name!r} must be a keras.Input, an array or a shape. "
        f"Received: {part!r}."
    )


def default_trunk(encoded: Any) -> Any:
    """Returns the trunk for rows of numbers, a dict of them, or images."""
    rank = len(encoded.shape) if isinstance(encoded, keras.KerasTensor) else 2
    if rank == 2:
        return MLP([256, 128])
    if rank == 4:
        return CNN([32, 64])
    raise ValueError(
        "`trunk` must be given for inputs that are neither a table nor images. "
        f"Received: inputs of shape {tuple(encoded.shape)}. A shape in `inputs` is "
        "that of one sample, without the rows."
    )
