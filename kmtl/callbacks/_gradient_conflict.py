"""Records how the gradients of tasks agree while a model trains."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import keras
import pandas as pd

from kmtl._checks import check_choice, check_positive_integer
from kmtl.callbacks._gradient_plot import plot_gradients


class GradientConflict(keras.callbacks.Callback):
    """Records in each epoch how the gradients of each pair of tasks agree.

    It works with every `balancing`, fixed weights included, and changes nothing in
    training. With the defaults it costs a few per cent of a step, with 100 tasks about
    a tenth.

    Gradients are those of the losses times their loss weights, before a method weighs
    them. Values are means over the recorded steps of an epoch; a pair of tasks counts
    in steps in which both have a label and a gradient that is not 0, and is NaN if
    there was none.

    Args:
        at: Where gradients are taken: `"representation"`, at the last tensors that
            tasks share, or `"shared"`, over all shared weights; see
            `kmtl.balancing.GradientBalancing`.
        every: In which steps: the first of an epoch and then one in so many. Tasks that
            are rarely labelled in one batch need a smaller number.

    Attributes:
        epochs: The epochs recorded, counted from 0.
        cosine: The cosine of the gradients of two tasks, one DataFrame an epoch, tasks
            by tasks.
        magnitude_similarity: How near their lengths are, likewise:
            `2 |g_i| |g_j| / (|g_i|^2 + |g_j|^2)`, 1 for equal ones.
        conflict: The share of steps in which the cosine is negative, likewise. With
            gradients at almost right angles that is every other step: read it together
            with the cosine.
        condition_number: The largest by the smallest eigenvalue of the Gramian, the
            inner products of the gradients, one number an epoch, their geometric mean
            over steps: 1 where all tasks have gradients of one length at right angles,
            large where some are much longer than others or point the same way.

    Raises:
        ValueError: If `at` or `every` is wrong; in `fit`, if tasks share nothing there.

    Example:
        >>> import kmtl, numpy as np
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
        >>> model = kmtl.build_mtl_model((8,), tasks)
        >>> conflict = kmtl.callbacks.GradientConflict(every=1)
        >>> x, y = np.ones((4, 8)), {"a": [0, 1, 1, 0], "b": [1, 1, 0, 0]}
        >>> history = model.fit(x, y, epochs=2, verbose=0, callbacks=[conflict])
        >>> conflict.cosine[-1].shape
        (2, 2)

    Reference:
        Yu et al., "Gradient Surgery for Multi-Task Learning", NeurIPS 2020,
        https://arxiv.org/abs/2001.06782, definitions 1 and 2. The condition number is
        that of Senushkin et al., "Independent Component Alignment for Multi-Task
        Learning", CVPR 2023, https://arxiv.org/abs/2305.19000, squared, which is of the
        matrix of the gradients.
    """

    def __init__(
        self,
        *,
        at: Literal["representation", "shared"] = "representation",
        every: int = 10,
    ) -> None:
        super().__init__()
        check_choice(at, ("representation", "shared"), "at")
        check_positive_integer(every, "every")
        self.at = at
        self.every = every
        self._recorder: Any = None
        self._clear()

    def _clear(self) -> None:
        self.epochs: list[int] = []
        self.cosine: list[pd.DataFrame] = []
        self.magnitude_similarity: list[pd.DataFrame] = []
        self.conflict: list[pd.DataFrame] = []
        self.condition_number: list[float] = []
        self._weights: list[dict[str, float]] = []

    def on_train_begin(self, logs: Any = None) -> None:
        del logs
        self._clear()
        self._recorder = self.model.record_gradients(at=self.at, every=self.every)
        self.model.make_train_function()  # recording is part of the traced step

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        del epoch, logs
        self._recorder.reset()

    def on_epoch_end(self, epoch: int, logs: Mapping[str, float] | None = None) -> None:
        names = self.model.task_names
        frames = {
            kind: pd.DataFrame(values, names, names)
            for kind, values in self._recorder.record.matrices().items()
        }
        self.epochs.append(epoch)
        self.cosine.append(frames["cosine"])
        self.magnitude_similarity.append(frames["magnitude_similarity"])
        self.conflict.append(frames["conflict"])
        self.condition_number.append(self._recorder.condition.result())
        logs = logs or {}
        weights = {name: logs.get(f"{name}_weight") for name in names}
        self._weights.append({k: v for k, v in weights.items() if v is not None})

    def on_train_end(self, logs: Any = None) -> None:
        del logs
        self.model.stop_recording()

    def plot(self, path: str | Path | None = None) -> Any:
        """Draws what was recorded; needs the extra `plot`.

        Cosines and conflict rates of the last epoch as heat maps, grey where a pair was
        never seen; their means over pairs of different tasks by epoch; and, where a
        method balances the tasks, their weights by epoch.

        Args:
            path: Where to save the picture; nowhere by default.

        Returns:
            The `matplotlib.figure.Figure`.

        Raises:
            ImportError: If matplotlib is not installed.
            ValueError: If nothing was recorded yet.
        """
        if not self.epochs:
            raise ValueError(
                "`plot` has nothing to draw; pass the callback to `fit` first: "
                "`model.fit(..., callbacks=[conflict])`."
            )
        means = {
            "cosine": self.cosine,
            "magnitude similarity": self.magnitude_similarity,
            "conflict rate": self.conflict,
        }
        weights = pd.DataFrame(self._weights, index=self.epochs)
        figure = plot_gradients(means, weights)
        if path is not None:
            figure.savefig(path, dpi=120)
        return figure
