"""Soft parameter sharing: towers that a penalty draws together."""

import keras
import numpy as np
import pytest
from small import build, fit, some_inputs, some_labels, some_tasks

import kmtl
from kmtl.regularizers import MeanL2
from kmtl.sharing import Soft

TASKS = [kmtl.BinaryTask("click"), kmtl.RegressionTask("price")]
X, Y = some_inputs(), some_labels(TASKS)
KERNELS = ["trunk_dense_0/kernel", "trunk_dense_1/kernel"]
TRUNK = kmtl.trunks.MLP([8, 4], activation="tanh")


def soft(strength=0.0, tasks=TASKS, **options):
    trunk = options.pop("trunk", TRUNK)
    return build(tasks, trunk=trunk, sharing=Soft(MeanL2(strength), **options))


def kernels(model):
    """Stacked kernels of the towers, whatever the kind of trunk."""
    return [keras.ops.convert_to_numpy(w.variable) for w in model.towers.weights]


def spread(model):
    return max(frame.to_numpy().max() for frame in model.tower_distances().values())


def test_towers_start_equal():
    model = soft(1.0)
    assert list(model.tower_distances()) == KERNELS
    assert spread(model) == 0
    assert model.shared_tensors == []


@pytest.mark.parametrize(
    "trunk",
    [TRUNK, pytest.param(TRUNK.__call__, marks=pytest.mark.slow)],
    ids=["stacked", "any"],
)
def test_strength_zero_equals_independent_models(trunk):
    model = soft(trunk=trunk)
    alone = [build([task], trunk=TRUNK) for task in TASKS]
    for index, single in enumerate(alone):
        start = [kernel[index] for kernel in kernels(model)]
        for layer, kernel in zip(
            ["trunk_dense_0", "trunk_dense_1"], start, strict=True
        ):
            single.get_layer(layer).kernel.assign(kernel)
    logs = fit(model, X, Y, epochs=3)
    assert logs["sharing_penalty"] == 0
    for single, task in zip(alone, TASKS, strict=True):
        fit(single, X, {task.name: Y[task.name]}, epochs=3)
        np.testing.assert_allclose(
            model.predict(X, verbose=0)[task.name],
            single.predict(X, verbose=0)[task.name],
            atol=1e-5,
        )


@pytest.mark.slow
def test_any_trunk_trains_as_the_stacked_one():
    stacked, other = soft(0.3), soft(0.3, trunk=TRUNK.__call__)
    for ours, theirs in zip(stacked.towers.weights, other.towers.weights, strict=True):
        theirs.variable.assign(ours.variable)
    ours, theirs = fit(stacked, X, Y, epochs=3), fit(other, X, Y, epochs=3)
    assert ours == pytest.approx(theirs, rel=1e-5)
    for one, two in zip(kernels(stacked), kernels(other), strict=True):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_the_penalty_is_counted_once_and_logged():
    model = soft(0.5)
    fit(model, X, Y)
    logs = model.evaluate(X, Y, return_dict=True, verbose=0)
    expected = 0.5 * sum(
        np.square(kernel - kernel.mean(axis=0)).sum() for kernel in kernels(model)
    )
    assert logs["sharing_penalty"] == pytest.approx(expected, rel=1e-5)
    total = logs["click_loss"] + logs["price_loss"] + logs["sharing_penalty"]
    assert logs["loss"] == pytest.approx(total, rel=1e-6)


@pytest.mark.slow
def test_a_large_strength_keeps_towers_equal():
    free = soft()
    assert spread(free) == 0
    fit(free, X, Y, epochs=3)
    tight = soft(4.0)  # times the learning rate of 0.1, below what SGD can take
    fit(tight, X, Y, epochs=3)
    assert spread(tight) < spread(free) / 3
    equal = soft(1e6, proximal=True)
    fit(equal, X, Y, epochs=3)
    assert spread(equal) < 1e-5


def test_a_proximal_step_makes_exact_zeros():
    lasso = Soft(kmtl.regularizers.GroupLasso(2.4), proximal=True)
    model = build(TASKS, trunk=TRUNK, sharing=lasso)
    fit(model, X, Y, epochs=3)
    kernel = kernels(model)[0]
    assert 0 < np.mean(kernel == 0) < 1


