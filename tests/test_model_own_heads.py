"""Heads of a task's own, on representations and labels of any rank."""

import keras
import numpy as np
import pytest
from small import build, evaluate, fit

import kmtl
from kmtl import BinaryTask, MulticlassTask, RegressionTask

RNG = np.random.default_rng(0)
IMAGES = RNG.uniform(size=(10, 6, 6, 1)).astype("float32")
TEXTS = RNG.integers(0, 20, (10, 7))
CNN = kmtl.trunks.CNN([4], pooling=None)


def segmenter():
    """A class a pixel, a yes-or-no a pixel, and a number a row, on one feature map."""
    tasks = [
        MulticlassTask("part", classes=3, head=keras.layers.Conv2D(3, 1)),
        BinaryTask("edge", head=keras.layers.Conv2D(1, 1), metrics=["accuracy"]),
        RegressionTask(
            "size",
            standardize=False,
            head=[keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)],
        ),
    ]
    return build(tasks, inputs=(6, 6, 1), trunk=CNN)


@pytest.fixture
def masks():
    rng = np.random.default_rng(1)
    return {
        "part": rng.integers(0, 3, (10, 6, 6)).astype(float),
        "edge": rng.integers(0, 2, (10, 6, 6)).astype(float),
        "size": rng.uniform(size=10),
    }


def missing(labels):
    """Every third element has no label."""
    flat = np.arange(labels.size).reshape(labels.shape)
    return np.where(flat % 3 == 0, np.nan, labels)


def cross_entropy(probabilities, labels):
    """The mean over labelled elements, by NumPy."""
    known = ~np.isnan(labels)
    chosen = np.take_along_axis(
        probabilities, np.nan_to_num(labels).astype(int)[..., None], axis=-1
    )[..., 0]
    return -np.log(chosen[known]).mean()


def test_a_head_a_pixel_has_outputs_a_pixel():
    outputs = segmenter().predict(IMAGES, verbose=0)
    shapes = {name: output.shape for name, output in outputs.items()}
    expected = {"part": (10, 6, 6, 3), "edge": (10, 6, 6, 1), "size": (10, 1)}
    assert shapes == expected


def test_losses_and_metrics_are_means_over_labelled_pixels(masks):
    model = segmenter()
    y = {name: missing(labels) for name, labels in masks.items()}
    outputs = model.predict(IMAGES, verbose=0)
    logs = evaluate(model, IMAGES, y, batch_size=4)
    edge = outputs["edge"][..., 0]
    hits = (edge > 0.5) == y["edge"]
    part = cross_entropy(outputs["part"], y["part"])
    both = np.stack([1 - edge, edge], axis=-1)
    known = ~np.isnan(y["edge"])
    assert logs["part_loss"] == pytest.approx(part, rel=1e-5)
    assert logs["edge_loss"] == pytest.approx(cross_entropy(both, y["edge"]), rel=1e-5)
    assert logs["edge_accuracy"] == pytest.approx(hits[known].mean(), rel=1e-6)


def test_missing_pixels_train_as_if_they_were_not_there(masks):
    x, y = IMAGES[:1], {"edge": masks["edge"][:1]}
    head = keras.layers.Conv2D(1, 1)
    model = build([BinaryTask("edge", head=head)], inputs=(6, 6, 1), trunk=CNN)
    start = model.get_weights()
    half = y["edge"].copy()
    half[:, 3:] = np.nan
    fit(model, x, {"edge": half})
    trained = model.get_weights()
    model.set_weights(start)
    weight = np.where(np.isnan(half), 0.0, 1.0)
    fit(model, x, y, sample_weight={"edge": weight})
    for ours, theirs in zip(trained, model.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)


def test_a_row_weight_holds_for_each_of_its_pixels(masks):
    model = segmenter()
    weight = np.arange(10) % 2
    logs = evaluate(model, IMAGES, masks, sample_weight=weight)
    kept = {name: labels[weight > 0] for name, labels in masks.items()}
    assert logs == pytest.approx(evaluate(model, IMAGES[weight > 0], kept), rel=1e-5)


def test_a_head_a_token_on_a_recurrent_trunk():
    trunk = [
        keras.layers.Embedding(20, 6),
        keras.layers.GRU(5, return_sequences=True),
    ]
    tasks = [
        MulticlassTask("tag", classes=4, head=keras.layers.Dense(4)),
        BinaryTask("start", head=keras.layers.Dense(1)),
    ]
    model = build(tasks, inputs=keras.Input((7,), dtype="int32"), trunk=trunk)
    rng = np.random.default_rng(1)
    y = {
        "tag": missing(rng.integers(0, 4, (10, 7)).astype(float)),
        "start": rng.integers(0, 2, (10, 7)),
    }
    logs = evaluate(model, TEXTS, y, batch_size=4)
    outputs = model.predict(TEXTS, verbose=0)
    hit = (outputs["tag"].argmax(-1) == y["tag"])[~np.isnan(y["tag"])]
    loss = cross_entropy(outputs["tag"], y["tag"])
    assert logs["tag_accuracy"] == pytest.approx(hit.mean())
    assert logs["tag_loss"] == pytest.approx(loss, rel=1e-5)
    assert fit(model, TEXTS, y, epochs=5)["loss"] < logs["loss"]


