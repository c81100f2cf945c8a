"""`TaskAffinity` records what steps taken by hand do to the losses."""

import types

import keras
import numpy as np
import pytest
from small import build, evaluate, fit, some_inputs

import kmtl
from kmtl import BinaryTask
from kmtl.callbacks import GradientConflict, TaskAffinity
from kmtl.metrics._affinity_record import AffinityRecord

pytestmark = pytest.mark.slow

X = some_inputs(12)
RATE = 0.5


def three_tasks():
    return [BinaryTask(name, metrics=[]) for name in "abc"]


def three_labels():
    draws = np.random.default_rng(3).integers(0, 2, (12, 3)).astype(float)
    return {name: draws[:, i].copy() for i, name in enumerate("abc")}


def model_of(tasks=None, **options):
    options = {"optimizer": keras.optimizers.SGD(RATE), **options}
    return build(tasks or three_tasks(), **options)


def record(model, y, *, every=1, step_size=None, **options):
    affinity = TaskAffinity(every=every, step_size=step_size)
    fit(model, X, y, callbacks=[affinity], **options)
    return affinity


def losses_of(model, y):
    logs = evaluate(model, X, y)
    return np.array([logs[f"{name}_loss"] for name in "abc"])


def affinity_by_hand(y):
    """Trains what tasks share of a model on one task, one step, heads held."""
    rows = []
    for name in "abc":
        model = model_of()
        before = losses_of(model, y)
        model.loss_weights = {n: float(n == name) for n in "abc"}
        for other in "abc":
            model.set_trainable(other, False)
        fit(model, X, y)
        rows.append(1 - losses_of(model, y) / before)
    return np.stack(rows)


def test_values_are_those_of_steps_taken_by_hand():
    y = three_labels()
    frame = record(model_of(), y).affinity[-1]
    assert list(frame.index) == list(frame.columns) == ["a", "b", "c"]
    np.testing.assert_allclose(frame, affinity_by_hand(y), rtol=1e-4, atol=1e-6)


def test_a_step_is_as_long_as_the_loss_weight_and_the_step_size_say():
    y = three_labels()
    plain = record(model_of(), y, step_size=4.0).affinity[-1]
    weighted = record(model_of(loss_weights={"a": 8.0, "b": 0.0}), y).affinity[-1]
    np.testing.assert_allclose(weighted.loc["a"], plain.loc["a"], rtol=1e-5)
    # A task of weight 0 takes no step, and is changed by those of others.
    assert weighted.loc["b"].isna().all()
    assert weighted["b"].notna().tolist() == [True, False, True]


def test_a_mean_is_over_the_steps_in_which_a_pair_was_seen():
    record, nan = AffinityRecord(["a", "b"]), np.nan
    for step in ([[1.0, nan], [nan, 2.0]], [[3.0, 4.0], [nan, nan]]):
        record.update_state(keras.ops.convert_to_tensor(step, "float32"))
    np.testing.assert_array_equal(record.result(), [[2.0, 4.0], [nan, 2.0]])


def loss_below_zero(true, predicted):
    return keras.ops.mean(keras.ops.square(true - predicted), axis=-1) - 5.0


def test_a_step_that_lowers_a_loss_below_zero_helps():
    tasks = [kmtl.RegressionTask("a", loss=loss_below_zero, metrics=[])]
    y = {"a": three_labels()["a"]}
    frame = record(model_of(tasks), y, step_size=0.01).affinity[-1]
    assert frame.loc["a", "a"] > 0


def noisy(**options):
    """A model with random numbers and moving averages, and an optimizer with both."""

    def trunk(x):
        x = keras.layers.BatchNormalization()(keras.layers.Dense(8)(x))
        return keras.layers.Dropout(0.5)(x)

    return model_of(trunk=trunk, optimizer=keras.optimizers.Adam(0.01), **options)


