"""The signatures of an export: what a server can be asked."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from kmtl._typing import Tensor
from kmtl.export._examples import ExampleFormat
from kmtl.export._labels import (
    best_classes,
    class_names,
    every_class,
    output_of_classes,
)
from kmtl.export._served import Served
from kmtl.tasks import Task

Tensors: TypeAlias = Mapping[str, Tensor]
Arrays: TypeAlias = Mapping[str, np.ndarray]
Run: TypeAlias = Callable[[Tensors], dict[str, Tensor]]

PREDICT = "tensorflow/serving/predict"
CLASSIFY = "tensorflow/serving/classify"
REGRESS = "tensorflow/serving/regress"
"""The method names of TensorFlow Serving: `signature_constants.h` of TensorFlow."""

EXAMPLES = {"inputs": tf.TensorSpec((None,), tf.string)}


@dataclass(frozen=True, eq=False)
class Signature:
    """One way to ask a served model.

    Args:
        name: Its name.
        inputs: The types of its inputs by key, the batch first.
        function: From tensors by key to tensors by key, each with the batch first.
        method: The method that a server offers it for.
        task_outputs: From what it gives to the outputs of tasks by name, as Keras gives
            them, masked where it does not say: an export checks itself by that. `None`
            for one that computes nothing.
        in_keras: What Keras computes from raw inputs and that must equal; the outputs
            of all tasks by default.
    """

    name: str
    inputs: Mapping[str, tf.TensorSpec]
    function: Run
    method: str = PREDICT
    task_outputs: Callable[[Arrays], dict[str, np.ndarray]] | None = dict
    in_keras: Callable[[Tensors], dict[str, Tensor]] | None = None

    @property
    def takes_examples(self) -> bool:
        """Whether rows are given as serialised `tf.Example`s."""
        return self.inputs is EXAMPLES


def signatures(
    served: Served,
    alone: Sequence[str],
    *,
    top_k: int,
    representation: bool,
    description: Mapping[str, Any],
) -> list[Signature]:
    """Lists the signatures of a model.

    Args:
        served: What is served.
        alone: Names of the tasks that get signatures of their own.
        top_k: The most classes of a task that `labels` gives.
        representation: Whether there is a signature for what the heads see.
        description: What `describe` tells.
    """
    tasks = [task for task in served.model.tasks if not task.auxiliary]
    # Functions are traced once, whatever the number of signatures that call them.
    run = tf.function(served.outputs, autograph=False)
    found = [
        Signature("serving_default", served.inputs, run),
        _labels(served, run, tasks, top_k),
        _describe(description),
    ]
    if representation:
        found.append(_representation(served))
    if served.examples.is_possible:
        found.append(_serve_examples(served, run))
    for task in tasks:
        if task.name in alone:
            found += _of_task(served, task)
    return found


def _labels(served: Served, run: Run, tasks: Sequence[Task], top_k: int) -> Signature:
    of_classes = [task for task in tasks if class_names(task)]
    numbers = [task.name for task in tasks if not class_names(task)]

    def labels(raw: Tensors) -> dict[str, Tensor]:
        outputs = run(raw)
        best = best_classes(of_classes, outputs, top_k)
        given = {name: outputs[name] for name in numbers}
        for name, (classes, scores) in best.items():
            given |= {f"{name}/classes": classes, f"{name}/scores": scores}
        return given

    def task_outputs(given: Arrays) -> dict[str, np.ndarray]:
        outputs = {name: given[name] for name in numbers}
        for task in of_classes:
            classes, scores = (
                given[f"{task.name}/{part}"] for part in ("classes", "scores")
            )
            outputs[task.name] = output_of_classes(task, classes, scores)
        return outputs

    return Signature("labels", served.inputs, labels, task_outputs=task_outputs)


def _describe(description: Mapping[str, Any]) -> Signature:
    text = json.dumps(description, allow_nan=False)

    # A server can ask nothing without an input, and wants an answer for each row of it.
    def describe(inputs: Tensors) -> dict[str, Tensor]:
        return {"metadata": tf.fill(tf.shape(inputs["inputs"]), text)}

    anything = {"inputs": tf.TensorSpec((None,), tf.int64)}
    return Signature("describe", anything, describe, task_outputs=None)


def _representation(served: Served) -> Signature:
    run = served.representation
    return Signature("representation", served.inputs, run, in_keras=run)


def _serve_examples(served: Served, run: Run) -> Signature:
    def serve_examples(inputs: Tensors) -> dict[str, Tensor]:
        return run(served.examples.parse(inputs["inputs"]))

    return Signature("serve_examples", EXAMPLES, serve_examples)


def _of_task(served: Served, task: Task) -> list[Signature]:
    """The signatures that compute one task only."""
    run = tf.function(served.task(task.name), autograph=False)
    shape = served.model.output[task.name].shape
    found = [
        Signature(
            f"predict_{task.name}", served.inputs, lambda raw: {task.name: run(raw)}
        )
    ]
    examples = served.examples
    # A server classifies and regresses with one value, or list of classes, a row.
    if examples.is_possible and len(shape) == 2:
        if class_names(task):
            found.append(_classify(task, run, examples))
        elif shape[1] == 1:
            found.append(_regress(task, run, examples))
    return found


def _classify(
    task: Task, run: Callable[[Tensors], Tensor], examples: ExampleFormat
) -> Signature:
    def classify(inputs: Tensors) -> dict[str, Tensor]:
        output = run(examples.parse(inputs["inputs"]))
        return dict(zip(("classes", "scores"), every_class(task, output), strict=True))

    def task_outputs(given: Arrays) -> dict[str, np.ndarray]:
        return {task.name: output_of_classes(task, given["classes"], given["scores"])}

    return Signature(
        f"classify_{task.name}", EXAMPLES, classify, CLASSIFY, task_outputs
    )


def _regress(
    task: Task, run: Callable[[Tensors], Tensor], examples: ExampleFormat
) -> Signature:
    return Signature(
        f"regress_{task.name}",
        EXAMPLES,
        lambda inputs: {"outputs": run(examples.parse(inputs["inputs"]))},
        REGRESS,
        lambda given: {task.name: given["outputs"]},
    )
