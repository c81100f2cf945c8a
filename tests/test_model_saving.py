"""A loaded model is the model: predictions, training, settings."""

import subprocess
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from small import build, evaluate, fit, some_inputs, some_labels, some_tasks

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask

X = some_inputs()


def tasks():
    return [
        BinaryTask("click", positive="yes", class_weight={"yes": 2.0}, loss_weight=0.5),
        MulticlassTask("colour", classes=["red", "green", "blue"], missing="?"),
        RegressionTask("price", metrics=["mae", "r2"]),
        BinaryTask("buy", head_units=(3,), metrics=["auc", "accuracy"]),
    ]


def labels():
    y = some_labels(tasks())
    y["click"] = np.where(y["click"] > 0, "yes", "no")
    y["colour"] = np.array(["red", "green", "blue", "?"])[np.arange(24) % 4]
    y["price"] = 40 + y["price"]
    return y


def saved(model, folder):
    path = folder / "model.keras"
    model.save(path)
    return keras.models.load_model(path)


def assert_equal_predictions(model, other, x=X, rtol=0):
    expected, actual = (m.predict(x, verbose=0) for m in (model, other))
    assert list(actual) == list(expected)
    for name in expected:
        np.testing.assert_allclose(actual[name], expected[name], rtol=rtol)


@pytest.fixture
def trained():
    model = build(tasks(), optimizer=keras.optimizers.Adam(0.02))
    fit(model, X, labels())
    return model


def test_predictions_are_equal_bit_by_bit(trained, tmp_path):
    assert_equal_predictions(saved(trained, tmp_path), trained)


def test_evaluation_is_equal(trained, tmp_path):
    loaded = saved(trained, tmp_path)
    assert evaluate(loaded, X, labels()) == evaluate(trained, X, labels())


def test_tasks_come_back_whole(trained, tmp_path):
    loaded = saved(trained, tmp_path)
    assert type(loaded) is kmtl.MTLModel
    assert loaded.tasks == trained.tasks
    assert loaded.task_names == ["click", "colour", "price", "buy"]


def test_training_goes_on_where_it_stopped(trained, tmp_path):
    loaded = saved(trained, tmp_path)
    logs = fit(loaded, X, labels(), epochs=2)
    assert logs == fit(trained, X, labels(), epochs=2)
    assert_equal_predictions(loaded, trained)


def test_the_state_of_the_optimizer_comes_back(trained, tmp_path):
    loaded = saved(trained, tmp_path)
    pairs = zip(loaded.optimizer.variables, trained.optimizer.variables, strict=True)
    for ours, theirs in pairs:
        np.testing.assert_array_equal(ours, theirs)
    assert loaded.optimizer.get_config() == trained.optimizer.get_config()


def test_changed_loss_weights_come_back(trained, tmp_path):
    trained.loss_weights = {"buy": 0.125, "price": 2.0}
    loaded = saved(trained, tmp_path)
    expected = {"click": 0.5, "colour": 1.0, "price": 2.0, "buy": 0.125}
    assert dict(loaded.loss_weights) == expected


def test_frozen_tasks_stay_frozen(trained, tmp_path):
    trained.set_trainable("buy", False)
    loaded = saved(trained, tmp_path)
    head = [layer for layer in loaded.layers if layer.name.startswith("head_3")]
    before = [w.copy() for layer in head for w in layer.get_weights()]
    fit(loaded, X, labels())
    after = [w for layer in head for w in layer.get_weights()]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one, other)


def test_label_statistics_come_back_in_full_precision(tmp_path):
    model = build([RegressionTask("price")])
    model.adapt_labels({"price": [1e9 + 1 / 3, 1e9 + 2 / 3]})
    loaded = saved(model, tmp_path)
    expected = model.outputs_layer.label_statistics_on_host()
    np.testing.assert_array_equal(
        loaded.outputs_layer.label_statistics_on_host(), expected
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"jit_compile": False, "run_eagerly": False},
        {"steps_per_execution": 2},
        {"freeze_absent": True},
        {"auto_scale_loss": False},
    ],
)
def test_settings_of_compile_come_back(settings, tmp_path):
    model = build(some_tasks())
    model.compile(**settings)
    config = saved(model, tmp_path).get_compile_config()
    assert settings.items() <= config.items()


def test_compile_keeps_what_is_not_given():
    model = build(some_tasks(), loss_weights={"buy": 0.5})
    model.compile(jit_compile=False)
    optimizer = model.optimizer
    model.compile(loss_weights={"click": 0.25})
    config = model.get_compile_config()
    assert model.optimizer is optimizer
    assert (config["run_eagerly"], config["jit_compile"]) == (True, False)
    assert model.loss_weights["buy"] == 0.5


def test_weights_alone_are_saved_and_loaded(trained, tmp_path):
    trained.save_weights(tmp_path / "model.weights.h5")
    other = build(tasks(), seed=1, optimizer=keras.optimizers.Adam(0.02))
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "model.weights.h5")
    assert_equal_predictions(other, trained)


