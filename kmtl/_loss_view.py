"""What the loss of a model is made of: the part of `MTLModel` that shows it."""

import itertools
import operator
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import tensorflow as tf

from kmtl._checks import check_positive_integer
from kmtl._prepare import prepare
from kmtl._replicas import replica_count
from kmtl._sharing_view import SharingView
from kmtl._training._loss_survey import LossSurvey
from kmtl._typing import ByTask
from kmtl.data import check_ends


class LossView(SharingView):
    """Shows how much of the loss and of the gradient each task has."""

    def explain_loss(
        self,
        x: Any,
        y: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: ByTask | None = None,
        batch_size: int = 256,
        steps: int | None = None,
    ) -> pd.DataFrame:
        """Tells what each task contributes to the loss and to the shared gradient.

        Look here before you change loss weights or try a method of `kmtl.balancing`: a
        task with hardly any of the gradient is hardly heard, one with nearly all of it
        is nearly alone.

        Losses are those of training, class weights included, but layers run as in
        predictions, without dropout. Penalties and the weights of a balancing method
        are left out. Nothing in the model changes.

        Gradients are those of the losses over all rows at once, at the last tensors
        that tasks share: the batch size does not matter. Where a sharing has no such
        tensors, as in cross-stitch networks, gradients are taken over the shared
        weights, and their inner products are means over the batches.

        Args:
            x: Inputs of any form that `fit` takes; a dataset is read twice.
            y: Labels, as for `fit`.
            sample_weight: As for `fit`.
            class_weight: As for `fit`.
            batch_size: Rows a batch; a dataset has its own.
            steps: How many batches to read; all by default.

        Returns:
            A frame with a row a task. A column is NaN where a task has no label that
            counts, and those of gradients where tasks share nothing.

            * `labels`: how many labels count; `labelled`: by the number of rows.
            * `loss`; `constant_loss`: that of predicting the mean of the labels, which
              is the best constant for cross entropy and squared errors.
            * `loss_weight`; `weighted_loss`; `loss_share`: by the sum over tasks.
            * `gradient_share`: the length of the gradient of the weighted loss, by the
              sum of the lengths.
            * `gradient_cosine`: with the sum of the gradients; below 0, a small step
              along that sum makes the task worse.

        Raises:
            ValueError: If the model is not compiled, no label counts, inputs are wrong,
                or it is called in the scope of a distribution strategy.

        Example:
            >>> import kmtl, numpy as np
            >>> model = kmtl.build_mtl_model((4,), [kmtl.BinaryTask("a")])
            >>> table = model.explain_loss(np.ones((4, 4)), {"a": [0, 1, 1, np.nan]})
            >>> table.loc["a", ["labels", "labelled", "gradient_share"]].tolist()
            [3.0, 0.75, 1.0]
        """
        if not self.compiled:
            raise ValueError("`explain_loss` needs a compiled model; call `compile()`.")
        if replica_count() > 1:
            raise ValueError(
                "`explain_loss` runs on one device; call it outside of the scope of "
                f"the distribution strategy. Received: {replica_count()} replicas."
            )
        check_positive_integer(batch_size, "batch_size")
        check_ends(x, steps, "steps")
        x, y = prepare(
            self,
            x,
            y,
            sample_weight=sample_weight,
            class_weight=class_weight,
            training=True,
            whole=False,
        )
        totals = LossSurvey(self).totals(lambda: batches_of(x, y, batch_size, steps))
        names = [task.name for task in self.outputs_layer.tasks]
        weights = keras.ops.convert_to_numpy(self.outputs_layer.loss_weights)
        return pd.DataFrame(_columns(totals, weights.astype("float64")), names)


def batches_of(
    x: Any, y: Any, batch_size: int, steps: int | None = None
) -> Iterator[tuple[Any, Any]]:
    """Gives batches of what `prepare` returned.

    Args:
        x: A dataset, or inputs by name.
        y: Packed labels; `None` for a dataset.
        batch_size: Rows a batch; a dataset has its own.
        steps: How many batches; all by default.
    """
    is_dataset = isinstance(x, tf.data.Dataset)
    batches = x if is_dataset else _slices((x, y), batch_size)
    return itertools.islice(iter(batches), steps)


def _slices(arrays: Any, batch_size: int) -> Iterator[Any]:
    for start in range(0, len(keras.tree.flatten(arrays)[0]), batch_size):
        rows = slice(start, start + batch_size)
        yield keras.tree.map_structure(operator.itemgetter(rows), arrays)


def _columns(
    totals: dict[str, np.ndarray], loss_weights: np.ndarray
) -> dict[str, np.ndarray]:
    has_labels = totals["labels"] > 0
    if not has_labels.any():
        raise ValueError(
            "`explain_loss` needs labels that count. Received: none of any task."
        )
    loss = _ratio(totals["losses"], totals["weights"])
    weighted = loss_weights * loss
    # Of tasks without labels they are 0; NaN where nothing is shared.
    gramian = totals["gramian"] * loss_weights[:, None] * loss_weights
    lengths = np.sqrt(np.diag(gramian))
    along = gramian.sum(axis=1)
    return {
        "labels": totals["labels"].astype("int64"),
        "labelled": _ratio(totals["labels"], totals["places"]),
        "loss": loss,
        "constant_loss": _ratio(totals["constants"], totals["weights"]),
        "loss_weight": loss_weights,
        "weighted_loss": weighted,
        "loss_share": _ratio(weighted, np.nansum(weighted)),
        "gradient_share": np.where(has_labels, _ratio(lengths, lengths.sum()), np.nan),
        "gradient_cosine": _ratio(along, lengths * np.sqrt(max(along.sum(), 0.0))),
    }


def _ratio(values: np.ndarray, by: Any) -> np.ndarray:
    """NaN where the second is not above 0."""
    by = np.broadcast_to(by, values.shape)
    return np.divide(values, by, out=np.full(values.shape, np.nan), where=by > 0)
