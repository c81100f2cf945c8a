"""Keras' own callbacks work with every name in the logs, `mode="auto"` included."""

import csv

import keras
import numpy as np
import pytest
from small import build, fit, some_inputs, some_labels, some_tasks

from kmtl import BinaryTask, RegressionTask

C = keras.callbacks
X = some_inputs(8)
TASKS = [BinaryTask("buy", metrics=["auc"]), RegressionTask("price", metrics=["r2"])]
Y = some_labels(TASKS, 8)
NAMES = ["loss", "buy_loss", "buy_auc", "price_loss", "price_r2"]
MONITORS = [*NAMES, *[f"val_{name}" for name in NAMES]]


class FakeLogs(C.Callback):
    """Puts values of one log, epoch by epoch, before the callbacks after it."""

    def __init__(self, name, values):
        super().__init__()
        self.name, self.values = name, values

    def on_epoch_end(self, epoch, logs=None):
        logs[self.name] = self.values[epoch]


def slow(value):
    return pytest.param(value, marks=pytest.mark.slow)


@pytest.fixture
def model():
    return build(TASKS)


def rising(name):
    return name.endswith(("auc", "r2"))


@pytest.mark.parametrize(
    "name",
    [
        "loss",
        slow("buy_auc"),
        "price_r2",
        slow("val_loss"),
        "val_buy_auc",
        "val_price_loss",
    ],
)
def test_early_stopping_knows_which_way_is_better(model, name):
    better = [0.1, 0.3, 0.2, 0.1] if rising(name) else [0.3, 0.1, 0.2, 0.3]
    stopping = C.EarlyStopping(name, patience=1)
    callbacks = [FakeLogs(name, better), stopping]
    history = model.fit(
        X, Y, epochs=4, verbose=0, validation_data=(X, Y), callbacks=callbacks
    )
    assert len(history.epoch) == 3
    assert stopping.best_epoch == 1


