"""`MTLModel`: a functional Keras model with one named output a task."""

import warnings
from typing import Any

import keras
import pandas as pd
import tensorflow as tf
from keras import ops

from kmtl._checks import check_known_keys
from kmtl._loss_weights import LossWeights
from kmtl._predicting import Predicting
from kmtl._prepare import (
    adapt_labels,
    check_one_batch,
    check_validation,
    label_columns,
    named_tasks,
    prepare,
    prepare_sampler,
    prepare_validation,
)
from kmtl._typing import ByTask
from kmtl.callbacks._in_fit import (
    evaluate_callbacks,
    fit_callbacks,
    follow_epochs,
    warn_of_unlabelled,
)
from kmtl.data import Epoch, Feed, Source, TaskSampler, check_ends
from kmtl.features import TabularFeatures
from kmtl.tasks import Task


@keras.saving.register_keras_serializable(package="kmtl")
class MTLModel(Predicting):
    """A Keras model of several tasks; made by `kmtl.build_mtl_model`.

    It takes DataFrames, arrays, dicts of arrays and `tf.data.Dataset`s of `(x, y)` or
    `(x, y, sample_weight)`, with labels by task name. A missing label (NaN, None,
    `pd.NA`, or a task left out of `y`) counts neither in losses nor in metrics. Logs
    are exact over the rows of an epoch: `loss`, `<task>_loss`, `<task>_<metric>`; NaN
    where no row was labelled.

    Example:
        >>> import kmtl, numpy as np
        >>> tasks = [kmtl.BinaryTask("a"), kmtl.RegressionTask("b")]
        >>> model = kmtl.build_mtl_model((8,), tasks, trunk=kmtl.trunks.MLP([16]))
        >>> x, y = np.zeros((4, 8)), {"a": [0, 1, 0, 1], "b": [1.0, 2.0, np.nan, 4.0]}
        >>> history = model.fit(x, y, epochs=1, verbose=0)
        >>> sorted(history.history)
        ['a_auc', 'a_loss', 'b_loss', 'b_mae', 'loss']
        >>> model.predict(x, verbose=0)["b"].shape
        (4, 1)
    """

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The task specifications, in the order of the outputs."""
        return self.outputs_layer.tasks

    @property
    def task_names(self) -> list[str]:
        """The names of the tasks."""
        return [task.name for task in self.tasks]

    @property
    def features(self) -> TabularFeatures | None:
        """The features of the table the model was built on, or `None`."""
        return self.outputs_layer.features

    @property
    def loss_weights(self) -> LossWeights:
        """The loss weights by task name; assign an item, or a dict for several."""
        return LossWeights(self.outputs_layer)

    @loss_weights.setter
    def loss_weights(self, values: ByTask) -> None:
        self.outputs_layer.assign_loss_weights(values)

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        class_weight: ByTask | None = None,
        validation_data: Any = None,
        callbacks: Any = None,
        verbose: Any = "auto",
        **arguments: Any,
    ) -> keras.callbacks.History:
        """Trains the model; see `keras.Model.fit`.

        Rows of `x`, `y` and weights belong together by position. What is wrong in a
        dataset shows while it is read, as a `tf.errors.InvalidArgumentError` with the
        same words.

        Args:
            x: A DataFrame, an array, a dict of arrays, a source such as
                `kmtl.data.read_parquet` returns, a `tf.data.Dataset`, or what
                `kmtl.data.sample_tasks` returns.
            y: Labels by task name, a dict or a DataFrame; left out, they are columns of
                the frame `x`. A task left out is missing everywhere.
            sample_weight: One weight a row for all tasks, or a dict by task name; each
                an array, or the name of a column of the frame.
            class_weight: `{task: {label value: factor}}`, comes before those of the
                tasks; in the training loss only.
            validation_data: A DataFrame, `(x, y)`, `(x, y, sample_weight)`, a source,
                a dataset or a sampler, of which every row is read once.
            callbacks: Keras callbacks. `mode="auto"` works with every logged name.
            verbose: As in Keras. With many tasks the bar shows means over tasks.
            **arguments: `batch_size`, `epochs`, `validation_split`, `shuffle`,
                `initial_epoch`, `steps_per_epoch`, `validation_steps`,
                `validation_batch_size`, `validation_freq`, as in Keras.

        Returns:
            The history of the logs.

        Raises:
            ValueError: If inputs, labels or weights are wrong.
            FloatingPointError: If the loss of a task is not finite.
        """
        check_ends(x, arguments.get("steps_per_epoch"), "steps_per_epoch")
        check_validation(x, validation_data, arguments)
        if isinstance(x, TaskSampler):
            x.check_fit(y, arguments)
        check_ends(
            validation_data, arguments.get("validation_steps"), "validation_steps"
        )
        self._adapt_labels_once(x, y, arguments.get("steps_per_epoch"))
        self._warn_of_weight_as_feature(sample_weight)
        validates = validation_data is not None
        validates = validates or bool(arguments.get("validation_split"))
        callbacks = fit_callbacks(self, callbacks, verbose, validates=validates)
        weights = {"sample_weight": sample_weight, "class_weight": class_weight}
        epoch = Epoch()
        if isinstance(x, (TaskSampler, Source)):
            callbacks = follow_epochs(callbacks, epoch)
        feed = Feed.of(x, arguments, epoch)
        names = named_tasks(self, x, arguments.get("initial_epoch", 0))
        if isinstance(x, TaskSampler):
            x = prepare_sampler(self, x, epoch, errors=feed.errors, **weights)
        else:
            x, y = prepare(self, x, y, training=True, feed=feed, **weights)
        if isinstance(x, tf.data.Dataset):
            arguments.setdefault("shuffle", False)  # Keras warns that it does nothing
        if validation_data is not None:
            validation_feed = feed.for_validation(arguments)
            validation_data = prepare_validation(self, validation_data, validation_feed)
        if names:
            callbacks = warn_of_unlabelled(callbacks, names)
        with feed.own_errors():
            return super().fit(
                x,
                y,
                validation_data=validation_data,
                callbacks=callbacks,
                verbose=verbose,
                **arguments,
            )

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        *,
        sample_weight: Any = None,
        callbacks: Any = None,
        verbose: Any = "auto",
        return_dict: bool = False,
        _use_cached_eval_dataset: bool = False,
        **arguments: Any,
    ) -> Any:
        """Measures every loss and metric; see `fit` for the forms of the data.

        Returns:
            A dict by name with `return_dict=True`, else its values as a list, sorted by
            name.
        """
        if not _use_cached_eval_dataset:  # else `fit` has prepared the data
            check_ends(x, arguments.get("steps"), "steps")
            if isinstance(x, TaskSampler):
                x.check_arguments(y, arguments)
            feed = Feed.of(x, arguments)
            weights = {"sample_weight": sample_weight, "training": False}
            x, y = prepare(self, x, y, feed=feed, **weights)
            callbacks = evaluate_callbacks(self, callbacks, verbose)
        else:
            feed = Feed()
            arguments["_use_cached_eval_dataset"] = True
        shown = {"callbacks": callbacks, "verbose": verbose}
        with feed.own_errors():
            logs = super().evaluate(x, y, return_dict=True, **shown, **arguments)
        return logs if return_dict else list(logs.values())

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: ByTask | None = None,
        return_dict: bool = False,
    ) -> Any:
        """Takes one step on one batch; returns its losses and metrics."""
        check_one_batch(x, "train_on_batch")
        self._adapt_labels_once(x, y, None)
        x, y = prepare(
            self,
            x,
            y,
            sample_weight=sample_weight,
            class_weight=class_weight,
            training=True,
            whole=False,
        )
        super().train_on_batch(x, y, return_dict=True)
        logs = self.get_metrics_result()
        return logs if return_dict else list(logs.values())

    def test_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        return_dict: bool = False,
    ) -> Any:
        """Measures one batch; returns its losses and metrics."""
        check_one_batch(x, "test_on_batch")
        x, y = prepare(self, x, y, sample_weight=sample_weight, training=False)
        super().test_on_batch(x, y, return_dict=True)
        logs = self.get_metrics_result()
        return logs if return_dict else list(logs.values())

    def adapt_labels(self, y: Any) -> None:
        """Sets mean and standard deviation of standardised regression labels.

        The first `fit` does so with its labels, and a model built from a frame has them
        from there. They stay until this is called.

        Args:
            y: A frame with label columns, labels by task name, a source, a dataset or a
                sampler.
        """
        if isinstance(y, (tf.data.Dataset, TaskSampler, Source)):
            adapt_labels(self, y, None)
        elif isinstance(y, pd.DataFrame):
            adapt_labels(self, None, label_columns(self, y))
        else:
            adapt_labels(self, None, y)

    def set_trainable(self, task: str | None, trainable: bool) -> None:
        """Freezes or unfreezes what belongs to one task alone, or to none.

        To a task belong its head, and where the sharing gives it some, its tower,
        experts and gate. They and what the optimizer keeps for them stay exactly as
        they are. The task's loss still reaches what it shares; a loss weight of 0 stops
        that.

        Args:
            task: Name of the task, or `None` for all that belongs to no task alone. An
                encoder of which nothing is trained runs as in predictions.
            trainable: Whether they are trained.
        """
        layer = self.outputs_layer
        if task is None:
            layer.frozen_shared.assign([0.0 if trainable else 1.0])
        else:
            check_known_keys([task], self.task_names, "task")
            frozen = ops.convert_to_numpy(layer.frozen).copy()
            frozen[self.task_names.index(task)] = 0.0 if trainable else 1.0
            layer.frozen.assign(frozen)
        self.train_function = None  # holding weights is part of the traced step

    def _adapt_labels_once(self, x: Any, y: Any, steps: int | None) -> None:
        if self.outputs_layer.unadapted():
            adapt_labels(self, x, y, steps=steps, only_unknown=True)

    def _warn_of_weight_as_feature(self, sample_weight: Any) -> None:
        names = () if self.features is None else self.features.names
        if isinstance(sample_weight, str) and sample_weight in names:
            warnings.warn(
                f"Column {sample_weight!r} is the sample weight and a feature too; "
                "leave it out: `build_mtl_model(frame, tasks, features="
                f"TabularFeatures.from_frame(frame, exclude=[{sample_weight!r}]))`.",
                stacklevel=3,
            )
