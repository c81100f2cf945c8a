"""What a balancing method remembers is saved, loaded, kept and started anew."""

import keras
import numpy as np
import pytest
from balanced import METHODS, TASKS, X, Y, balanced, state_of, train
from small import build, fit, slow_but, weights_by_path

from kmtl.balancing import DWA, FAMO, GLS, FixedWeights, NormalizedLosses, UPGrad

WITH_STATE = [name for name, method in METHODS.items() if method.initial_state(TASKS)]


def assert_same_model(model, other):
    np.testing.assert_equal(weights_by_path(model), weights_by_path(other))
    np.testing.assert_equal(state_of(model), state_of(other))
    assert model.task_weights == other.task_weights


def assert_fresh(model):
    np.testing.assert_equal(state_of(model), state_of(balanced(model.balancing)))
    assert set(model.task_weights.values()) == {1.0}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=slow_but(["FAMO", "NormalizedLosses"], name))
        for name in [*WITH_STATE, "NormalizedLosses", "RLW", "PCGrad"]
    ],
)
def test_a_loaded_model_goes_on_as_if_it_had_never_been_saved(name, tmp_path):
    model = balanced(METHODS[name])
    train(model)
    model.save(tmp_path / "model.keras")
    model.save_weights(tmp_path / "model.weights.h5")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    other = balanced(METHODS[name], seed=1)
    other.load_weights(tmp_path / "model.weights.h5")
    assert loaded.balancing == model.balancing == METHODS[name]
    for each in (loaded, other):
        assert_same_model(each, model)
    for each in (model, loaded, other):
        train(each)
    for each in (loaded, other):
        assert_same_model(each, model)


def test_a_model_that_is_loaded_without_compiling_has_fixed_weights(tmp_path):
    model = balanced(FAMO())
    train(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert loaded.balancing == FixedWeights()
    loaded.compile("sgd", balancing=FAMO(), run_eagerly=True)
    assert_fresh(loaded)
    train(loaded)


def test_a_file_of_another_method_or_of_none_lets_the_state_be(tmp_path):
    plain, other = build(TASKS), balanced(DWA())
    for model, path in ((plain, "plain"), (other, "other")):
        train(model)
        model.save_weights(tmp_path / f"{path}.weights.h5")
    for method, path in (
        (FAMO(), "plain"),
        (NormalizedLosses(), "plain"),
        (GLS(), "other"),
    ):
        target = balanced(method)
        target.load_weights(tmp_path / f"{path}.weights.h5")
        assert_fresh(target)
    plain.load_weights(tmp_path / "other.weights.h5")
    np.testing.assert_equal(weights_by_path(plain), weights_by_path(other))


def test_compile_keeps_starts_anew_or_turns_off():
    model = balanced(DWA(0.1))
    train(model)
    train(model)
    state = state_of(model)
    model.compile("sgd", loss_weights={"buy": 0.5})
    assert model.balancing == DWA(0.1)
    np.testing.assert_equal(state_of(model), state)
    model.compile(balancing=DWA(0.1))
    assert_fresh(model)
    train(model)
    model.compile(balancing=FAMO())
    assert model.balancing == FAMO()
    assert_fresh(model)
    model.compile(balancing=FixedWeights())
    assert model.balancing == FixedWeights()
    assert model.task_weights == dict.fromkeys(model.task_names, 1.0)


def test_a_method_turned_off_leaves_no_trace(tmp_path):
    model, plain = balanced(UPGrad()), build(TASKS)
    model.compile(balancing=FAMO())
    model.compile(balancing=FixedWeights())
    train(model)
    train(plain)
    assert_same_model(model, plain)
    assert [w.path for w in model.weights] == [w.path for w in plain.weights]
    assert model.get_metrics_result().keys() == plain.get_metrics_result().keys()
    model.save(tmp_path / "model.keras")
    assert keras.models.load_model(tmp_path / "model.keras").balancing == FixedWeights()


def test_a_clone_starts_anew_and_weights_go_without_the_state():
    model = balanced(FAMO())
    train(model)
    clone = keras.models.clone_model(model)
    assert_fresh(clone)
    assert clone.balancing == FAMO()
    clone.set_weights(model.get_weights())
    np.testing.assert_equal(weights_by_path(clone), weights_by_path(model))
    assert_fresh(clone)
    build(TASKS).set_weights(model.get_weights())


class Interruption(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        del logs
        if epoch == 2:
            raise InterruptedError


@pytest.mark.slow
@pytest.mark.parametrize("name", ["DWA", "GradVac", "NormalizedLosses"])
def test_an_interrupted_fit_is_resumed(name, tmp_path):
    model, expected = balanced(METHODS[name]), balanced(METHODS[name])
    fit(expected, X, Y, epochs=4)
    backup = keras.callbacks.BackupAndRestore(tmp_path)
    with pytest.raises(InterruptedError):
        fit(model, X, Y, epochs=4, callbacks=[backup, Interruption()])
    again = balanced(METHODS[name], seed=1)
    again.optimizer.build(again.trainable_variables)
    fit(again, X, Y, epochs=4, callbacks=[keras.callbacks.BackupAndRestore(tmp_path)])
    assert_same_model(again, expected)
    assert int(again.balancing_state.epoch) == 4