def test_early_stopping_brings_back_the_best_weights(model):
    values = [0.5, 0.9, 0.4, 0.3]
    stopping = C.EarlyStopping("val_buy_auc", patience=2, restore_best_weights=True)
    kept = []
    keep = C.LambdaCallback(on_epoch_end=lambda *_: kept.append(model.get_weights()))
    callbacks = [FakeLogs("val_buy_auc", values), keep, stopping]
    model.fit(X, Y, epochs=4, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    for ours, best in zip(model.get_weights(), kept[1], strict=True):
        np.testing.assert_array_equal(ours, best)


def test_nan_never_wins_early_stopping(model):
    values = [0.7, np.nan, 0.6, 0.5]
    stopping = C.EarlyStopping("val_buy_auc", patience=3)
    callbacks = [FakeLogs("val_buy_auc", values), stopping]
    model.fit(X, Y, epochs=4, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    assert stopping.best == 0.7


@pytest.mark.parametrize("name", ["val_loss", "buy_auc", slow("val_price_r2")])
def test_checkpoints_keep_the_best_epoch(model, tmp_path, name):
    values = [0.1, 0.9, 0.2] if rising(name) else [0.9, 0.1, 0.2]
    path = tmp_path / "best.keras"
    checkpoint = C.ModelCheckpoint(path, monitor=name, save_best_only=True)
    kept = []
    keep = C.LambdaCallback(on_epoch_end=lambda *_: kept.append(model.get_weights()))
    callbacks = [FakeLogs(name, values), keep, checkpoint]
    model.fit(X, Y, epochs=3, verbose=0, validation_data=(X, Y), callbacks=callbacks)
    best = keras.models.load_model(path)
    for ours, theirs in zip(best.get_weights(), kept[1], strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_checkpoint_files_are_named_by_the_metrics_of_tasks(model, tmp_path):
    path = str(tmp_path / "{epoch}-{buy_auc:.3f}.weights.h5")
    checkpoint = C.ModelCheckpoint(path, save_weights_only=True)
    logs = fit(model, X, Y, callbacks=[checkpoint])
    assert [p.name for p in tmp_path.iterdir()] == [
        f"1-{logs['buy_auc']:.3f}.weights.h5"
    ]


@pytest.mark.parametrize("name", ["val_buy_auc", slow("price_loss")])
def test_the_learning_rate_falls_on_a_plateau(model, name):
    values = [0.5, 0.6, 0.7] if rising(name) else [0.7, 0.6, 0.5]
    model.optimizer.learning_rate = 0.5
    options = {"epochs": 3, "verbose": 0, "validation_data": (X, Y)}
    plateau = C.ReduceLROnPlateau(name, factor=0.5, patience=1)
    model.fit(X, Y, callbacks=[FakeLogs(name, values), plateau], **options)
    assert float(model.optimizer.learning_rate) == 0.5
    plateau = C.ReduceLROnPlateau(name, factor=0.5, patience=1)
    model.fit(X, Y, callbacks=[FakeLogs(name, values[::-1]), plateau], **options)
    assert float(model.optimizer.learning_rate) < 0.5


def test_an_interrupted_training_goes_on(tmp_path):
    class Interrupt(C.Callback):
        def on_epoch_begin(self, epoch, logs=None):
            del logs
            if epoch == 2:
                raise KeyboardInterrupt

    whole = build(TASKS, optimizer="adam")
    fit(whole, X, Y, epochs=4)
    broken = build(TASKS, optimizer="adam")
    with pytest.raises(KeyboardInterrupt):
        fit(
            broken,
            X,
            Y,
            epochs=4,
            callbacks=[C.BackupAndRestore(tmp_path), Interrupt()],
        )
    again = build(TASKS, optimizer="adam", seed=1)
    again.adapt_labels(Y)
    fit(again, X, Y, epochs=4, callbacks=[C.BackupAndRestore(tmp_path)])
    for ours, theirs in zip(again.get_weights(), whole.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_csv_log_holds_every_name(model, tmp_path):
    logs = fit(
        model,
        X,
        Y,
        epochs=2,
        validation_data=(X, Y),
        callbacks=[C.CSVLogger(tmp_path / "log.csv")],
    )
    with (tmp_path / "log.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {"epoch", *MONITORS} <= set(rows[0])
    assert float(rows[1]["val_buy_auc"]) == pytest.approx(logs["val_buy_auc"])


def test_tensorboard_writes_every_name(model, tmp_path):
    written = []

    class Recorder(C.TensorBoard):
        def _write_keras_weights(self, *arguments):
            """Nothing: the weights are not asked for."""

        def on_epoch_end(self, epoch, logs=None):
            written.extend(logs)
            super().on_epoch_end(epoch, logs)

    fit(model, X, Y, validation_data=(X, Y), callbacks=[Recorder(str(tmp_path))])
    assert set(MONITORS) <= set(written)
    assert list(tmp_path.rglob("events.out.tfevents*"))


def test_a_history_holds_every_name(model):
    history = model.fit(X, Y, validation_data=(X, Y), epochs=2, verbose=0).history
    assert set(history) == set(MONITORS)
    assert {len(values) for values in history.values()} == {2}


def test_logs_of_a_callback_hold_the_exact_values(model):
    seen = {}
    record = C.LambdaCallback(on_epoch_end=lambda _, logs: seen.update(logs))
    assert fit(model, X, Y, callbacks=[record]) == seen


def test_a_mode_that_is_given_is_kept(model):
    stopping = C.EarlyStopping("buy_auc", mode="min", patience=5)
    fit(model, X, Y, callbacks=[stopping])
    assert stopping.mode == "min"


def test_one_callback_need_not_be_in_a_list(model):
    stopping = C.EarlyStopping("buy_auc", patience=5)
    fit(model, X, Y, callbacks=stopping)
    assert stopping.mode == "max"


def test_stopping_on_nan_is_left_to_the_user(model):
    fit(model, X, Y, callbacks=[C.TerminateOnNaN()])


def test_a_task_without_labels_does_not_stop_training():
    model = build(some_tasks())
    y = {"click": some_labels(some_tasks(), 8)["click"]}
    stopping = C.EarlyStopping("click_auc", patience=3)
    assert len(model.fit(X, y, epochs=2, verbose=0, callbacks=[stopping]).epoch) == 2
