"""`explain_loss` tells what losses and gradients computed by hand tell."""

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from small import build, evaluate, fit, some_inputs, some_labels, some_tasks

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask

X, Y = some_inputs(), some_labels(some_tasks())
# Some labels missing, and those of a task in no row with another's.
MISSING = {name: values.copy() for name, values in Y.items()}
MISSING["click"][:10] = np.nan
MISSING["buy"][10:] = np.nan


def by_hand(model, y, sources):
    """Lengths of gradients, and cosines with their sum, of binary tasks."""
    with tf.GradientTape(persistent=True) as tape:
        shared = model.encoder(X)
        tape.watch(shared)
        logits = model.heads(shared)[..., 0]
        losses = []
        for i, name in enumerate(model.task_names):
            rows = ~np.isnan(y[name])
            loss_of = keras.losses.BinaryCrossentropy(from_logits=True)
            loss = loss_of(y[name][rows], logits[:, i][rows])
            losses.append(model.loss_weights[name] * loss)
    gradients = [tape.gradient(loss, sources or [shared]) for loss in losses]
    flat = np.stack([np.concatenate([*map(np.ravel, g)]) for g in gradients])
    lengths, total = np.linalg.norm(flat, axis=1), flat.sum(axis=0)
    return lengths / lengths.sum(), flat @ total / lengths / np.linalg.norm(total)


def binary_tasks():
    return [BinaryTask(name, metrics=[]) for name in ("a", "b", "c")]


def binary_labels():
    y = some_labels(binary_tasks(), seed=5)
    y["a"][:8], y["b"][8:] = np.nan, np.nan
    return y


@pytest.fixture(scope="module")
def table():
    """A model of tasks of each kind, and its table."""
    model = build(some_tasks(), loss_weights={"buy": 0.25, "colour": 3.0})
    return model, model.explain_loss(X, MISSING)


def test_losses_are_those_of_evaluate(table):
    model, frame = table
    logs = evaluate(model, X, MISSING)
    expected = [logs[f"{name}_loss"] for name in model.task_names]
    assert list(frame.index) == model.task_names
    np.testing.assert_allclose(frame["loss"], expected, rtol=1e-6)
    assert frame["weighted_loss"].sum() == pytest.approx(logs["loss"], rel=1e-6)
    np.testing.assert_allclose(frame["loss_weight"], [1.0, 3.0, 1.0, 0.25])
    shares = frame["weighted_loss"] / frame["weighted_loss"].sum()
    np.testing.assert_allclose(frame["loss_share"], shares)


def test_labels_are_counted(table):
    _, frame = table
    assert frame["labels"].tolist() == [14, 24, 24, 10]
    np.testing.assert_allclose(frame["labelled"], [14 / 24, 1.0, 1.0, 10 / 24])


def test_constants_are_the_best_ones(table):
    _, frame = table

    def entropy(labels):
        counts = np.unique(labels[~np.isnan(labels)], return_counts=True)[1]
        shares = counts / counts.sum()
        return -np.sum(shares * np.log(shares))

    expected = {name: entropy(MISSING[name]) for name in ("click", "colour", "buy")}
    expected["price"] = Y["price"].var()
    np.testing.assert_allclose(
        frame["constant_loss"], [expected[name] for name in frame.index], rtol=1e-5
    )


def test_gradients_are_those_of_the_losses_over_all_rows():
    model, y = build(binary_tasks(), loss_weights={"c": 3.0}), binary_labels()
    shares, cosines = by_hand(model, y, sources=None)
    for batch_size in (24, 7):
        frame = model.explain_loss(X, y, batch_size=batch_size)
        np.testing.assert_allclose(frame["gradient_share"], shares, rtol=1e-5)
        np.testing.assert_allclose(frame["gradient_cosine"], cosines, rtol=1e-4)


