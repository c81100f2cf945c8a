"""Rows that belong to one task each need the towers, gates and heads of that alone."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import FEATURES, build, some_inputs, some_labels, some_tasks

import kmtl
from kmtl import sharing
from kmtl._prepare import prepare
from kmtl.data import sample_tasks

TASKS = [task.name for task in some_tasks()]
SIZES = {"click": 30, "colour": 12, "price": 7, "buy": 3}
X = some_inputs(30)
LABELS = some_labels(some_tasks(), 30)
DATA = {task: (X[:n], LABELS[task][:n]) for task, n in SIZES.items()}
OWNERS = np.array(TASKS)[np.random.default_rng(0).integers(0, 4, 30)]
TRUNK = kmtl.trunks.MLP([32, 16], activation="tanh")
APART = {  # tasks read nothing of each other's slices
    "Hard": sharing.Hard(),
    "Soft": sharing.Soft(kmtl.regularizers.MeanL2(0.1)),
    "MMoE": sharing.MMoE(experts=3),
    "DSelectK": sharing.DSelectK(),
    "CGC": sharing.CGC(),
    "FiLM": sharing.FiLM(),
    "MTAN": sharing.MTAN(),
    "Branched": sharing.Branched(groups=[["click", "buy"], ["colour"], ["price"]]),
    "LowLevel": sharing.LowLevel({"click": 0}),
}
MIXED = {
    "CrossStitch": sharing.CrossStitch(),
    "PLE": sharing.PLE(),
}


def some_model(way, **options):
    return build(
        some_tasks(),
        **{"sharing": way, "trunk": TRUNK, "head_units": (64,), **options},
    )


def whole(model):
    """Makes a model compute all tasks for all rows."""
    model.gains_by_own_slices = lambda: False
    return model


def alone(model):
    """Makes a model compute own tasks only, however little it gains by that."""
    model.gains_by_own_slices = lambda: model.own_slices() is not None
    return model


def weights(model):
    return [keras.ops.convert_to_numpy(v) for v in model.variables]


def assert_trains_as_if_whole(
    way, *, rtol=1e-5, atol=1e-6, mixed=True, epochs=1, **options
):
    sampler = sample_tasks(DATA, "sqrt", batch_size=20, mixed=mixed)
    model, twin = alone(some_model(way, **options)), whole(some_model(way, **options))
    logs = model.fit(sampler, epochs=epochs, verbose=0).history
    twin_logs = twin.fit(sampler, epochs=epochs, verbose=0).history
    assert model.own_slices() is not None
    for name, values in twin_logs.items():
        np.testing.assert_allclose(logs[name], values, rtol=rtol, err_msg=name)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=rtol, atol=atol)


def assert_predicts_as_if_whole(model, *, rtol=1e-5):
    every = model.predict(X, verbose=0)
    own = model.predict(X, task=OWNERS, batch_size=8, verbose=0)
    assert own.keys() == set(OWNERS)
    for name, values in own.items():
        expected = every[name][name == OWNERS]
        np.testing.assert_allclose(values, expected, rtol=rtol, atol=1e-6)


def test_training_is_the_same_as_with_all_tasks():
    assert_trains_as_if_whole(APART["MMoE"], epochs=2)


@pytest.mark.slow
@pytest.mark.parametrize("mixed", [True, False], ids=["mixed", "one task a batch"])
@pytest.mark.parametrize("way", APART)
def test_training_is_the_same_with_every_sharing(way, mixed):
    assert_trains_as_if_whole(APART[way], mixed=mixed)


@pytest.mark.slow
@pytest.mark.parametrize("jit_compile", [False, True], ids=["graph", "XLA"])
def test_training_is_the_same_in_a_compiled_step(jit_compile):
    sampler = sample_tasks(DATA, "sqrt", batch_size=26)  # XLA compiles for each size
    model, twin = alone(some_model(APART["MMoE"])), whole(some_model(APART["MMoE"]))
    model.compile(run_eagerly=False, jit_compile=jit_compile)
    for each in (model, twin):
        each.fit(sampler, epochs=2, verbose=0)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)
    assert_predicts_as_if_whole(model)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["Soft", "CGC"])
def test_training_is_the_same_with_towers_of_convolutions(way):
    images = np.random.default_rng(0).random((30, 6, 6, 1), dtype="float32")
    data = {task: (images[: len(y)], y) for task, (_, y) in DATA.items()}
    options = {"inputs": (6, 6, 1), "trunk": kmtl.trunks.CNN([4], pooling="avg")}
    sampler = sample_tasks(data, batch_size=20)
    model, twin = (some_model(APART[way], **options) for _ in range(2))
    alone(model).fit(sampler, verbose=0)
    whole(twin).fit(sampler, verbose=0)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


@pytest.mark.slow
def test_training_is_the_same_with_copies_of_any_keras_model():
    trunk = keras.Sequential(
        [keras.Input((FEATURES,)), keras.layers.Dense(32, activation="gelu")]
    )
    assert_trains_as_if_whole(APART["Soft"], trunk=trunk)


def test_copies_of_a_model_of_images_are_told_from_slices():
    images = np.random.default_rng(0).random((30, 4, 4, 1), dtype="float32")
    trunk = keras.Sequential([keras.Input((4, 4, 1)), keras.layers.Flatten()])
    trunk.add(keras.layers.Dense(8))
    model = some_model(APART["Soft"], trunk=trunk, inputs=(4, 4, 1))
    every = model.predict(images, verbose=0)
    own = model.predict(images, task="price", verbose=0)
    np.testing.assert_allclose(own["price"], every["price"], rtol=1e-4, atol=1e-6)


def test_copies_of_a_model_of_several_inputs_are_computed_alone():
    left, right = keras.Input((FEATURES,), name="left"), keras.Input((2,), name="right")
    joined = keras.layers.Dense(8)(keras.layers.Concatenate()([left, right]))
    inputs = {"left": left, "right": right}
    trunk = keras.Model(inputs, joined)
    model = some_model(APART["Soft"], trunk=trunk, inputs=dict(inputs))
    x = {"left": X, "right": X[:, :2]}
    every = model.predict(x, verbose=0)
    own = model.predict(x, task="price", verbose=0)
    np.testing.assert_allclose(own["price"], every["price"], rtol=1e-4, atol=1e-6)


def _needs_labels_above_0(labels, outputs):
    return keras.ops.mean(keras.ops.sqrt(labels) * keras.ops.sqrt(outputs), axis=-1)


def test_a_loss_sees_no_numbers_of_other_tasks():
    loss = _needs_labels_above_0
    tasks = [
        kmtl.RegressionTask("below", standardize=False),
        kmtl.RegressionTask("above", standardize=False, loss=loss),
    ]
    model = alone(build(tasks, head_units=(4,)))
    model.get_layer("head_0_out").bias.assign([[-9.0], [9.0]])
    data = {"below": (X, -np.ones(30)), "above": (X, np.ones(30))}
    model.fit(sample_tasks(data, batch_size=20), verbose=0)
    assert all(np.isfinite(values).all() for values in weights(model))


@pytest.mark.slow
def test_the_auc_is_that_of_all_rows():
    tasks = [kmtl.BinaryTask("a"), kmtl.BinaryTask("b")]
    x = np.random.default_rng(0).normal(size=(400, FEATURES)).astype("float32")
    y = (x[:, 0] + x[:, 1] > 0).astype(float)
    sampler = sample_tasks({"a": (x, y), "b": (x, 1 - y)}, batch_size=100)
    logs = []
    for make in (alone, whole):
        model = make(build(tasks, optimizer=keras.optimizers.SGD(0.0)))
        # Logits far from 0, close to each other.
        model.get_layer("head_0_out").bias.assign([[-90.0], [90.0]])
        history = model.fit(sampler, validation_data=sampler, verbose=0)
        logs.append(history.history)
    for name, expected in logs[1].items():
        np.testing.assert_allclose(logs[0][name], expected, atol=2e-4, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("way", MIXED)
def test_tasks_that_read_each_other_are_computed_whole(way):
    model = some_model(MIXED[way])
    model.fit(sample_tasks(DATA, batch_size=20), verbose=0)
    assert model.own_slices() is None
    assert_predicts_as_if_whole(model)


def test_tasks_of_a_branch_are_predicted_by_its_slice():
    groups = [["colour"], ["price", "buy"], ["click"]]
    assert_predicts_as_if_whole(some_model(sharing.Branched(groups=groups)))


@pytest.mark.slow
@pytest.mark.parametrize("way", APART)
def test_predictions_are_the_same_with_every_sharing(way):
    assert_predicts_as_if_whole(some_model(APART[way]))


@pytest.fixture(scope="module")
def model():
    return some_model(APART["Soft"])


def test_predictions_of_own_tasks_are_those_of_all(model):
    assert_predicts_as_if_whole(model)


def test_a_frame_has_one_prediction_a_row(model):
    every = model.predict_frame(X, verbose=0)
    own = model.predict_frame(X, task=OWNERS, verbose=0)
    expected = [every[name][row] for row, name in enumerate(OWNERS)]
    np.testing.assert_array_equal(own["task"], OWNERS)
    assert own["prediction"].tolist() == pytest.approx(expected)


def test_one_task_may_be_asked_for(model):
    one = model.predict(X, task="price", verbose=0)
    every = model.predict(X, verbose=0)
    assert list(one) == ["price"]
    np.testing.assert_allclose(one["price"], every["price"], rtol=1e-5)


@pytest.mark.slow
def test_a_column_of_a_frame_may_name_the_tasks():
    tasks = [kmtl.RegressionTask("1"), kmtl.RegressionTask("2")]
    frame = pd.DataFrame({"hours": [1.0, 2.0, 3.0], "1": [1.0, 2.0, None], "2": 3.0})
    model = kmtl.build_mtl_model(frame, tasks)
    rows = pd.DataFrame({"hours": [1.0, 2.0, 3.0], "school": [2, 1, 2]})
    found = model.predict_frame(rows, task="school", verbose=0)
    every = model.predict(rows, verbose=0)
    expected = [every["2"][0, 0], every["1"][1, 0], every["2"][2, 0]]
    assert found["prediction"].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("buyy", "unknown task. Received: 'buyy'. Did you mean 'buy'"),
        (["buy"] * 3, "a task for each of 30 rows. Received: 3 names"),
        (["buy"] * 29 + [None], "unknown task. Received: 'nan'"),
        (5, "a task for each of 30 rows. Received: 5"),
        ([["buy"]] * 30, r"a task for each of 30 rows. Received: shape=\(30, 1\)"),
    ],
)
def test_a_wrong_task_is_named(model, task, message):
    with pytest.raises(ValueError, match=message):
        model.predict(X, task=task, verbose=0)


def test_a_column_of_labels_does_not_hide_its_task():
    frame = pd.DataFrame({"hours": [1.0, 2.0, 3.0], "score": [1.0, 2.0, 4.0]})
    model = kmtl.build_mtl_model(frame, [kmtl.RegressionTask("score")])
    own = model.predict_frame(frame, task="score", verbose=0)
    expected = model.predict_frame(frame, verbose=0)["score"]
    np.testing.assert_allclose(own["prediction"], expected, rtol=1e-5)


@pytest.fixture(scope="module")
def schools(tmp_path_factory):
    """A table in a file, in frames of 4 rows, and the same in memory."""
    file = tmp_path_factory.mktemp("schools") / "rows.parquet"
    rows = np.arange(10.0)
    names = {"school": ["a", "b"] * 5, "score": rows % 3}
    frame = pd.DataFrame({"hours": rows, **names})
    frame.to_parquet(file)
    return kmtl.data.read_parquet(file, chunk_rows=4), frame


def test_files_are_predicted_as_the_frame(schools):
    source, frame = schools
    wide = kmtl.data.pivot_labels(frame, task="school", label="score")
    model = kmtl.build_mtl_model(wide, [kmtl.RegressionTask(name) for name in "ab"])
    expected = model.predict_frame(frame, task="school", verbose=0)
    found = model.predict_frame(source, task="school", verbose=0)
    pd.testing.assert_frame_equal(found, expected, rtol=1e-5)
    assert model.predict(source, task="b", verbose=0)["b"].shape == (10, 1)
    with pytest.raises(ValueError, match=r"column of the source `x`. Received: list"):
        model.predict(source, task=["a"] * 10)


def test_tasks_of_one_label_column_are_all_trained(schools):
    wide = kmtl.data.pivot_labels(
        schools[0], task="school", label="score", tasks=["a", "b"]
    )
    tasks = [*map(kmtl.RegressionTask, "ab"), kmtl.RegressionTask("c", label="a")]
    model = alone(kmtl.build_mtl_model(wide, tasks))
    assert "tasks" not in prepare(model, wide, None, training=True)[0].element_spec[1]
    model = alone(kmtl.build_mtl_model(wide, tasks[:2]))
    assert "tasks" in prepare(model, wide, None, training=True)[0].element_spec[1]


@pytest.mark.parametrize("predict", ["predict", "predict_frame"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"steps": 1}, "`steps` must come without `task`"),
        ({"batch_size": 0}, "`batch_size` must be a positive integer"),
        ({"x": tf.data.Dataset.from_tensors(X)}, "`task` belongs to the rows of a fr"),
    ],
    ids=["steps", "batch_size", "dataset"],
)
def test_what_does_not_go_with_tasks_of_rows(model, predict, arguments, message):
    with pytest.raises((TypeError, ValueError), match=message):
        getattr(model, predict)(**{"x": X, "task": "buy", "verbose": 0, **arguments})


def test_probabilities_are_refused_in_a_frame_of_own_tasks(model):
    with pytest.raises(ValueError, match="must be False with `task`"):
        model.predict_frame(X, task="buy", probabilities=True)


@pytest.mark.slow
def test_a_wide_table_of_one_label_a_row_is_trained_the_same():
    labels = {t: np.where(t == OWNERS, LABELS[t], np.nan) for t in TASKS}
    model, twin = alone(some_model(APART["Hard"])), whole(some_model(APART["Hard"]))
    for each in (model, twin):
        given = {"sample_weight": X[:, 0] ** 2, "class_weight": {"buy": {1: 3.0}}}
        each.fit(X, labels, batch_size=10, shuffle=False, verbose=0, **given)
    for ours, theirs in zip(weights(model), weights(twin), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_inactive_heads_stay_with_freeze_absent():
    model = some_model(APART["Soft"])
    model.compile("adam", freeze_absent=True)
    before = [v.copy() for v in weights(model)]
    model.fit(sample_tasks({"price": DATA["price"]}, batch_size=7), verbose=0)
    stacks = [
        (old, new)
        for old, new, v in zip(before, weights(model), model.variables, strict=True)
        if v.shape[:1] == (4,) and len(v.shape) > 1
    ]
    index = TASKS.index("price")
    for old, new in stacks:
        np.testing.assert_array_equal(
            np.delete(old, index, 0), np.delete(new, index, 0)
        )
    assert any((old[index] != new[index]).any() for old, new in stacks)


@pytest.mark.slow
def test_files_with_a_column_of_tasks_train_as_a_frame_does(tmp_path):
    columns = {f"x{i}": X[:, i] for i in range(FEATURES)}
    frame = pd.DataFrame({**columns, "school": OWNERS, "score": LABELS["price"]})
    frame.to_csv(tmp_path / "rows.csv", index=False, float_format="%.17g")
    source = kmtl.data.read_csv(tmp_path / "rows.csv")
    names = {"task": "school", "label": "score", "tasks": TASKS}
    tasks = [kmtl.RegressionTask(task) for task in TASKS]
    ends = []
    for table in (frame, source):
        keras.utils.set_random_seed(0)
        wide = kmtl.data.pivot_labels(table, **names)
        model = kmtl.build_mtl_model(wide, tasks, trunk=TRUNK, head_units=(128,))
        assert model.gains_by_own_slices()
        model.fit(wide, batch_size=10, shuffle=False, verbose=0)
        ends.append(weights(model))
    for ours, theirs in zip(*ends, strict=True):
        np.testing.assert_array_equal(ours, theirs)
