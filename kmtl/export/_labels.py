"""The outputs of a task in the values of its labels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.tasks import BinaryTask, MulticlassTask, Task, class_values


def class_names(task: Task) -> list[str]:
    """Returns the classes of a task as strings, negative before positive.

    It is empty for a task whose labels are numbers.
    """
    if isinstance(task, BinaryTask):
        return [str(value) for value in class_values(task) or (False, True)]
    if isinstance(task, MulticlassTask):
        return [str(value) for value in class_values(task)]
    return []


def class_scores(task: Task, output: Tensor) -> Tensor:
    """Returns the probability of each class, `(batch, ..., classes)`."""
    if isinstance(task, BinaryTask):
        return tf.concat([1.0 - output, output], axis=-1)
    return output


def every_class(task: Task, output: Tensor) -> tuple[Tensor, Tensor]:
    """Returns names and probabilities of all classes, each `(batch, classes)`."""
    scores = class_scores(task, output)
    names = tf.constant(class_names(task))
    return tf.tile(names[tf.newaxis], [tf.shape(scores)[0], 1]), scores


def best_classes(
    tasks: Sequence[Task], outputs: Mapping[str, Tensor], top_k: int
) -> dict[str, tuple[Tensor, Tensor]]:
    """Returns names and probabilities of the likeliest classes, best first, by task.

    Both are of shape `(batch, ..., k)`. A server needs the names for every row: it
    splits what it computes for a batch of requests along the first axis.
    """
    alike: dict[Any, list[Task]] = {}
    for task in tasks:
        form = (type(task), tuple(outputs[task.name].shape))
        alike.setdefault(form, []).append(task)
    best: dict[str, tuple[Tensor, Tensor]] = {}
    # Once for all tasks of a form: with hundreds of them that saves thousands of steps.
    for members in alike.values():
        stacked = tf.stack([outputs[task.name] for task in members], axis=-2)
        scores = class_scores(members[0], stacked)
        found = tf.math.top_k(scores, k=min(top_k, scores.shape[-1]))
        names = tf.constant([class_names(task) for task in members])
        places = tf.range(len(members))[:, tf.newaxis] + tf.zeros_like(found.indices)
        named = tf.gather_nd(names, tf.stack([places, found.indices], axis=-1))
        both = zip(
            tf.unstack(named, axis=-2), tf.unstack(found.values, axis=-2), strict=True
        )
        best |= {task.name: pair for task, pair in zip(members, both, strict=True)}
    return best


def output_of_classes(
    task: Task, classes: np.ndarray, scores: np.ndarray
) -> np.ma.MaskedArray:
    """Returns the output of a task that names and probabilities of classes stand for.

    Args:
        task: The task.
        classes: Names as UTF-8 bytes, `(batch, ..., k)`.
        scores: Their probabilities, of the same shape.

    Returns:
        The output `(batch, ..., units)`, masked where classes are not named.

    Raises:
        KeyError: If a name is none of the classes.
    """
    places = {name.encode(): place for place, name in enumerate(class_names(task))}
    columns = np.vectorize(places.__getitem__, otypes=[int])(classes)
    shape = (*scores.shape[:-1], len(places))
    outputs, named = np.zeros(shape, scores.dtype), np.zeros(shape, bool)
    np.put_along_axis(outputs, columns, scores, axis=-1)
    np.put_along_axis(named, columns, True, axis=-1)
    if not isinstance(task, BinaryTask):
        return np.ma.masked_array(outputs, ~named)
    negative, positive = outputs[..., :1], outputs[..., 1:]
    return np.ma.masked_array(np.where(named[..., 1:], positive, 1.0 - negative))