def assert_same_training(watched, plain, callbacks):
    y = three_labels()
    y["b"][:5] = np.nan
    ours = fit(watched, X, y, epochs=2, batch_size=4, callbacks=callbacks)
    theirs = fit(plain, X, y, epochs=2, batch_size=4)
    assert ours == pytest.approx(theirs, rel=0, abs=0, nan_ok=True)
    for a, b in zip(watched.variables, plain.variables, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(
        watched.optimizer.variables, plain.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_training_is_what_it_is_without():
    assert_same_training(noisy(), noisy(), [TaskAffinity(every=2)])


@pytest.mark.parametrize("method", ["FixedWeights", "FAMO", "UPGrad"])
def test_traced_training_is_what_it_is_without(method):
    models = [noisy(balancing=getattr(kmtl.balancing, method)()) for _ in range(2)]
    for model in models:
        model.compile(run_eagerly=False, steps_per_execution=3)
    assert_same_training(
        *models, [TaskAffinity(every=2), GradientConflict(at="shared")]
    )


def test_traced_values_are_those_of_eager_mode():
    y, eager, traced = three_labels(), noisy(), noisy()
    traced.compile(run_eagerly=False)
    ours, theirs = (
        record(model, y, every=2, batch_size=4, epochs=2) for model in (traced, eager)
    )
    np.testing.assert_allclose(ours.affinity, theirs.affinity, rtol=1e-3, atol=1e-6)


def test_a_second_pass_has_the_same_dropout():
    """A step of no length to speak of changes nothing."""
    frame = record(noisy(), three_labels(), step_size=1e-12).affinity[-1]
    np.testing.assert_allclose(frame, 0.0, atol=1e-6)


def test_a_pair_that_is_never_labelled_together_is_nan():
    y = three_labels()
    y["a"][:6], y["b"][6:] = np.nan, np.nan
    affinity = record(model_of(), y, batch_size=6)
    expected = [[False, True, False], [True, False, False], [False, False, False]]
    np.testing.assert_array_equal(affinity.affinity[-1].isna(), expected)


def test_epochs_are_apart_and_only_some_steps_are_measured():
    y, options = three_labels(), {"batch_size": 4}
    both = record(model_of(), y, epochs=2, **options)
    one = record(model_of(), y, **options)
    assert (both.epochs, one.epochs) == ([0, 1], [0])
    np.testing.assert_array_equal(both.affinity[0], one.affinity[0])
    first = {name: values[:4] for name, values in y.items()}
    expected = TaskAffinity(every=1)
    fit(model_of(), X[:4], first, callbacks=[expected], **options)
    some = record(model_of(), y, every=3, **options)
    np.testing.assert_allclose(some.affinity[0], expected.affinity[0], rtol=1e-6)


def test_it_ends_with_fit_and_with_one_that_was_interrupted():
    model, y, affinity = model_of(), three_labels(), TaskAffinity(every=1)
    stop = keras.callbacks.LambdaCallback(on_epoch_begin=lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        fit(model, X, y, callbacks=[affinity, stop])
    fit(model, X, y)
    assert np.isnan(affinity._look_ahead.record.result()).all()
    fit(model, X, y, callbacks=[affinity])
    assert affinity.epochs == [0]


def test_towers_that_others_read_are_moved_too():
    sharing = {"sharing": kmtl.sharing.CrossStitch(), "trunk": kmtl.trunks.MLP([4])}
    frame = record(model_of(**sharing), three_labels()).affinity[-1]
    assert (np.abs(frame) > 0).all(axis=None)


@pytest.mark.parametrize("name", ["Branched", "CGC", "FiLM", "MMoE", "MTAN", "PLE"])
def test_every_sharing_with_shared_weights(name):
    trunk = kmtl.trunks.MLP([8, 8])
    model = model_of(sharing=getattr(kmtl.sharing, name)(), trunk=trunk)
    model.compile(run_eagerly=False)
    frame = record(model, three_labels()).affinity[-1]
    assert np.isfinite(frame).all(axis=None)
    assert (np.diag(frame) > 0).all()


def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = model_of()
    finally:
        keras.config.set_dtype_policy("float32")
    twin = model_of()
    twin.set_weights(model.get_weights())
    halves, wholes = (record(m, three_labels()).affinity[-1] for m in (model, twin))
    np.testing.assert_allclose(halves, wholes, atol=0.01)


def test_what_shares_no_weights_is_refused():
    soft = model_of(sharing=kmtl.sharing.Soft(), trunk=kmtl.trunks.MLP([4]))
    with pytest.raises(
        ValueError, match=r"another sharing, such as `kmtl\.sharing\.Hard"
    ):
        record(soft, three_labels())


def test_several_devices_are_refused(monkeypatch):
    two = types.SimpleNamespace(num_replicas_in_sync=2)
    monkeypatch.setattr(kmtl.MTLModel, "distribute_strategy", two)
    with pytest.raises(ValueError, match=r"measured on one device.* 2 replicas"):
        model_of().record_affinity(every=1, step_size=None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"every": 0}, "`every` must be a positive integer. Received: 0"),
        ({"step_size": 0}, "`step_size` must be positive. Received: 0"),
    ],
)
def test_wrong_settings_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TaskAffinity(**options)


def test_two_at_once_are_refused():
    with pytest.raises(ValueError, match="at most one `TaskAffinity`"):
        fit(model_of(), X, three_labels(), callbacks=[TaskAffinity(), TaskAffinity()])