def test_biases_stay_free_and_layers_can_be_chosen():
    model = soft(1.0, layers=["trunk_dense_1", "trunk_dense_0/bias"])
    assert list(model.tower_distances()) == [KERNELS[1], "trunk_dense_0/bias"]
    heads = soft(1.0, heads=True, tasks=some_tasks())
    names = list(heads.tower_distances())
    assert names[:2] == KERNELS
    assert len(names) > 2


def test_the_heads_of_a_linear_model_are_its_towers():
    tasks = [kmtl.RegressionTask(name) for name in "abc"]
    model = build(tasks, trunk=lambda x: x, sharing=Soft(MeanL2(2.0), heads=True))
    fit(model, X, some_labels(tasks))
    (frame,) = model.tower_distances().values()
    assert list(frame.index) == ["a", "b", "c"]


def test_the_covariance_of_tasks_is_read_by_name():
    how = Soft(kmtl.regularizers.TaskCovariance(0.1))
    model = build(TASKS, trunk=TRUNK, sharing=how)
    model.towers.weights[0].variable.assign(np.ones((2, 4, 8)) * [[[1.0]], [[-2.0]]])
    frames = model.task_covariance()
    assert list(frames) == KERNELS
    # One direction: w_2 = -2 w_1, so the root of [[1, -2], [-2, 4]] over its trace.
    np.testing.assert_allclose(
        frames[KERNELS[0]], [[0.2, -0.4], [-0.4, 0.8]], atol=1e-6
    )
    assert list(frames[KERNELS[0]]) == ["click", "price"]
    with pytest.raises(ValueError, match=r"TaskCovariance.*MeanL2"):
        soft().task_covariance()


def test_strength_follows_a_schedule_without_a_new_trace():
    model = soft(1.0)
    model.compile(run_eagerly=False)
    callback = kmtl.callbacks.SharingStrength(lambda epoch: 0.5**epoch)
    history = model.fit(X, Y, epochs=3, callbacks=[callback], verbose=0)
    assert model.sharing_strength == 0.25
    assert history.history["sharing_penalty"][1] > 0
    assert model.train_function is not None
    model.sharing_strength = 0
    assert model.evaluate(X, Y, return_dict=True, verbose=0)["sharing_penalty"] == 0


def test_a_saved_model_keeps_its_strength_and_coupling(tmp_path):
    model = soft(1.0)
    model.sharing_strength = 0.125
    model.save(tmp_path / "soft.keras")
    loaded = keras.models.load_model(tmp_path / "soft.keras")
    assert loaded.sharing_strength == 0.125
    assert list(loaded.tower_distances()) == KERNELS


def test_a_frozen_task_keeps_its_tower():
    model = soft(0.5)
    model.set_trainable("price", False)
    before = [kernel[1].copy() for kernel in kernels(model)]
    fit(model, X, Y)
    for kernel, old in zip(kernels(model), before, strict=True):
        np.testing.assert_array_equal(kernel[1], old)
        assert np.abs(kernel[0] - old).max() > 0


def test_missing_labels_equal_rows_removed():
    known = np.arange(24) < 12
    labels = dict(Y, price=np.where(known, Y["price"], np.nan))
    some, fewer = soft(), soft()
    fit(some, X, labels, batch_size=24)
    fit(fewer, X[known], {k: v[known] for k, v in Y.items()})
    np.testing.assert_allclose(kernels(some)[0][1], kernels(fewer)[0][1], atol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layers": ["trunk_dense_O"]}, "Did you mean .*Known: .'trunk_dense_0'"),
        ({"layers": "trunk_dense_0"}, "`layers` must be a list"),
        ({"heads": 1}, "`heads` must be True or False"),
        ({"trunk": lambda x: x}, r"heads=True"),
    ],
)
def test_wrong_options_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        soft(1.0, **options)


def test_only_a_task_regularizer_couples():
    with pytest.raises(TypeError, match=r"kmtl.regularizers.*L2"):
        Soft(keras.regularizers.L2())
    with pytest.raises(ValueError, match="no coupled towers"):
        _ = build(TASKS).sharing_strength
    with pytest.raises(ValueError, match=r"sharing_strength.*-1"):
        soft().sharing_strength = -1
