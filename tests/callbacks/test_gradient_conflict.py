"""`GradientConflict` records what an independent computation of gradients finds."""

import sys

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import build, evaluate, fit, some_inputs

import kmtl
from kmtl import BinaryTask, RegressionTask
from kmtl.callbacks import GradientConflict
from kmtl.callbacks._gradient_plot import plot_gradients

X = some_inputs(12)


def standing(tasks, **options):
    """A model whose weights stay as they are."""
    return build(tasks, optimizer=keras.optimizers.SGD(0.0), **options)


def three_tasks():
    return [BinaryTask("a"), BinaryTask("b"), BinaryTask("c", loss_weight=3.0)]


def three_labels(rows=12):
    draws = np.random.default_rng(3).integers(0, 2, (rows, 3)).astype(float)
    return {name: draws[:, i].copy() for i, name in enumerate("abc")}


def record(model, y, x=X, *, every=1, at="representation", **options):
    conflict = GradientConflict(at=at, every=every)
    fit(model, x, y, callbacks=[conflict], **options)
    return conflict


def gramian_by_hand(model, y, rows=slice(None), *, at="representation"):
    """Inner products of the gradients of the tasks' weighted mean losses."""
    loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
    with tf.GradientTape(persistent=True) as tape:
        shared = model.encoder(X[rows])
        tape.watch(shared)
        logits = model.heads(shared)[..., 0]
        losses = [
            model.loss_weights[name] * loss_of(y[name][rows], logits[:, i])
            for i, name in enumerate(model.task_names)
        ]
    weights = [v.value for v in model.encoder.trainable_variables]
    sources = [shared] if at == "representation" else weights
    gradients = [tape.gradient(loss, sources) for loss in losses]
    flat = np.stack([np.concatenate([*map(np.ravel, g)]) for g in gradients])
    return flat @ flat.T


def compared(gramian):
    """Cosines, similarities of lengths and conflicts."""
    d = np.sqrt(np.diag(gramian))
    cosine = gramian / np.outer(d, d)
    similarity = 2 * np.outer(d, d) / (d[:, None] ** 2 + d**2)
    return np.stack([cosine, similarity, cosine < 0])


def recorded(conflict):
    frames = conflict.cosine, conflict.magnitude_similarity, conflict.conflict
    return np.stack([kind[-1].to_numpy() for kind in frames])


@pytest.fixture
def opposed():
    """Two tasks whose gradients point in opposite directions, and labels for them."""
    tasks = [RegressionTask(n, standardize=False) for n in "ab"]
    model = standing(tasks, loss_weights={"b": 3.0})
    head = next(v for v in model.layers if isinstance(v, kmtl.layers.TaskDense))
    head.set_weights([w[[0, 0]] for w in head.get_weights()])
    values = model.predict(X, verbose=0)["a"][:, 0]
    return model, {"a": values + 1.0, "b": values - 1.0}


def test_opposed_tasks_conflict(opposed):
    conflict = record(*opposed)
    frame = conflict.cosine[-1]
    assert list(frame.index) == list(frame.columns) == ["a", "b"]
    np.testing.assert_allclose(frame, [[1, -1], [-1, 1]], rtol=1e-5)
    np.testing.assert_array_equal(conflict.conflict[-1], [[0, 1], [1, 0]])
    # Lengths 1 and 3: 2 * 1 * 3 / (1 + 9).
    assert conflict.magnitude_similarity[-1].loc["a", "b"] == pytest.approx(0.6)


@pytest.mark.parametrize(("every", "steps"), [(1, [0, 1, 2]), (2, [0, 2])])
def test_values_are_means_over_the_recorded_steps(every, steps):
    model, y = standing(three_tasks()), three_labels()
    conflict = record(model, y, every=every, batch_size=4)
    rows = [slice(4 * step, 4 * step + 4) for step in steps]
    by_hand = [compared(gramian_by_hand(model, y, part)) for part in rows]
    np.testing.assert_allclose(recorded(conflict), np.mean(by_hand, 0), atol=1e-5)


def test_over_shared_weights_too():
    model, y = standing(three_tasks()), three_labels()
    conflict = record(model, y, at="shared")
    expected = compared(gramian_by_hand(model, y, at="shared"))
    np.testing.assert_allclose(recorded(conflict), expected, atol=1e-5)


def test_the_condition_number_is_that_of_the_gramian():
    model, y = standing(three_tasks()), three_labels()
    conflict = record(model, y, at="shared")
    expected = np.linalg.cond(gramian_by_hand(model, y, at="shared"))
    assert conflict.condition_number == [pytest.approx(expected, rel=1e-4)]


def test_tasks_without_labels_are_no_part_of_the_condition_number():
    model, y = standing(three_tasks()), three_labels()
    conflict = record(model, {name: y[name] for name in "ac"}, at="shared")
    others = gramian_by_hand(model, three_labels(), at="shared")[np.ix_([0, 2], [0, 2])]
    expected = np.linalg.cond(others)
    assert conflict.condition_number == [pytest.approx(expected, rel=1e-4)]