def test_a_vector_of_numbers_a_row():
    task = RegressionTask("place", head=keras.layers.Dense(3), metrics=["mae", "rmse"])
    model = build([task, BinaryTask("seen")])
    rng = np.random.default_rng(1)
    x = rng.normal(size=(9, 4))
    place = missing(rng.normal(5.0, 2.0, (9, 3)))
    y = {"place": place, "seen": rng.integers(0, 2, 9)}
    model.adapt_labels(y)
    error = model.predict(x, verbose=0)["place"] - place
    logs = evaluate(model, x, y, batch_size=4)
    mean_square = np.nanmean(error**2)
    assert logs["place_mae"] == pytest.approx(np.nanmean(abs(error)), rel=1e-5)
    assert logs["place_rmse"] == pytest.approx(np.sqrt(mean_square), rel=1e-5)
    variance = np.nanvar(place)
    assert logs["place_loss"] == pytest.approx(mean_square / variance, rel=1e-5)
    assert fit(model, x, y, epochs=5)["place_loss"] < logs["place_loss"]


def test_a_vector_regression_with_a_callable_loss():
    def distance(y_true, y_pred):
        return keras.ops.abs(y_true - y_pred)[..., 0]

    head = keras.layers.Dense(2)
    task = RegressionTask("place", standardize=False, head=head, loss=distance)
    model = build([task])
    x, place = np.ones((3, 4)), np.ones((3, 2))
    logs = evaluate(model, x, {"place": place})
    assert logs["place_loss"] == pytest.approx(logs["place_mae"], rel=1e-6)


def test_an_image_of_numbers():
    decoder = keras.layers.Conv2D(1, 1)
    task = RegressionTask("depth", head=decoder, metrics=["mae"])
    model = build([task], inputs=(6, 6, 1), trunk=CNN)
    depth = missing(np.random.default_rng(1).uniform(1.0, 9.0, (10, 6, 6)))
    model.adapt_labels({"depth": depth})
    error = model.predict(IMAGES, verbose=0)["depth"][..., 0] - depth
    logs = evaluate(model, IMAGES, {"depth": depth}, batch_size=4)
    assert logs["depth_mae"] == pytest.approx(np.nanmean(abs(error)), rel=1e-5)


def test_a_keras_metric_sees_the_labelled_elements_only(masks):
    head = keras.layers.Conv2D(1, 1)
    metric = keras.metrics.BinaryAccuracy(name="hits")
    task = BinaryTask("edge", head=head, metrics=[metric, "accuracy"])
    model = build([task], inputs=(6, 6, 1), trunk=CNN)
    logs = evaluate(model, IMAGES, {"edge": missing(masks["edge"])}, batch_size=4)
    assert logs["edge_hits"] == pytest.approx(logs["edge_accuracy"], rel=1e-6)


def test_a_head_may_be_a_model_a_list_or_a_function():
    def function(x):
        return keras.layers.Dense(1)(keras.layers.Dense(3)(x))

    inputs = keras.Input((8,))
    tasks = [
        BinaryTask("model", head=keras.Model(inputs, keras.layers.Dense(1)(inputs))),
        BinaryTask("list", head=[keras.layers.Dense(3), keras.layers.Dense(1)]),
        BinaryTask("function", head=function),
        BinaryTask("built_in"),
    ]
    outputs = build(tasks).predict(np.ones((2, 4)), verbose=0)
    assert {output.shape for output in outputs.values()} == {(2, 1)}


def test_own_and_built_in_heads_train_side_by_side():
    tasks = [
        BinaryTask("a", head=keras.layers.Dense(1)),
        MulticlassTask("b", classes=3),
        BinaryTask("c"),
        RegressionTask("d", head=keras.layers.Dense(2)),
        BinaryTask("e"),
    ]
    model = build(tasks)
    x = RNG.normal(size=(12, 4))
    y = {"a": x[:, 0] > 0, "b": np.arange(12) % 3, "c": x[:, 1] > 0, "d": x[:, :2]}
    y["e"] = y["a"]
    first = fit(model, x, y)
    assert fit(model, x, y, epochs=6)["loss"] < first["loss"]


def test_own_heads_come_back_from_a_file(tmp_path, masks):
    model = segmenter()
    fit(model, IMAGES, masks)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    expected = model.predict(IMAGES, verbose=0)
    actual = loaded.predict(IMAGES, verbose=0)
    for name in expected:
        np.testing.assert_array_equal(actual[name], expected[name])
    assert evaluate(loaded, IMAGES, masks) == evaluate(model, IMAGES, masks)


@pytest.mark.parametrize(
    ("task", "width"),
    [
        (BinaryTask("t", head=keras.layers.Dense(2)), 1),
        (MulticlassTask("t", classes=4, head=keras.layers.Dense(3)), 4),
    ],
)
def test_a_head_of_another_width_is_refused(task, width):
    with pytest.raises(ValueError, match=f"'t' must end in {width} units"):
        build([task])


def test_a_feature_map_needs_a_head_of_its_own():
    with pytest.raises(ValueError, match=r"feature map.*\['whole'\].*pooling=\"avg\""):
        build([BinaryTask("whole")], inputs=(6, 6, 1), trunk=CNN)
