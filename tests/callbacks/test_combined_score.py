"""`CombinedScore`: one number for several tasks, seen by Keras' own callbacks."""

import warnings

import keras
import numpy as np
import pytest
from small import build, some_inputs, some_labels

from kmtl import BinaryTask, RegressionTask
from kmtl._gains import delta_m
from kmtl.callbacks import CombinedScore

C = keras.callbacks
X = some_inputs(8)
TASKS = [BinaryTask("buy"), RegressionTask("price")]
Y = some_labels(TASKS, 8)
NAMES = ["buy_auc", "price_mae"]


@pytest.fixture(scope="module")
def built():
    return build(TASKS)


@pytest.fixture
def model(built):
    built.stop_training = False
    return built


def history(model, callbacks, *, epochs=1, y=Y, **options):
    options = {"validation_data": (X, y), "verbose": 0, **options}
    return model.fit(X, Y, epochs=epochs, callbacks=callbacks, **options).history


class FakeLogs(C.Callback):
    """Puts values of `val_buy_auc` into the logs, before any other callback."""

    def __init__(self, score, values):
        super().__init__()
        write = score.on_epoch_end

        def on_epoch_end(epoch, logs):
            logs["val_buy_auc"] = values[epoch]
            write(epoch, logs)

        score.on_epoch_end = on_epoch_end


@pytest.fixture(scope="module")
def logs(built):
    """The logs of one epoch with a number of each kind."""
    baselines = {"buy_auc": 0.1, "price_mae": 1e-3, "price_loss": 7.0}
    scores = [
        CombinedScore({"buy_auc": 3.0, "price_mae": 1.0}),
        CombinedScore(NAMES, baselines=baselines, name="gain"),
        CombinedScore(NAMES, baselines=baselines, worst=True, name="worst"),
    ]
    return {name: values[0] for name, values in history(built, scores).items()}


def test_it_is_the_weighted_mean_and_errors_count_negative(logs):
    expected = (3.0 * logs["val_buy_auc"] - logs["val_price_mae"]) / 4.0
    assert logs["val_combined_score"] == pytest.approx(expected)


def test_over_baselines_it_is_delta_m(logs):
    expected = delta_m(
        {"buy": logs["val_buy_auc"], "price": logs["val_price_mae"]},
        {"buy": 0.1, "price": 1e-3},
        {"buy": "auc", "price": "mae"},
    )
    assert logs["gain"] == pytest.approx(expected)


def test_the_worst_task_may_count_alone(logs):
    expected = 100.0 * (1e-3 - logs["val_price_mae"]) / 1e-3
    assert logs["worst"] == pytest.approx(expected)


@pytest.mark.parametrize(("is_first", "mode"), [(False, "auto"), (True, "max")])
def test_early_stopping_sees_it_wherever_it_stands(model, is_first, mode):
    score = CombinedScore(["buy_auc"])
    stop = C.EarlyStopping("val_combined_score", mode=mode, patience=1)
    fake = FakeLogs(score, [0.6, 0.5, 0.9])
    callbacks = [score, stop, fake] if is_first else [fake, stop, score]
    logs = history(model, callbacks, epochs=3)
    assert logs["val_combined_score"] == [0.6, 0.5]
    assert stop.best_epoch == 0


def test_a_checkpoint_keeps_the_epoch_that_it_says_is_best(model, tmp_path):
    score = CombinedScore(["buy_auc"])
    path = str(tmp_path / "{epoch}.weights.h5")
    keep = C.ModelCheckpoint(
        path, "val_combined_score", save_best_only=True, save_weights_only=True
    )
    history(model, [keep, FakeLogs(score, [0.6, 0.5, 0.7]), score], epochs=3)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "1.weights.h5",
        "3.weights.h5",
    ]


def test_nan_never_wins_not_even_in_the_first_epoch(model):
    score = CombinedScore(["buy_auc"])
    stop = C.EarlyStopping("val_combined_score", patience=1)
    fake = FakeLogs(score, [np.nan, np.nan, 0.6])
    with pytest.warns(UserWarning, match="is NaN, as are") as seen:
        logs = history(model, [stop, score, fake], epochs=3)
    assert len([w for w in seen if "is NaN" in str(w.message)]) == 1
    assert (stop.best, stop.best_epoch) == (0.6, 2)
    expected = [np.nan, np.nan, 0.6]
    np.testing.assert_array_equal(logs["val_combined_score"], expected)


def test_what_has_no_weight_may_be_nan():
    assert CombinedScore({"buy_auc": 0.0, "price_mae": 2.0}).weights == {
        "price_mae": 2.0
    }


def test_one_metric_that_is_nan_makes_the_number_nan(model):
    y = {**Y, "buy": np.ones(8)}
    scores = [CombinedScore(NAMES), CombinedScore(NAMES, worst=True, name="worst")]
    with pytest.warns(UserWarning, match=r"\['buy_auc'\] of the validation data"):
        logs = history(model, scores, y=y)
    assert np.isnan([logs["val_combined_score"], logs["worst"]]).all()


@pytest.mark.slow
def test_epochs_without_validation_have_no_number(model):
    logs = history(model, CombinedScore(NAMES), epochs=2, validation_freq=2)
    assert len(logs["val_combined_score"]) == 1


@pytest.mark.slow
def test_a_share_of_the_rows_is_validation_data_too(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two rows may be of one class
        options = {"validation_data": None, "validation_split": 0.25}
        assert "val_combined_score" in history(model, CombinedScore(NAMES), **options)


def test_without_validation_data_it_is_an_error(model):
    with pytest.raises(ValueError, match="needs `validation_data` or"):
        history(model, CombinedScore(NAMES), validation_data=None)


@pytest.mark.parametrize("name", ["buy_uac", "val_buy_auc"])
def test_a_metric_that_the_model_lacks_is_an_error(model, name):
    with pytest.raises(ValueError, match=r"unknown metric of the model.*mean 'buy_auc"):
        history(model, CombinedScore([name]))


def test_two_of_one_name_are_refused(model):
    with pytest.raises(ValueError, match=r"combined scores` must be unique"):
        history(model, [CombinedScore(NAMES), CombinedScore(["buy_auc"])])


def test_the_name_of_another_number_is_refused(model):
    with pytest.raises(ValueError, match="not be that of another number"):
        history(model, CombinedScore(NAMES, name="val_loss"))


@pytest.mark.parametrize(
    ("metrics", "options", "message"),
    [
        ([], {}, "at least one metric with a weight above 0"),
        ({"buy_auc": 0.0}, {}, "at least one metric with a weight above 0"),
        ({"buy_auc": -1.0}, {}, r"`metrics\['buy_auc'\]` must be a finite number"),
        (["buy_auc", "buy_auc"], {}, "`metrics` must be unique"),
        ("buy_auc", {}, "`metrics` must be a list"),
        ({"buy_auc": 1.0}, {"worst": True}, "list of names where `worst=True`"),
        (NAMES, {"worst": 1}, "`worst` must be True or False"),
        (NAMES, {"name": ""}, "`name` must be a name in the logs"),
        (NAMES, {"baselines": {"buy_auc": 1.0}}, "metric of `baselines`"),
        (["a"], {"baselines": {"a": np.nan}}, r"`baselines\['a'\]` must be a finite"),
    ],
)
def test_wrong_settings_are_refused(metrics, options, message):
    with pytest.raises(ValueError, match=message):
        CombinedScore(metrics, **options)


def test_baselines_that_are_no_dict_are_refused():
    with pytest.raises(TypeError, match="`baselines` must be a dict of values"):
        CombinedScore(NAMES, baselines=[0.5, 0.5])