def test_weights_hold_loss_weights_and_label_statistics(trained, tmp_path):
    trained.loss_weights["buy"] = 0.125
    trained.save_weights(tmp_path / "model.weights.h5")
    other = build(tasks(), seed=1, optimizer=keras.optimizers.Adam(0.02))
    other.optimizer.build(other.trainable_variables)
    other.load_weights(tmp_path / "model.weights.h5")
    assert dict(other.loss_weights) == dict(trained.loss_weights)
    assert not other.outputs_layer.unadapted()


def test_a_clone_has_the_same_tasks_and_weights_of_its_own(trained):
    clone = keras.models.clone_model(trained)
    clone.set_weights(trained.get_weights())
    assert type(clone) is kmtl.MTLModel
    assert clone.tasks == trained.tasks
    assert_equal_predictions(clone, trained)
    clone.compile("sgd", run_eagerly=True)
    fit(clone, X, labels())
    assert not np.array_equal(clone.get_weights()[0], trained.get_weights()[0])


def test_a_model_that_is_not_compiled_is_saved_too(trained, tmp_path):
    bare = kmtl.MTLModel(trained.input, trained.output)
    loaded = saved(bare, tmp_path)
    assert not loaded.compiled
    assert_equal_predictions(loaded, trained, rtol=1e-6)  # as a graph, not eagerly
    loaded.compile("adam", run_eagerly=True)
    assert evaluate(loaded, X, labels()) == evaluate(trained, X, labels())


def test_loading_without_compiling_is_possible(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    assert not loaded.compiled
    assert_equal_predictions(loaded, trained, rtol=1e-6)  # as a graph, not eagerly


def test_a_model_that_was_never_trained_is_saved_too(tmp_path):
    model = build(some_tasks())
    loaded = saved(model, tmp_path)
    assert_equal_predictions(loaded, model)
    y = some_labels(some_tasks())
    assert fit(loaded, X, y) == fit(model, X, y)


@keras.saving.register_keras_serializable("tests")
def cubic(y_true, y_pred):
    return keras.ops.mean(keras.ops.abs(y_true - y_pred) ** 3, axis=-1)


def test_losses_and_metrics_keep_their_settings(tmp_path):
    huber = keras.losses.Huber(delta=0.05)
    smooth = keras.losses.BinaryCrossentropy(label_smoothing=0.3)
    top = keras.metrics.SparseTopKCategoricalAccuracy(k=2, name="top")
    options = {"standardize": False}
    own = [
        RegressionTask("huber", loss=huber, **options),
        RegressionTask("pinball", loss=kmtl.losses.Pinball(0.9), **options),
        RegressionTask("cubic", loss=cubic, metrics=[cubic, "mae"], **options),
        BinaryTask("smooth", loss=smooth, metrics=["precision", "auc"]),
        MulticlassTask("top", classes=3, metrics=[top, "accuracy"]),
    ]
    model = build(own)
    loaded = saved(model, tmp_path)
    y = some_labels(own)
    assert evaluate(loaded, X, y) == evaluate(model, X, y)


@pytest.fixture
def frame():
    rng = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "size": rng.normal(size=40),
            "city": rng.choice(["Rome", "Oslo", None], 40),
            "since": pd.date_range("2020-01-01", periods=40),
        }
    )
    frame.loc[::7, "size"] = np.nan
    frame["rich"] = np.where(frame["size"] > 0, "yes", "no")
    frame["kind"] = np.array(["a", "b", "c"])[np.arange(40) % 3]
    frame["age"] = rng.normal(40.0, 10.0, 40)
    return frame


@pytest.fixture
def frame_model(frame):
    own = [
        BinaryTask("rich", positive="yes"),
        MulticlassTask("kind"),
        RegressionTask("age"),
    ]
    model = kmtl.build_mtl_model(frame, own, trunk=kmtl.trunks.MLP([8]))
    model.compile(run_eagerly=True)
    model.fit(frame, batch_size=16, verbose=0)
    return model


def test_a_model_of_a_frame_comes_back_with_its_features(frame, frame_model, tmp_path):
    loaded = saved(frame_model, tmp_path)
    assert loaded.features == frame_model.features
    assert_equal_predictions(loaded, frame_model, frame)
    pd.testing.assert_frame_equal(
        loaded.predict_frame(frame, verbose=0),
        frame_model.predict_frame(frame, verbose=0),
    )


@pytest.mark.slow
def test_a_fresh_process_needs_only_kmtl(frame, frame_model, tmp_path):
    frame_model.save(tmp_path / "model.keras")
    frame.to_pickle(tmp_path / "frame.pkl")
    code = (
        "import sys, pathlib, kmtl, keras, pandas\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "model = keras.models.load_model(folder / 'model.keras')\n"
        "frame = pandas.read_pickle(folder / 'frame.pkl')\n"
        "model.predict_frame(frame, verbose=0).to_pickle(folder / 'out.pkl')\n"
        "model.fit(frame, verbose=0)\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    pd.testing.assert_frame_equal(
        pd.read_pickle(tmp_path / "out.pkl"),
        frame_model.predict_frame(frame, verbose=0),
        rtol=1e-6,
    )