def test_without_shared_tensors_they_are_taken_over_shared_weights():
    sharing, y = kmtl.sharing.CrossStitch(), binary_labels()
    model = build(binary_tasks(), sharing=sharing)
    towers = model.encoder.trainable_variables[:2]  # each row of the stitch is a task's
    shares, cosines = by_hand(model, y, [v.value for v in towers])
    frame = model.explain_loss(X, y)
    np.testing.assert_allclose(frame["gradient_share"], shares, rtol=1e-5)
    np.testing.assert_allclose(frame["gradient_cosine"], cosines, rtol=1e-4)


def test_where_nothing_is_shared_there_are_no_shares_of_gradients():
    frame = build(binary_tasks(), sharing=kmtl.sharing.Soft()).explain_loss(
        X, binary_labels()
    )
    assert frame.filter(like="gradient").isna().all(axis=None)
    assert frame["loss"].notna().all()


def test_opposed_tasks():
    tasks = [RegressionTask(n, standardize=False, metrics=[]) for n in "ab"]
    model = build(tasks, loss_weights={"b": 3.0})
    head = next(v for v in model.layers if isinstance(v, kmtl.layers.TaskDense))
    head.set_weights([w[[0, 0]] for w in head.get_weights()])
    values = model.predict(X, verbose=0)["a"][:, 0]
    frame = model.explain_loss(X, {"a": values + 1.0, "b": values - 1.0})
    np.testing.assert_allclose(frame["gradient_share"], [0.25, 0.75], rtol=1e-5)
    np.testing.assert_allclose(frame["gradient_cosine"], [-1.0, 1.0], rtol=1e-5)


def test_tasks_without_labels_or_weight():
    model, y = build(binary_tasks(), loss_weights={"c": 0.0}), binary_labels()
    frame = model.explain_loss(X, {"a": y["a"], "c": y["c"]})
    assert frame["labels"].tolist() == [16, 0, 24]
    np.testing.assert_array_equal(frame["loss"].isna(), [False, True, False])
    np.testing.assert_array_equal(frame["loss_share"], [1.0, np.nan, 0.0])
    np.testing.assert_array_equal(frame["gradient_share"], [1.0, np.nan, 0.0])
    np.testing.assert_allclose(frame["gradient_cosine"], [1.0, np.nan, np.nan])


def test_weights_of_rows_and_classes_count_as_in_training():
    task = BinaryTask("a", class_weight={0: 3.0}, metrics=[])
    model, y = build([task], optimizer=keras.optimizers.SGD(0.0)), {"a": Y["buy"]}
    rows = np.random.default_rng(0).uniform(0.0, 0.01, len(X))
    rows[:4] = 0.0
    options = {"sample_weight": rows}
    frame = model.explain_loss(X, y, **options)
    logs = fit(model, X, y, batch_size=24, **options)
    assert frame.loc["a", "loss"] == pytest.approx(logs["a_loss"], rel=1e-6)
    assert frame.loc["a", "labels"] == 20
    weights = rows * np.where(y["a"] == 0, 3.0, 1.0)
    p = np.average(y["a"], weights=weights)
    entropy = -p * np.log(p) - (1 - p) * np.log(1 - p)
    assert frame.loc["a", "constant_loss"] == pytest.approx(entropy, rel=1e-5)
    by_call = model.explain_loss(X, y, class_weight={"a": {0: 6.0}})
    assert by_call.loc["a", "constant_loss"] != pytest.approx(entropy)


def test_frames_and_datasets_give_the_same():
    model, y = build(binary_tasks()), binary_labels()
    table = model.explain_loss(X, pd.DataFrame(y), batch_size=9)
    rows = tf.data.Dataset.from_tensor_slices((X, y))
    read = model.explain_loss(rows.batch(6).repeat(), steps=4)
    pd.testing.assert_frame_equal(read, table, rtol=1e-5)


@pytest.mark.slow
def test_traced_on_a_frame():
    tasks = [BinaryTask("a", metrics=[]), RegressionTask("b", metrics=[])]
    frame = pd.DataFrame(X, columns=list("wxyz")).assign(**some_labels(tasks))
    model = build(tasks, inputs=frame)
    eager = model.explain_loss(frame)
    model.compile(run_eagerly=False)
    traced = model.explain_loss(frame, batch_size=9)
    pd.testing.assert_frame_equal(traced, eager, rtol=1e-5)


