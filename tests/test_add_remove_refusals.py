"""`add_task` and `remove_task`: what does not fit is refused by name."""

import keras
import pandas as pd
import pytest
from growing import (
    TRUNK,
    X,
    Y,
    assert_kept,
    model_of,
    new_task,
)
from small import some_tasks

import kmtl
from kmtl import sharing


@pytest.fixture(scope="module")
def hard():
    model = model_of()
    model.train_on_batch(X, Y)
    return model


@pytest.mark.parametrize(
    ("task", "options", "message"),
    [
        (kmtl.BinaryTask("buy"), {}, r"must be unique. Repeated: \['buy'\]"),
        (new_task(condition_on="by"), {}, "unknown task. Received: 'by'"),
        (kmtl.MulticlassTask("new"), {}, "`classes`"),
        (new_task(), {"train": "tower"}, r"one of \['head', 'all'\]"),
        (new_task(), {"distill": 1.0}, "train='all'"),
        (new_task(), {"distill": -1.0, "train": "all"}, "must be positive"),
    ],
)
def test_a_task_that_does_not_fit_is_refused(hard, task, options, message):
    with pytest.raises(ValueError, match=message):
        kmtl.add_task(hard, task, **options)


def test_a_task_whose_label_is_a_feature_is_refused():
    columns = {"age": [20.0, 30.0], "buy": [0, 1], "rich": [0, 1]}
    frame = pd.DataFrame({name: 4 * values for name, values in columns.items()})
    model = kmtl.build_mtl_model(frame, [kmtl.BinaryTask("buy")], trunk=TRUNK)
    with pytest.raises(ValueError, match="'rich' is the label of task 'rich'"):
        kmtl.add_task(model, kmtl.BinaryTask("rich"))


def test_a_regularizer_that_does_not_know_the_task_is_named():
    names = ["click", "colour", "price", "buy"]
    groups = {"a": names[:2], "b": names[2:]}
    soft = sharing.Soft(kmtl.regularizers.Hierarchical(groups=groups))
    model = model_of(sharing=soft)
    with pytest.raises(ValueError, match=r"cannot fit the sharing.*'new'"):
        kmtl.add_task(model, new_task())
    assert_kept(model, kmtl.remove_task(model, "click"))


@pytest.mark.parametrize(
    ("tasks", "name", "message"),
    [
        (some_tasks(), "by", "unknown task. Received: 'by'. Did you mean 'buy'"),
        (some_tasks()[:1], "click", "needs a task that is predicted"),
        ([*some_tasks(), new_task(condition_on="buy")], "buy", r"\['new'\] refer"),
        ([*some_tasks(), new_task(only_if="buy")], "buy", r"\['new'\] refer"),
    ],
)
def test_a_task_that_must_stay_is_not_removed(tasks, name, message):
    with pytest.raises(ValueError, match=message):
        kmtl.remove_task(model_of(tasks=tasks), name)


def test_only_models_of_kmtl_have_tasks():
    with pytest.raises(TypeError, match="`model` must be an MTLModel"):
        kmtl.add_task(keras.Sequential(), new_task())
    with pytest.raises(TypeError, match="`model` must be an MTLModel"):
        kmtl.remove_task(keras.Sequential(), "new")
