"""Predictions: the part of `MTLModel` that makes them."""

from typing import Any

import numpy as np
import pandas as pd

from kmtl._loss_view import LossView
from kmtl._predict_frame import own_predictions_frame, predictions_frame
from kmtl._prepare import (
    by_task,
    check_adapted,
    check_one_batch,
    prepare_inputs,
)
from kmtl._rows_of_one_task import (
    OwnTasks,
    check_rows_at_hand,
    frames_of,
    joined,
    names_of_rows,
    positions_of,
)
from kmtl._typing import ByTask
from kmtl.data import Feed, Source, check_ends
from kmtl.data._inputs import rows_of
from kmtl.features._streaming import naming_shard


class Predicting(LossView):
    """Predicts arrays and frames."""

    def predict(
        self,
        x: Any,
        *,
        given: ByTask | None = None,
        task: Any = None,
        **arguments: Any,
    ) -> dict[str, np.ndarray]:
        """Predicts every task, or for each row one.

        Args:
            x: Inputs of any form that `fit` takes; a frame needs no label columns.
            given: What is known of tasks that others are conditioned on, by task name:
                labels in their own form (class names, numbers in their unit), one a
                row, NaN where there is none, or the name of a column of the frame `x`.
                The heads of other tasks see them in place of predictions; those of the
                task itself stay as they are. Labels in `x` are not looked at unless
                they are named here.
            task: The task of each row, where one is asked for: names, one a row, the
                name of a column of the frame `x` that holds them, or one name for all
                rows, even if a column has it too. Only the towers, gates and heads of
                these tasks are computed, unless tasks read each other's. `x` is then a
                frame, arrays or a source, which is predicted frame by frame and of
                which `task` names a column, or one task; without `steps`.
            **arguments: `batch_size`, `verbose`, `steps`, `callbacks`, as in Keras.

        Returns:
            Arrays of shape `(rows, ...)` by task name: probabilities `(rows, 1)` or
            `(rows, classes)`, or values in the label's own unit. With `task`, of each
            task that is named the rows that it is named for, in their order.

        Raises:
            ValueError: If the statistics of regression labels are not known yet;
                `given` names a task that no other is conditioned on, has another
                number of rows, or a label that the task does not have; or `task` names
                an unknown one, or comes with `given`.

        Example:
            >>> import kmtl, numpy as np
            >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b", condition_on="a")]
            >>> model = kmtl.build_mtl_model((8,), tasks)
            >>> x, known = np.ones((2, 8)), {"a": [1, np.nan]}
            >>> model.predict(x, given=known, verbose=0)["b"].shape
            (2, 1)
            >>> {t: v.shape for t, v in model.predict(x, task="b", verbose=0).items()}
            {'b': (2, 1)}
        """
        if task is not None:
            return self._predict_own(x, task, given=given, **arguments)[1]
        check_adapted(self, "predict")
        check_ends(x, arguments.get("steps"), "steps")
        feed = Feed.of(x, arguments)
        inputs = prepare_inputs(self, x, feed, given)
        with feed.own_errors():
            return by_task(self, super().predict(inputs, **arguments))

    def _predict_own(
        self,
        x: Any,
        task: Any,
        *,
        given: ByTask | None = None,
        batch_size: int | None = None,
        **arguments: Any,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Returns the name of the task of each row, and predictions by task."""
        check_adapted(self, "predict")
        if given is not None:
            raise ValueError(
                "`task` must come without `given`. Received: both. Take the tasks out "
                "of `predict(x, given=...)`."
            )
        check_rows_at_hand(x, batch_size, arguments)
        arguments["batch_size"] = 32 if batch_size is None else batch_size
        if not isinstance(x, Source):
            return self._predict_own_rows(x, task, **arguments)
        parts = []
        for frame in frames_of(self, x, task):
            with naming_shard(frame):
                parts.append(self._predict_own_rows(frame, task, **arguments))
        return joined(parts)

    def _predict_own_rows(
        self, x: Any, task: Any, *, batch_size: int, **arguments: Any
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        inputs = prepare_inputs(self, x)
        names = names_of_rows(self, x, task, rows_of(inputs))
        own = OwnTasks(self, inputs, positions_of(self, names))
        batches = own.batches(batch_size)
        return names, own.split(super().predict(batches, **arguments))

    def predict_on_batch(self, x: Any) -> dict[str, np.ndarray]:
        """Predicts one batch; see `predict`."""
        check_one_batch(x, "predict_on_batch")
        check_adapted(self, "predict")
        return by_task(self, super().predict_on_batch(prepare_inputs(self, x)))

    def predict_frame(
        self, x: Any, *, task: Any = None, probabilities: bool = False, **arguments: Any
    ) -> pd.DataFrame:
        """Predicts a DataFrame with one column a task, in the values of the labels.

        Args:
            x: Inputs as for `predict`.
            task: The task of each row, as for `predict`. The frame then has the columns
                `"task"` and `"prediction"`.
            probabilities: Whether to add columns `<task>_<class>`; for a binary task
                only that of its positive class.
            **arguments: As for `predict`, `given` among them.

        Returns:
            A DataFrame with the index of `x`, if that is one.

        Raises:
            ValueError: If two columns would have one name (rename a task), or
                `probabilities` are asked for with `task`.
        """
        index = x.index if isinstance(x, pd.DataFrame) else None
        tasks = [t for t in self.outputs_layer.tasks if not t.auxiliary]
        if task is None:
            predictions = self.predict(x, **arguments)
            return predictions_frame(
                tasks, predictions, index=index, probabilities=probabilities
            )
        if probabilities:
            raise ValueError(
                "`probabilities` must be False with `task`: the classes of tasks "
                "differ. Received: True. Use `predict(x, task=...)`."
            )
        names, predictions = self._predict_own(x, task, **arguments)
        return own_predictions_frame(tasks, predictions, names, index=index)