def test_training_is_what_it_is_without():
    watched, plain = build(three_tasks()), build(three_tasks())
    y = three_labels()
    y["b"][:5] = np.nan
    record(watched, y, every=2, epochs=2, batch_size=4)
    fit(plain, X, y, epochs=2, batch_size=4)
    for ours, theirs in zip(watched.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_epochs_are_apart_and_validation_leaves_them_alone():
    y = three_labels()
    model, other = build(three_tasks()), build(three_tasks())
    both = record(model, y, epochs=2, validation_data=(X, y))
    first = record(other, y)
    second = record(other, y, epochs=2, initial_epoch=1)
    assert (both.epochs, first.epochs, second.epochs) == ([0, 1], [0], [1])
    np.testing.assert_array_equal(both.cosine[0], first.cosine[0])
    np.testing.assert_array_equal(both.cosine[1], second.cosine[0])


def test_a_pair_that_is_never_labelled_together_is_nan():
    y = three_labels()
    y["a"][:6], y["b"][6:] = np.nan, np.nan
    conflict = record(build(three_tasks()), y, batch_size=6)
    expected = [[False, True, False], [True, False, False], [False, False, False]]
    np.testing.assert_array_equal(conflict.cosine[-1].isna(), expected)
    np.testing.assert_array_equal(conflict.conflict[-1].isna(), expected)


def test_it_agrees_with_the_logs_of_a_method_by_gradients():
    model = build(three_tasks(), balancing=kmtl.balancing.UPGrad())
    conflict = GradientConflict(every=1)
    logs = fit(model, X, three_labels(), callbacks=[conflict], batch_size=4)
    pairs = conflict.cosine[-1].to_numpy()[~np.eye(3, dtype=bool)]
    assert logs["gradient_cosine"] == pytest.approx(pairs.mean(), rel=1e-5)


def test_an_interrupted_fit_records_no_longer():
    model, y, conflict = build(three_tasks()), three_labels(), GradientConflict()
    stop = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(model, X, y, callbacks=[conflict, stop])
    recorder = conflict._recorder
    fit(model, X, y)
    assert np.isnan(recorder.record.matrices()["cosine"]).all()


@pytest.mark.slow
def test_traced_with_several_kinds_of_heads():
    tasks = [BinaryTask("a"), RegressionTask("b"), BinaryTask("c")]
    model, y = standing(tasks, head_units=(4,)), three_labels()
    eager = record(model, y, every=2, batch_size=4)
    model.compile(run_eagerly=False, steps_per_execution=3)
    model.compile(balancing=kmtl.balancing.FAMO())  # has a second forward pass
    traced = record(model, y, every=2, batch_size=4)
    np.testing.assert_allclose(recorded(traced), recorded(eager), atol=1e-5)


@pytest.mark.slow
def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = standing(three_tasks())
    finally:
        keras.config.set_dtype_policy("float32")
    y = three_labels()
    twin = standing(three_tasks())
    twin.set_weights(model.get_weights())
    halves, wholes = recorded(record(model, y)), recorded(record(twin, y))
    np.testing.assert_allclose(halves[:2], wholes[:2], atol=0.01)


def test_one_task():
    conflict = record(build([BinaryTask("a")]), {"a": three_labels()["a"]})
    np.testing.assert_allclose(conflict.cosine[-1], [[1.0]], rtol=1e-6)


def test_recording_starts_and_ends_with_fit():
    model, y, conflict = build(three_tasks()), three_labels(), GradientConflict()
    evaluate(model, X, y, callbacks=[conflict])
    assert conflict.epochs == []
    fit(model, X, y, callbacks=[conflict], epochs=2)
    fit(model, X, y)
    assert conflict.epochs == [0, 1]
    fit(model, X, y, callbacks=[conflict])
    assert conflict.epochs == [0]  # anew


def test_what_shares_nothing_is_refused():
    trunk = {"trunk": kmtl.trunks.MLP([4])}
    soft = build(three_tasks(), sharing=kmtl.sharing.Soft(), **trunk)
    with pytest.raises(ValueError, match="each task has weights of its own"):
        record(soft, three_labels())
    stitched = build(three_tasks(), sharing=kmtl.sharing.CrossStitch(), **trunk)
    with pytest.raises(ValueError, match='`at="shared"`'):
        record(stitched, three_labels())
    assert record(stitched, three_labels(), at="shared").epochs == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"at": "represent"}, "`at` must be one of .* Did you mean 'representation'"),
        ({"every": 0}, "`every` must be a positive integer. Received: 0"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GradientConflict(**options)


def test_two_at_once_are_refused():
    both = [GradientConflict(), GradientConflict(at="shared")]
    with pytest.raises(ValueError, match="at most one `GradientConflict`"):
        fit(build(three_tasks()), X, three_labels(), callbacks=both)


def test_a_plot_is_drawn_and_saved(tmp_path):
    model = build(three_tasks(), balancing=kmtl.balancing.GLS())
    figure = record(model, three_labels()).plot(tmp_path / "conflict.png")
    assert (tmp_path / "conflict.png").stat().st_size > 10_000
    weights = {axes.get_title(): axes for axes in figure.axes}["weights of the tasks"]
    assert [line.get_label() for line in weights.get_lines()[:3]] == ["a", "b", "c"]


def test_a_plot_before_fit_is_refused():
    with pytest.raises(ValueError, match="pass the callback to `fit` first"):
        GradientConflict().plot()


@pytest.mark.parametrize("count", [1, 2, 40, 70])
def test_a_plot_of_any_number_of_tasks_and_of_pairs_never_seen(count):
    names = [f"task {number}" for number in range(count)]
    frame = pd.DataFrame(np.where(np.eye(count), 1.0, np.nan), names, names)
    kinds = {"cosine": [frame, frame], "conflict rate": [frame, frame]}
    figure = plot_gradients(kinds, pd.DataFrame(index=[3, 4]))
    figure.draw_without_rendering()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["cosine of gradients, epoch 5", "conflict rate, epoch 5"]
    assert "weights of the tasks" not in titles


def test_a_plot_says_what_it_needs(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    frames = [pd.DataFrame(np.eye(2))]
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[plot\]'"):
        plot_gradients({"cosine": frames, "conflict rate": frames}, frames[0])