def test_nothing_in_the_model_changes():
    layers = [keras.layers.Dense(8), keras.layers.BatchNormalization()]
    trunk = [*layers, keras.layers.Dropout(0.5)]
    model = build(binary_tasks(), trunk=trunk, balancing=kmtl.balancing.DWA())
    y = binary_labels()
    logs = fit(model, X, y)
    before = [v.numpy() for v in [*model.variables, *model.balancing_state.weights]]
    table = model.explain_loss(X, y)
    after = [v.numpy() for v in [*model.variables, *model.balancing_state.weights]]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert model.get_metrics_result() == logs
    pd.testing.assert_frame_equal(model.explain_loss(X, y), table)


def test_labels_of_a_head_of_its_own_count_one_by_one():
    head = keras.layers.Dense(5)
    task = RegressionTask("a", head=head, standardize=False, metrics=[])
    y = np.random.default_rng(0).normal(size=(24, 5))
    y[:3, 0] = np.nan
    row = build([task]).explain_loss(X, {"a": y}).loc["a"]
    assert (row["labels"], row["labelled"]) == (117, 117 / 120)
    assert row["constant_loss"] == pytest.approx(np.nanvar(y), rel=1e-5)


def test_a_class_that_never_occurs_leaves_the_constant_finite():
    tasks = [MulticlassTask("a", classes=4), BinaryTask("b")]
    y = {"a": np.arange(24) % 2, "b": np.ones(24)}
    frame = build(tasks).explain_loss(X, y)
    np.testing.assert_allclose(frame["constant_loss"], [np.log(2), 0.0], atol=1e-5)


@pytest.mark.slow
def test_conditional_tasks_and_products():
    tasks = [
        BinaryTask("ctr", label="click"),
        BinaryTask("cvr", label="buy", only_if="ctr", loss_weight=0.0),
        kmtl.ProductTask("ctcvr", ["ctr", "cvr"], label="buy"),
        BinaryTask("late", condition_on="ctr"),
    ]
    y = {"ctr": Y["click"], "cvr": Y["buy"], "ctcvr": Y["buy"], "late": Y["buy"]}
    model = build(tasks)
    frame, logs = model.explain_loss(X, y), evaluate(model, X, y)
    expected = [logs[f"{name}_loss"] for name in model.task_names]
    np.testing.assert_allclose(frame["loss"], expected, rtol=1e-6)
    assert frame.loc[["ctr", "ctcvr", "late"], "gradient_share"].gt(0.0).all()


@pytest.mark.slow
def test_mixed_precision():
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = build(binary_tasks())
    finally:
        keras.config.set_dtype_policy("float32")
    twin, y = build(binary_tasks()), binary_labels()
    twin.set_weights(model.get_weights())
    halves, wholes = model.explain_loss(X, y), twin.explain_loss(X, y)
    np.testing.assert_allclose(halves, wholes, atol=0.01)


def test_wrong_inputs_are_refused(table):
    model, _ = table
    nothing = {name: np.full(24, np.nan) for name in model.task_names}
    with pytest.raises(ValueError, match="needs labels that count"):
        model.explain_loss(X, nothing)
    with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
        model.explain_loss(X, Y, batch_size=0)
    with pytest.raises(ValueError, match="an endless dataset and steps=None"):
        model.explain_loss(tf.data.Dataset.from_tensors((X, Y)).repeat())
    with pytest.raises(ValueError, match="Did you mean 'click'"):
        model.explain_loss(X, {"clock": Y["click"]})


def test_an_uncompiled_model_is_refused(table, tmp_path):
    table[0].save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", compile=False)
    with pytest.raises(ValueError, match=r"call `compile\(\)`"):
        loaded.explain_loss(X, Y)
