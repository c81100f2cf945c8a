"""A loss that becomes NaN or infinite names its task and its batch."""

import keras
import numpy as np
import pytest
from small import build, evaluate, fit, some_inputs, some_labels

from kmtl import BinaryTask, RegressionTask

X = some_inputs()


def log_of(y_true, y_pred):
    """Infinite for a label of 0."""
    return keras.ops.log(y_true)[:, 0] + 0.0 * y_pred[:, 0]


TASKS = [BinaryTask("buy"), RegressionTask("price", standardize=False, loss=log_of)]


def labels(zero_at):
    y = some_labels(TASKS)
    y["price"][zero_at] = 0.0
    return y


@pytest.mark.parametrize(("row", "batch"), [(0, 1), (9, 2), (23, 3)])
def test_the_task_and_the_batch_are_named(row, batch):
    message = rf"task 'price' is not finite at batch {batch} of epoch 1\..*\['price'\]"
    with pytest.raises(FloatingPointError, match=message):
        fit(build(TASKS), X, labels(row), batch_size=8)


def test_the_epoch_is_named():
    model = build(TASKS)
    fit(model, X, labels([]))
    callbacks = keras.callbacks.LambdaCallback(
        on_epoch_begin=lambda epoch, _: epoch == 1 and model.set_weights(bad)
    )
    bad = [np.full_like(w, np.inf) for w in model.get_weights()]
    with pytest.raises(FloatingPointError, match="of epoch 2"):
        fit(model, X, labels([]), epochs=3, callbacks=[callbacks])


def test_no_checkpoint_is_written_of_broken_weights(tmp_path):
    checkpoint = keras.callbacks.ModelCheckpoint(tmp_path / "model.keras")
    with pytest.raises(FloatingPointError):
        fit(build(TASKS), X, labels(0), callbacks=[checkpoint])
    assert list(tmp_path.iterdir()) == []


def test_a_missing_label_is_not_an_infinite_loss():
    y = labels(0)
    y["price"][0] = np.nan
    assert np.isfinite(fit(build(TASKS), X, y)["loss"])


def test_a_long_epoch_is_stopped_before_its_end():
    seen = []
    count = keras.callbacks.LambdaCallback(
        on_train_batch_end=lambda batch, logs: seen.append((batch, logs))
    )
    y = {"price": np.r_[0.0, np.ones(119)]}
    with pytest.raises(FloatingPointError, match="at batch 1 of"):
        fit(build(TASKS[1:]), some_inputs(120), y, batch_size=1, callbacks=[count])
    assert len(seen) < 60


def test_evaluation_reports_what_it_finds():
    logs = evaluate(build(TASKS), X, labels(0))
    assert logs["price_loss"] == -np.inf
