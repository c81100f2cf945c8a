"""`task_affinity` tells related tasks from others, and leaves the model as it is."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import TRUNK

import kmtl
from kmtl.analysis import suggest_groups, task_affinity
from kmtl.callbacks import GradientConflict, TaskAffinity
from kmtl.testing import make_related_tasks

pytestmark = pytest.mark.slow

MADE = make_related_tasks((2, 1), rows=60, features=4)
OPTIONS = {"epochs": 2, "every": 2, "batch_size": 30, "shuffle": False}


def new_model(made=MADE, **options):
    keras.utils.set_random_seed(0)
    options = {"trunk": TRUNK, "optimizer": keras.optimizers.Adam(0.01), **options}
    model = kmtl.build_mtl_model(made.x.shape[1:], made.tasks, **options)
    model.compile(run_eagerly=len(made.x) < 100)
    return model


def state_of(model):
    state = model.balancing_state
    return [
        keras.ops.convert_to_numpy(variable).copy()
        for variable in [
            *model.variables,
            *model.optimizer.variables,
            *([] if state is None else state.variables),
        ]
    ]


@pytest.fixture(scope="module")
def measured():
    return task_affinity(new_model(), MADE.x, MADE.y, **OPTIONS)


def test_frames_are_of_tasks_by_tasks(measured):
    frames = [
        measured.affinity,
        measured.gradient_cosine,
        measured.magnitude_similarity,
        measured.label_correlation,
        measured.label_overlap,
    ]
    for frame in frames:
        assert list(frame.index) == list(frame) == list(MADE.y)
        assert np.isfinite(frame).all(axis=None)
    assert measured.condition_number >= 1


def test_it_is_what_the_callbacks_record(measured):
    affinity, conflict = TaskAffinity(every=2), GradientConflict(at="shared", every=2)
    options = {k: v for k, v in OPTIONS.items() if k != "every"}
    callbacks = [affinity, conflict]
    new_model().fit(MADE.x, MADE.y, callbacks=callbacks, verbose=0, **options)
    expected = np.mean([frame.to_numpy() for frame in affinity.affinity], axis=0)
    np.testing.assert_array_equal(measured.affinity, expected)
    cosine = np.mean([frame.to_numpy() for frame in conflict.cosine], axis=0)
    np.testing.assert_array_equal(measured.gradient_cosine, cosine)
    by_epoch = np.log(conflict.condition_number)
    assert np.ptp(by_epoch) > 0
    assert measured.condition_number == pytest.approx(np.exp(np.mean(by_epoch)))


def test_early_stopping_ends_it(measured):
    stop = keras.callbacks.EarlyStopping("val_loss", mode="max")  # in the second epoch
    options = {**OPTIONS, "epochs": 9, "validation_data": (MADE.x, MADE.y)}
    found = task_affinity(new_model(), MADE.x, MADE.y, callbacks=[stop], **options)
    np.testing.assert_array_equal(found.affinity, measured.affinity)


@pytest.mark.parametrize(
    "method",
    ["FixedWeights", "FAMO"],
)
def test_the_model_stays_as_it_is(method):
    model = new_model(balancing=getattr(kmtl.balancing, method)())
    model.fit(MADE.x, MADE.y, verbose=0, batch_size=30)
    before = state_of(model)
    task_affinity(model, MADE.x, MADE.y, **OPTIONS)
    for ours, theirs in zip(state_of(model), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_an_interruption_leaves_the_model_too():
    model = new_model()
    model.optimizer.build(model.trainable_variables)
    before = state_of(model)
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        task_affinity(model, MADE.x, MADE.y, callbacks=[stop], **OPTIONS)
    for ours, theirs in zip(state_of(model), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_history_and_the_end_of_a_training_stay_too():
    model = new_model()
    stop = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda *_: setattr(model, "stop_training", True)
    )
    task_affinity(model, MADE.x, MADE.y, callbacks=[stop], **OPTIONS)
    assert not model.stop_training
    assert "history" not in vars(model)
    history = model.fit(MADE.x, MADE.y, verbose=0, batch_size=60)
    task_affinity(model, (MADE.x, MADE.y), **{**OPTIONS, "epochs": 1})
    assert model.history is history


def test_inputs_and_labels_may_be_a_pair(measured):
    found = task_affinity(new_model(), (MADE.x, MADE.y), **OPTIONS)
    pd.testing.assert_frame_equal(found.affinity, measured.affinity)
    pd.testing.assert_frame_equal(found.label_overlap, measured.label_overlap)


def test_a_dataset_is_taken_as_fit_takes_it(measured):
    dataset = tf.data.Dataset.from_tensor_slices((MADE.x, MADE.y)).batch(30)
    found = task_affinity(new_model(), dataset, epochs=2, every=2)
    np.testing.assert_allclose(found.affinity, measured.affinity, rtol=1e-4, atol=1e-8)
    np.testing.assert_allclose(found.label_overlap, measured.label_overlap)


def test_a_frame_is_taken_as_fit_takes_it():
    by_frame = kmtl.build_mtl_model(MADE.frame, MADE.tasks, trunk=TRUNK)
    by_frame.compile(run_eagerly=True)
    found = task_affinity(by_frame, MADE.frame, epochs=1)
    assert np.isfinite(found.affinity).all(axis=None)


def test_little_overlap_is_warned_of_by_name():
    made = make_related_tasks((2, 1), rows=60, features=4)
    made.y["g1_1"][:50] = np.nan
    with pytest.warns(UserWarning, match=r"'g1_1 and g1_2 \(17%\)', 'g1_1 and g2_1"):
        task_affinity(new_model(made), made.x, made.y, epochs=1, batch_size=60)


def test_a_picture_shows_what_was_measured(measured, tmp_path):
    figure = measured.plot(tmp_path / "affinity.png")
    assert (tmp_path / "affinity.png").stat().st_size > 10_000
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[0].startswith("affinity, in 1e-")
    assert "share of rows labelled for both" in titles


def test_wrong_arguments_are_refused():
    model = new_model()
    with pytest.raises(TypeError, match="`model` must be an MTLModel"):
        task_affinity(MADE.frame, model)
    with pytest.raises(ValueError, match="`epochs` must be a positive integer"):
        task_affinity(model, MADE.x, MADE.y, epochs=0)
    soft = new_model(sharing=kmtl.sharing.Soft())
    with pytest.raises(
        ValueError, match=r"`kmtl\.analysis\.label_correlation` needs no"
    ):
        task_affinity(soft, MADE.x, MADE.y, epochs=1)


def measured_groups(kind, seed):
    made = make_related_tasks(
        (3, 2, 1), opposed=1, rows=4000, noise=0.2, kind=kind, seed=seed
    )
    rate = keras.optimizers.Adam(0.003)
    model = new_model(made, trunk=kmtl.trunks.MLP([32]), optimizer=rate)
    found = task_affinity(model, made.x, made.y, epochs=10, every=5, batch_size=64)
    return made, found


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("kind", ["binary", "regression"])
def test_the_true_groups_are_recovered(kind, seed):
    made, found = measured_groups(kind, seed)
    related = made.relations.abs().to_numpy() > 0
    others = ~np.eye(len(related), dtype=bool)
    for frame in (found.affinity, found.gradient_cosine):
        values = frame.to_numpy()
        assert values[related & others].min() > values[~related].max()
    assert set(suggest_groups(found, groups=3).groups) == set(made.groups)
    # Heads turn opposed tasks back: only labels tell them from the others.
    assert found.label_correlation.loc["g1_1", "g1_3"] < -0.3
    assert found.affinity.loc["g1_1", "g1_3"] > 0
