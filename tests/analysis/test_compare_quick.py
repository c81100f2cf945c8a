"""`kmtl.compare` from end to end, and its errors, in little time."""

import sys

import keras
import numpy as np
import pytest
from comparing import build, compare, some_rows

import kmtl
from kmtl.analysis._runs import Run, Study


def test_a_comparison_trains_and_measures_and_goes_on(tmp_path):
    tasks = [
        kmtl.RegressionTask("price", loss_weight=100.0),
        kmtl.BinaryTask("sold", metrics=[keras.metrics.AUC(name="mine")]),
    ]
    found = compare(tasks=tasks, seeds=1, folder=tmp_path)
    assert found.metrics == {"price": "mae", "sold": "mine"}
    assert [*found.gains["kind"]] == ["%", "points"]
    assert np.isfinite(found.runs["value"]).all()
    again = compare(tasks=tasks, seeds=1, folder=tmp_path)
    assert again.runs.equals(found.runs)


@pytest.mark.parametrize("verbose", [False, True])
def test_a_learning_rate_that_diverges_is_not_chosen(monkeypatch, verbose):
    def fit(*arguments):
        _, _, tasks, parts, rate, clock = arguments
        clock.seconds = 1.0
        if rate > 1:
            raise FloatingPointError("not finite")
        return 0.5, 3, build(parts[0].x, tasks, 0)

    monkeypatch.setattr(Study, "_fit", fit)
    monkeypatch.setattr(Study, "_values", lambda *_: {"price": 1.0, "sold": 1.0})
    runs = compare(seeds=1, learning_rates=[1e30, 0.1], verbose=verbose).runs
    assert runs["epochs"].eq(3).all()
    with pytest.raises(FloatingPointError, match="not finite"):
        compare(seeds=1, learning_rates=[1e30], verbose=verbose)


@pytest.mark.parametrize(
    ("task", "labels", "message"),
    [
        (
            kmtl.BinaryTask("t", metrics=[keras.metrics.AUC(name="mine")]),
            np.ones(60),
            "labels of both classes of task 't'",
        ),
        (
            kmtl.RegressionTask("t", metrics=["r2"]),
            np.full(60, 3.0),
            "two different labels of task 't'",
        ),
    ],
)
def test_a_metric_that_cannot_be_measured_is_refused_before_training(
    monkeypatch, task, labels, message
):
    monkeypatch.setattr(Study, "train", None)
    x, y = some_rows()
    with pytest.raises(ValueError, match=message):
        compare((x, {"t": y["price"] > 0}), [task], test=(x, {"t": labels}))


@pytest.mark.parametrize(
    ("kind", "message"),
    [("auc", "labels there that are not all the same"), ("mine", "has none for the")],
)
def test_a_metric_without_a_value_says_why(monkeypatch, kind, message):
    found = {"values": {"t": float("nan")}}
    monkeypatch.setattr(Study, "try_out", lambda *_: found)
    study = Study((), {}, (), (), {"t": "mine"}, {}, 1, (), {"t": kind})
    with pytest.raises(ValueError, match=f"Metric 'mine' of task 't'.*{message}"):
        study.train(Run(0, "multi-task", None))


def test_jobs_need_a_program_that_others_can_read(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr(main, "__file__", "<stdin>", raising=False)
    monkeypatch.setattr(main, "__spec__", None)
    with pytest.raises(ValueError, match=r"save it in a file.*Received: <stdin>"):
        compare(jobs=2)
