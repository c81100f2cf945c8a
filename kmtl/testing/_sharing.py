"""`check_sharing`: what every way of sharing a network must keep."""

import tempfile
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from kmtl.builder import build_mtl_model
from kmtl.export import export_saved_model
from kmtl.model import MTLModel
from kmtl.tasks import BinaryTask, MulticlassTask, RegressionTask, Task
from kmtl.testing import _assertions as check
from kmtl.trunks import MLP

_ROWS, _CLASSES = 16, 3
_MANY = 100


def check_sharing(
    sharing: Any, trunk: Any = None, *, input_shape: tuple[int, ...] = (6,)
) -> None:
    """Checks a way of sharing on small models of several kinds of tasks.

    * outputs are named by task, in order, float32 and finite, for one task and for
      many, for a batch of one row and under `mixed_float16`;
    * a model is traced once for two batches, and `tf.function` changes no value;
    * it trains a step, with missing labels too;
    * a `.keras` file keeps it bit-equal, and so does a SavedModel, by task name;
    * the order of the tasks changes nothing but the order of the outputs;
    * XLA computes what eager mode does;
    * every trainable variable gets a gradient from a task, and every tensor that it
      declares as shared from at least two.

    Args:
        sharing: A callable `(trunk, inputs, tasks) -> tensor`, see `kmtl.sharing`.
        trunk: The trunk it shares; a small `MLP` by default. One that makes new layers
            whenever it is called, like those of `kmtl.trunks`.
        input_shape: The shape of one input of the trunk.

    Raises:
        AssertionError: If a property does not hold.

    Example:
        >>> import kmtl
        >>> kmtl.testing.check_sharing(kmtl.sharing.Hard())
    """
    trunk = MLP([8, 8], activation="tanh") if trunk is None else trunk
    tasks = _some_tasks()

    def build(tasks: Sequence[Task], *, run_eagerly: bool = False) -> MTLModel:
        keras.utils.set_random_seed(0)
        model = build_mtl_model(input_shape, tasks, trunk=trunk, sharing=sharing)
        model.compile(run_eagerly=run_eagerly, jit_compile=False)
        model.adapt_labels(_labels(model.tasks))
        return model

    model = build(tasks)
    _check_outputs(model)
    _check_tracing(model)
    _check_gradients(model)
    # On a model of its own: Keras rewires one that a second model begins inside of.
    _check_shared_tensors(build(tasks))
    _check_order(model, build(tasks[::-1]))
    _check_step(model)
    _check_files(model)
    # Graphs take seconds to trace: of the steps, only that of `model` is one.
    _check_step(build(tasks[:1], run_eagerly=True))
    _check_outputs(build([BinaryTask(f"task_{i}") for i in range(_MANY)]))
    with check.dtype_policy("mixed_float16"):
        _check_step(build(tasks, run_eagerly=True))


def _some_tasks() -> list[Task]:
    # No sharing sees metrics, and they take time to trace.
    return [
        BinaryTask("click", metrics=[]),
        RegressionTask("price", metrics=[]),
        MulticlassTask("colour", classes=_CLASSES, metrics=[]),
        BinaryTask("buy", metrics=[]),
    ]


def _inputs(model: MTLModel, rows: int = _ROWS) -> np.ndarray:
    shape = (rows, *model.input.shape[1:])
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def _labels(tasks: Sequence[Task]) -> dict[str, np.ndarray]:
    counts = np.arange(_ROWS, dtype="float64")
    return {
        task.name: counts if isinstance(task, RegressionTask) else counts % task.units
        for task in tasks
    } | {task.name: counts % 2 for task in tasks if isinstance(task, BinaryTask)}


def _check_outputs(model: MTLModel) -> None:
    names = [task.name for task in model.tasks]
    for rows in (1, _ROWS):
        outputs = model(_inputs(model, rows))
        check.require(list(outputs) == names, f"keys must be {names}: {list(outputs)}.")
        check.assert_finite(outputs, "the outputs")
        check.assert_shapes(model.output, outputs, "the shape of an output")
        dtypes = {name: output.dtype for name, output in outputs.items()}
        check.require(
            set(dtypes.values()) == {tf.float32}, f"outputs must be float32: {dtypes}."
        )


def _check_tracing(model: MTLModel) -> None:
    traces = []

    @tf.function
    def predict(x: Any) -> Any:
        traces.append(x)
        return model(x)

    x = tf.constant(_inputs(model))
    predict(tf.zeros_like(x))
    outputs = predict(x)
    check.require(len(traces) == 1, f"two batches must trace once: {len(traces)}.")
    check.assert_close(outputs, model(x), "`tf.function`")
    compiled = tf.function(model, jit_compile=True)(x)
    check.assert_close(compiled, model(x), "XLA", rtol=1e-4, atol=1e-5)


def _check_gradients(model: MTLModel) -> None:
    def gradients() -> list[Any]:
        values = [v.value for v in model.trainable_variables]
        with tf.GradientTape(persistent=True) as tape:
            totals = {k: tf.reduce_sum(v**2) for k, v in model(_inputs(model)).items()}
        by_task = [tape.gradient(total, values) for total in totals.values()]
        return [
            next((g for g in column if g is not None and np.any(g)), None)
            for column in zip(*by_task, strict=True)
        ]

    check.assert_trained(model, gradients, "the gradient of a task")


def _check_shared_tensors(model: MTLModel) -> None:
    if not model.shared_tensors:
        return
    x = tf.constant(_inputs(model))
    shared = keras.Model(model.input, model.shared_tensors)(x)
    shared = shared if isinstance(shared, list) else [shared]
    rest = keras.Model([*model.shared_tensors, model.input], model.output)
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(shared)
        outputs = rest([*shared, x])
        totals = {name: tf.reduce_sum(v**2) for name, v in outputs.items()}
    for number, tensor in enumerate(shared):
        reached = [k for k, v in totals.items() if tape.gradient(v, tensor) is not None]
        what = (
            f"shared tensor {number} must be shared. Received gradients of {reached}."
        )
        check.require(len(reached) > 1, what)


def _check_order(model: MTLModel, reordered: MTLModel) -> None:
    names = [task.name for task in model.tasks]
    outputs, others = model(_inputs(model)), reordered(_inputs(model))
    what = "tasks in another order"
    check.assert_close([others[n] for n in names], [outputs[n] for n in names], what)


def _check_step(model: MTLModel) -> None:
    labels = _labels(model.tasks)
    first, *rest = labels
    labels[first][::2] = np.nan
    if rest:
        del labels[rest[-1]]
    before = model.get_weights()
    history = model.fit(_inputs(model), labels, batch_size=_ROWS, epochs=1, verbose=0)
    check.assert_finite(history.history["loss"], "the loss")
    moved = [np.any(a != b) for a, b in zip(before, model.get_weights(), strict=True)]
    check.require(any(moved), "a step must change the weights.")
    _check_outputs(model)


def _check_files(model: MTLModel) -> None:
    expected = model.predict(_inputs(model), verbose=0)
    loaded = check.saved_and_loaded(model)
    check.assert_equal(
        loaded.predict(_inputs(model), verbose=0), expected, "a loaded model"
    )
    with tempfile.TemporaryDirectory() as folder:
        path = export_saved_model(model, folder)
        serve = tf.saved_model.load(str(path)).signatures["serving_default"]
        served = serve(inputs=tf.constant(_inputs(model)))
    check.require(set(served) == set(expected), f"served keys: {sorted(served)}.")
    check.assert_close({k: served[k] for k in expected}, expected, "a SavedModel")
