"""The one Keras metric that holds all losses and metrics of a model."""

import keras
import numpy as np
import pytest
from small import build, evaluate, some_inputs, some_labels, some_tasks

from kmtl import BinaryTask, RegressionTask


def test_directions_cover_every_metric_of_kmtl():
    tasks = [
        BinaryTask("a", metrics=["auc", "accuracy", "precision"]),
        RegressionTask("b", metrics=["r2", "rmse", keras.metrics.CosineSimilarity()]),
    ]
    assert build(tasks).task_metrics.directions == {
        "loss": "min",
        "a_loss": "min",
        "a_auc": "max",
        "a_accuracy": "max",
        "a_precision": "max",
        "b_loss": "min",
        "b_r2": "max",
        "b_rmse": "min",
        "b_cosine_similarity": "max",
    }


def test_a_reset_forgets_everything():
    model = build(some_tasks())
    evaluate(model, some_inputs(), some_labels(some_tasks()))
    model.reset_metrics()
    result = model.get_metrics_result()
    assert result.pop("loss") == 0.0
    assert np.isnan(list(result.values())).all()


def test_many_rows_add_up_without_drift():
    model = build([RegressionTask("price", standardize=False)])
    x = np.zeros((2**15, 4), "float32")
    y = {"price": np.full(2**15, 0.1)}
    logs = evaluate(model, x, y, batch_size=2**13)
    assert logs["price_mae"] == pytest.approx(0.1, rel=1e-5)


def test_metrics_are_not_part_of_the_saved_model(tmp_path):
    model = build(some_tasks())
    evaluate(model, some_inputs(), some_labels(some_tasks()))
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert np.isnan(loaded.get_metrics_result()["click_loss"])


def test_logs_are_plain_floats():
    model = build(some_tasks())
    logs = evaluate(model, some_inputs(), some_labels(some_tasks()))
    assert {type(value) for value in logs.values()} == {float}
