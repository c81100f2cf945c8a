"""`TaskBoard` writes what TensorBoard's own reader finds."""

import sys

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import build, some_inputs, some_labels
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import kmtl
from kmtl.callbacks import CombinedScore, GradientConflict, TaskBoard

pytestmark = pytest.mark.slow

X = some_inputs(8)
TASKS = [kmtl.BinaryTask("a"), kmtl.BinaryTask("a_b"), kmtl.RegressionTask("price")]
Y = {**some_labels(TASKS, 8), "a_b": np.full(8, np.nan)}


def build_mixture():
    options = {"sharing": kmtl.sharing.MMoE(experts=2)}
    return build(TASKS, balancing=kmtl.balancing.GLS(), **options)


def read(path):
    """Steps and values by name, as TensorBoard's own reader finds them."""
    events = EventAccumulator(str(path)).Reload()
    return {
        tag: {e.step: tf.make_ndarray(e.tensor_proto) for e in events.Tensors(tag)}
        for tag in events.Tags()["tensors"]
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The directory of a training of two epochs, and its history."""
    path = tmp_path_factory.mktemp("run")
    model, conflict = build_mixture(), GradientConflict(every=1)
    pictures = {
        "gates": lambda model: kmtl.analysis.task_relations(model, X).plot(),
        "cosine": lambda _: conflict.cosine[-1],
    }
    board = TaskBoard(path, pictures=pictures, every=2)
    score = CombinedScore(["price_mae"])
    y = {name: Y[name] for name in ("a", "price")}
    data = {"epochs": 2, "verbose": 0, "validation_data": (X, y)}
    history = model.fit(X, y, callbacks=[board, conflict, score], **data).history
    return path, history


def test_a_chart_a_task_and_metric_holds_training_and_validation(run):
    path, history = run
    for part, prefix in (("train", ""), ("validation", "val_")):
        written = read(path / part)["price/mae"]
        expected = dict(enumerate(history[f"{prefix}price_mae"]))
        assert written == pytest.approx(expected)


def test_names_are_grouped_by_task_and_the_rest_keeps_its_name(run):
    path, _ = run
    train, validation = (set(read(path / part)) for part in ("train", "validation"))
    metrics = {"loss", "a/loss", "a/auc", "price/loss", "price/mae"}
    assert metrics | {"a/weight", "price/weight"} <= train
    assert metrics | {"combined_score"} == validation
    assert not [name for name in train if "a_b" in name]  # NaN in every epoch


def test_pictures_are_drawn_as_often_as_asked(run):
    path, _ = run
    written = read(path / "train")
    assert list(written["gates"]) == list(written["cosine"]) == [0]
    width, height, png = written["cosine"][0]
    pixels = tf.io.decode_png(png).numpy()
    assert pixels.shape == (int(height), int(width), 4)
    assert len(np.unique(pixels)) > 20


def test_what_is_no_figure_is_refused(tmp_path):
    model = build(TASKS[:1])
    board = TaskBoard(tmp_path, pictures={"odd": lambda _: 3})
    with pytest.raises(TypeError, match=r"`pictures\['odd'\]` must return .*int"):
        model.fit(X, {"a": Y["a"]}, verbose=0, callbacks=[board])


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"every": 0}, ValueError, "`every` must be a positive integer"),
        ({"pictures": [len]}, TypeError, "`pictures` must be a dict of functions"),
        ({"pictures": {"a": pd.DataFrame()}}, TypeError, "a function of the model"),
        ({"log_dir": 3}, TypeError, "`log_dir` must be a path"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, options, error, message):
    with pytest.raises(error, match=message):
        TaskBoard(**{"log_dir": tmp_path, **options})


def test_it_says_what_it_needs(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[tensorboard\]'"):
        TaskBoard(tmp_path)
