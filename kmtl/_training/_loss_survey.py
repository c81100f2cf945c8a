"""What the losses of tasks are made of, summed over a data set."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from kmtl._objective import GroupBatch, Objective
from kmtl._training._constant_losses import constant_batch, label_sums, no_labels
from kmtl._training._forward import Forward
from kmtl._training._recorded import Recorded
from kmtl._typing import Tensor

# So little of each class that no loss changes, and that none is infinite.
_ROWS_OF_A_CLASS = 1e-6


class LossSurvey:
    """Measures the losses of a model and the gradients of its tasks.

    Layers run as in predictions, and nothing in the model changes.

    Args:
        model: The model, compiled.
    """

    def __init__(self, model: Forward) -> None:
        self._model = model
        self._objective = Objective(model.outputs_layer)
        tasks, groups = model.outputs_layer.tasks, model.outputs_layer.groups
        self._firsts = [tasks[group.indices[0]] for group in groups]
        self._place = model.task_gradients().place

    def totals(
        self, batches: Callable[[], Iterable[tuple[Any, Any]]]
    ) -> dict[str, np.ndarray]:
        """Reads a data set twice.

        Args:
            batches: Gives batches of inputs and packed labels.

        Returns:
            Sums over its rows, `(tasks,)`, float64: `"losses"` and `"constants"`, the
            losses of predicting the means of labels; `"weights"` of both; `"labels"`,
            how many count, and `"places"` for a label. And `"gramian"`, `(tasks,
            tasks)`: inner products of the gradients of mean losses, NaN where nothing
            is shared.
        """
        read, measure = self._read_labels, self._measure
        if not self._model.run_eagerly:
            read = tf.function(read, reduce_retracing=True)
            measure = tf.function(measure, reduce_retracing=True)
        sums: Any = [no_labels(task, rows=_ROWS_OF_A_CLASS) for task in self._firsts]
        for x, y in batches():
            sums = [s + part.numpy() for s, part in zip(sums, read(x, y), strict=True)]
        means = [tf.constant(s, "float64") for s in sums]
        totals: dict[str, Any] = {}
        for x, y in batches():
            parts = {name: v.numpy() for name, v in measure(x, y, means).items()}
            if self._place == "shared":
                parts["gramian"] = _of_means(parts)
            totals = {name: v + totals.get(name, 0.0) for name, v in parts.items()}
        if self._place == "representation":
            # Each row has its own part of a shared tensor: their products add up.
            totals["gramian"] = _of_means(totals)
        return totals

    def _read_labels(self, x: Any, y: Any) -> list[Tensor]:
        """The sums of labels in a batch, one tensor a head group."""
        logits = self._model.logits(x, training=False)
        batches = self._objective.batches(y, logits)
        parts = zip(self._firsts, batches, strict=True)
        return [ops.cast(label_sums(*part), "float64") for part in parts]

    def _measure(self, x: Any, y: Any, means: Sequence[Tensor]) -> dict[str, Tensor]:
        """What a batch adds to the totals; the Gramian is that of summed losses."""
        with tf.GradientTape(persistent=True) as tape:
            logits, inner = self._model.logits_and_inner(
                x, training=False, by_task=self._place is not None
            )
            batches = self._objective.batches(y, logits)
            losses, weights = self._objective.sums(batches)
        constants = map(constant_batch, self._firsts, batches, means)
        one = ops.ones_like(losses)
        recorded = Recorded(tape, losses, ops.zeros(()), inner, one, one[0])
        found = {
            "losses": losses,
            "weights": weights,
            "constants": self._objective.sums([*constants])[0],
            "labels": self._counts(batches, lambda weights: weights > 0),
            "places": self._counts(batches, ops.ones_like),
            "gramian": self._gramian(recorded),
        }
        return {name: ops.cast(value, "float64") for name, value in found.items()}

    def _gramian(self, recorded: Recorded) -> Tensor:
        if self._place is None:
            return ops.full(tuple(recorded.losses.shape) * 2, np.nan)
        gradients = self._model.task_gradients()
        return gradients.gramian(recorded, gradients.plain(recorded), self._place)

    def _counts(
        self, batches: Sequence[GroupBatch], count: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """Sums over rows what `count` makes of their weights, `(tasks,)`."""
        counted = [
            replace(b, loss_weights=ops.cast(count(b.loss_weights), b.weights.dtype))
            for b in batches
        ]
        return self._objective.sums(counted)[1]


def _of_means(sums: dict[str, np.ndarray]) -> np.ndarray:
    """From the Gramian of summed losses to that of their means."""
    weights = np.where(sums["weights"] > 0, sums["weights"], 1.0)
    return sums["gramian"] / weights[:, None] / weights
