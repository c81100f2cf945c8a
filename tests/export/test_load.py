"""An export is where training goes on."""

import shutil

import keras
import numpy as np
import pytest
from small import build, fit, some_inputs, some_labels, some_tasks, weights_by_path

import kmtl
from kmtl import BinaryTask


@pytest.fixture(scope="module")
def trained():
    """A model that an optimizer and a balancing with state have worked on."""
    model = build(
        some_tasks(), optimizer=keras.optimizers.Adam(0.01), balancing=balancing()
    )
    fit(model, some_inputs(), some_labels(some_tasks()))
    return model


def balancing():
    return kmtl.balancing.UncertaintyWeighting()


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    base = tmp_path_factory.mktemp("exported")
    kmtl.export_saved_model(trained, base, task_signatures=False)
    shutil.copytree(base / "1", base / "10")
    return base


def assert_equal_weights(model, other):
    weights, others = weights_by_path(model), weights_by_path(other)
    assert weights.keys() == others.keys()
    for path, values in weights.items():
        np.testing.assert_array_equal(values, others[path])


def test_training_goes_on_as_if_it_had_never_stopped(trained, folder):
    loaded = kmtl.load(folder)
    loaded.compile(run_eagerly=True)
    assert_equal_weights(loaded, trained)
    logs = [
        fit(model, some_inputs(), some_labels(some_tasks()))
        for model in (loaded, trained)
    ]
    assert logs[0] == logs[1]
    assert_equal_weights(loaded, trained)
    assert loaded.task_weights == trained.task_weights
    assert loaded.balancing == balancing()


def test_the_newest_version_is_loaded_or_the_one_given(folder, tmp_path):
    other = tmp_path / "models"
    kmtl.export_saved_model(build([BinaryTask("a")]), other, task_signatures=False)
    shutil.copytree(folder / "1", other / "2")
    assert kmtl.load(other).task_names == ["click", "colour", "price", "buy"]
    assert kmtl.load(other, version=1).task_names == ["a"]
    assert kmtl.load(other / "1").task_names == ["a"]


def test_versions_are_compared_as_numbers(folder):
    (folder / "9").mkdir()
    assert kmtl.load(folder).task_names == ["click", "colour", "price", "buy"]


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (7, "must be one that is there. Received: 7. There are: .1, 10"),
        ("../secret", "`version` must be a positive integer"),
        (0, "`version` must be a positive integer"),
        (True, "`version` must be a positive integer"),
    ],
)
def test_a_version_that_is_not_there(folder, version, message):
    with pytest.raises((FileNotFoundError, ValueError), match=message):
        kmtl.load(folder, version=version)


def test_a_version_of_a_version(folder):
    with pytest.raises(ValueError, match="`version` must be left out"):
        kmtl.load(folder / "1", version=1)


def test_nothing_to_load(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist or is a file"):
        kmtl.load(tmp_path / "nowhere")
    with pytest.raises(FileNotFoundError, match="without any"):
        kmtl.load(tmp_path)


def test_a_saved_model_of_another_library(tmp_path):
    (tmp_path / "1").mkdir()
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"model\.keras.*export_saved_model"):
        kmtl.load(tmp_path)


def test_a_model_of_plain_keras_is_refused(tmp_path):
    extra = tmp_path / "1" / "assets.extra"
    extra.mkdir(parents=True)
    (tmp_path / "1" / "saved_model.pb").write_bytes(b"")
    keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]).save(
        extra / "model.keras"
    )
    with pytest.raises(TypeError, match="must hold an MTLModel"):
        kmtl.load(tmp_path)


def test_code_is_not_exported(tmp_path):
    inputs = keras.Input((4,))
    trunk = keras.Model(inputs, keras.layers.Lambda(lambda x: x * 2.0)(inputs))
    model = build([BinaryTask("a")], trunk=trunk)
    with pytest.raises(ValueError, match="Lambda"):
        kmtl.export_saved_model(model, tmp_path / "exported")
    assert list((tmp_path / "exported").iterdir()) == []


class Unregistered(keras.layers.Layer):
    def call(self, inputs):
        return inputs


def test_what_cannot_be_loaded_is_named(tmp_path):
    trunk = keras.Sequential([keras.Sequential([Unregistered()])])
    model = build([BinaryTask("a")], trunk=trunk)
    with pytest.raises(ValueError, match="Received: Could not locate class 'Unreg"):
        kmtl.export_saved_model(model, tmp_path, task_signatures=False)
