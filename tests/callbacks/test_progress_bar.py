"""The bar shows every number of a few tasks, and means over many."""

import re

import numpy as np
import pytest
from small import build, fit, some_inputs, some_labels

from kmtl import BinaryTask, RegressionTask

FEW = [BinaryTask("buy"), RegressionTask("price", standardize=False)]
MANY = [BinaryTask(f"task_{i}") for i in range(12)]


def shown(capsys, tasks, verbose, **options):
    model = build(tasks)
    x, y = some_inputs(), some_labels(tasks)
    history = model.fit(x, y, verbose=verbose, batch_size=8, **options).history
    text = capsys.readouterr().out
    logs = {name: values[-1] for name, values in history.items()}
    # The last state of the line is what stays on the screen.
    pairs = re.findall(r"([\w-]+): (-?[\d.]+(?:e-?\d+)?|nan)", text)
    return {name: float(value) for name, value in pairs}, logs


@pytest.mark.parametrize("verbose", [1, 2])
def test_a_few_tasks_are_shown_in_full(capsys, verbose):
    numbers, logs = shown(capsys, FEW, verbose)
    assert numbers == pytest.approx(logs, abs=1e-4)


@pytest.mark.parametrize("verbose", [1, 2])
def test_many_tasks_are_shown_as_means(capsys, verbose):
    numbers, logs = shown(capsys, MANY, verbose)
    assert set(numbers) == {"loss", "mean_loss", "mean_auc"}
    mean = np.mean([logs[f"{task.name}_auc"] for task in MANY])
    assert numbers["mean_auc"] == pytest.approx(mean, abs=1e-4)
    assert numbers["loss"] == pytest.approx(logs["loss"], abs=1e-4)


def test_validation_has_means_of_its_own(capsys):
    data = some_inputs(), some_labels(MANY)
    numbers, logs = shown(capsys, MANY, 2, validation_data=data)
    mean = np.mean([logs[f"val_{task.name}_loss"] for task in MANY])
    assert numbers["val_mean_loss"] == pytest.approx(mean, abs=1e-4)
    names = {"val_loss", "val_mean_loss", "val_mean_auc"}
    assert names < set(numbers)
    assert len(numbers) == 6


def test_means_leave_out_tasks_without_labels(capsys):
    model = build(MANY)
    y = some_labels(MANY)
    del y["task_0"]
    logs = fit(model, some_inputs(), y)
    model.evaluate(some_inputs(), y, verbose=2)
    text = capsys.readouterr().out
    assert np.isnan(logs["task_0_auc"])
    assert "nan" not in text


def test_the_history_and_evaluate_hold_every_task(capsys):
    _, logs = shown(capsys, MANY, 1)
    assert {f"{task.name}_auc" for task in MANY} < set(logs)


def test_nothing_is_shown_when_silent(capsys):
    shown(capsys, FEW, 0)
    model = build(FEW)
    model.evaluate(some_inputs(), some_labels(FEW), verbose=0)
    assert capsys.readouterr().out == ""
