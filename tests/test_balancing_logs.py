"""What a balanced model logs."""

import re

import keras
import numpy as np
import pytest
from balanced import TASKS, X, Y, balanced
from small import build, fit

from kmtl import BinaryTask
from kmtl.balancing import GLS, MGDA, FixedWeights

KINDS = ["gradient_cosine", "gradient_magnitude_similarity", "gradient_conflict"]
WEIGHTS = [f"{task.name}_weight" for task in TASKS]


class Seen(keras.callbacks.Callback):
    """What a callback of the user sees of a balanced model."""

    def __init__(self):
        super().__init__()
        self.epochs, self.weights = [], []

    def on_train_batch_end(self, batch, logs=None):
        del batch, logs
        self.weights.append([*self.model.task_weights.values()])

    def on_epoch_end(self, epoch, logs=None):
        del epoch, logs
        self.epochs.append(int(self.model.balancing_state.epoch))


def test_logs_of_fit():
    # The first epoch has no label at all, and "buy" none in the second batch.
    rows = np.tile(np.arange(12), 2)
    missing = np.repeat([True, False], 12)
    y = {name: np.where(missing, np.nan, values[rows]) for name, values in Y.items()}
    y["buy"][18:] = np.nan
    model, seen = balanced(MGDA()), Seen()
    stop = keras.callbacks.EarlyStopping("val_loss", patience=0, start_from_epoch=2)
    history = model.fit(
        X,
        y,
        batch_size=6,
        steps_per_epoch=2,
        epochs=3,
        shuffle=False,
        verbose=0,
        validation_data=(X, Y),
        callbacks=[seen, stop],
    ).history
    assert {len(values) for values in history.values()} == {len(seen.epochs)}
    assert seen.epochs[:2] == [1, 2]
    validation = {name for name in history if name.startswith("val_")}
    assert validation == {"val_loss", *(f"val_{task.name}_loss" for task in TASKS)}
    assert set(history) - validation == {
        *[name.removeprefix("val_") for name in validation],
        *WEIGHTS,
        *KINDS,
    }
    empty = [history[name][0] for name in (*WEIGHTS, *KINDS)]
    np.testing.assert_array_equal(empty, np.nan)
    for place, name in enumerate(WEIGHTS):
        steps = seen.weights[2:3] if name == "buy_weight" else seen.weights[2:4]
        expected = np.mean([step[place] for step in steps])
        assert history[name][1] == pytest.approx(expected, rel=1e-5)
    assert -1 <= history["gradient_cosine"][1] <= 1
    assert 0 <= history["gradient_conflict"][1] <= 1


def test_the_logged_total_is_that_of_loss_weights_alone():
    model = balanced(GLS(), loss_weights={"price": 3.0})
    logs = fit(model, X, Y)
    expected = sum(
        model.loss_weights[task.name] * logs[f"{task.name}_loss"] for task in TASKS
    )
    assert logs["loss"] == pytest.approx(expected, rel=1e-6)
    assert not set(KINDS) & set(logs)
    assert set(WEIGHTS) < set(logs)
    assert not set(WEIGHTS) & set(fit(balanced(FixedWeights()), X, Y))


def test_the_bar_shows_the_mean_weight_of_many_tasks(capsys):
    tasks = [BinaryTask(f"task_{i}") for i in range(12)]
    model = balanced(GLS(), tasks)
    y = {task.name: Y["buy"] for task in tasks}
    history = model.fit(X, y, verbose=2, batch_size=12).history
    shown = re.findall(r"(\w+): [\d.]+", capsys.readouterr().out)
    assert shown == ["loss", "mean_auc", "mean_loss", "mean_weight"]
    assert len(history) == 1 + 3 * 12


def test_a_metric_that_would_be_logged_as_the_weight_is_refused():
    metric = keras.metrics.BinaryAccuracy(name="weight")
    with pytest.raises(ValueError, match=r"none may be 'loss' or 'weight'.*'weight'"):
        build([BinaryTask("buy", metrics=[metric])])
