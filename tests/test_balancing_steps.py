"""What a balanced training step does: whose weights, when, and from which losses."""

import keras
import numpy as np
import pytest
from balanced import TASKS, X, Y, balanced, state_of, train
from small import build, fit, head_slices, weights_by_path

import kmtl
from kmtl.balancing import (
    DWA,
    FAMO,
    CAGrad,
    FixedWeights,
    NormalizedLosses,
    UPGrad,
)

FIRST = X[:12], {name: values[:12] for name, values in Y.items()}


def losses_of(model, x=FIRST[0], y=FIRST[1]):
    logs = model.evaluate(x, y, batch_size=len(x), return_dict=True, verbose=0)
    return np.array([logs[f"{name}_loss"] for name in model.task_names])


def weights_of(model):
    return np.array([*model.task_weights.values()])


@pytest.mark.usefixtures("in_float64")
def test_weights_are_computed_in_one_of_so_many_steps():
    model, by_hand = balanced(CAGrad(every=3)), balanced(CAGrad())
    for step in range(4):
        rows = slice(5 * step, 5 * step + 8)
        batch = X[rows], {name: values[rows] for name, values in Y.items()}
        if step % 3 == 0:
            by_hand.compile(balancing=CAGrad())
            by_hand.train_on_batch(*batch)
            held = by_hand.task_weights
        else:
            # Heads are trained by their own gradients: hold them back.
            hold(by_hand, held, batch)
        model.train_on_batch(*batch)
        assert model.task_weights == pytest.approx(held, rel=1e-9)
        for one, other in zip(model.get_weights(), by_hand.get_weights(), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-9)


def hold(model, weights, batch):
    """Takes a step in which what tasks share has other weights than the heads."""
    start = {v.path: v.numpy() for v in model.trainable_variables}
    model.compile(balancing=FixedWeights())
    model.loss_weights = weights
    model.train_on_batch(*batch)
    shared = {v.path: v.numpy() for v in model.encoder.trainable_variables}
    for variable in model.trainable_variables:
        variable.assign(start[variable.path])
    model.loss_weights = dict.fromkeys(weights, 1.0)
    model.train_on_batch(*batch)
    for variable in model.encoder.trainable_variables:
        variable.assign(shared[variable.path])


@pytest.mark.usefixtures("in_float64")
@pytest.mark.parametrize(
    "at", ["representation", pytest.param("shared", marks=pytest.mark.slow)]
)
def test_weighted_heads_are_trained_by_weighted_losses(at):
    model = balanced(UPGrad(at=at, weighted_heads=True))
    own = balanced(UPGrad(at=at))
    model.train_on_batch(*FIRST)
    own.train_on_batch(*FIRST)
    weighted = build(TASKS, loss_weights=model.task_weights)
    plain = build(TASKS)
    weighted.train_on_batch(*FIRST)
    plain.train_on_batch(*FIRST)
    assert model.task_weights == own.task_weights
    for one, other in zip(model.get_weights(), weighted.get_weights(), strict=True):
        if one.shape != (4,):  # the loss weights
            np.testing.assert_allclose(one, other, rtol=1e-9)
    for task in TASKS:
        np.testing.assert_allclose(
            head_slices(own, task.name)[0], head_slices(plain, task.name)[0], rtol=1e-9
        )


def test_dwa_weighs_by_the_logged_losses_of_two_epochs():
    model = balanced(DWA(0.5))
    history = model.fit(X, Y, epochs=4, batch_size=12, shuffle=False, verbose=0).history
    losses = np.array([history[f"{task.name}_loss"] for task in TASKS])
    powers = np.exp(losses[:, 1:3] / losses[:, :2] / 0.5)
    expected = np.ones((4, 4))
    expected[:, 2:] = 4 * powers / powers.sum(axis=0)
    actual = [history[f"{task.name}_weight"] for task in TASKS]
    np.testing.assert_allclose(actual, expected, rtol=1e-5)
    assert int(model.balancing_state.epoch) == 4


def trunk():
    """Batch normalisation, dropout, and a penalty of what a layer computes."""
    layers = keras.layers
    x = keras.Input((4,))
    inner = layers.Dropout(0.3, seed=3)(layers.BatchNormalization()(layers.Dense(6)(x)))
    return keras.Model(x, layers.ActivityRegularization(l2=0.1)(inner))


def test_the_second_pass_of_famo_leaves_no_trace():
    # Nothing is trained: so the same is logged, whatever the weights.
    model, plain = balanced(FAMO(), trunk=trunk()), build(TASKS, trunk=trunk())
    plain.set_weights(model.get_weights())
    for each in (model, plain):
        each.compile(keras.optimizers.SGD(0.0))
    logs, expected = fit(model, X, Y, epochs=2), fit(plain, X, Y, epochs=2)
    assert {name: logs[name] for name in expected} == expected
    ours, theirs = model.non_trainable_variables, plain.non_trainable_variables
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(one, other, err_msg=one.path)
    # And with the same dropout the losses after the step are those before it.
    assert not state_of(model)["first_moment"].any()


def test_famo_learns_from_the_losses_after_the_step():
    model, plain = balanced(FAMO(gamma=0.0)), build(TASKS)
    before = losses_of(plain)
    z = 0.25
    weights = 4 * (z / before) / (z / before).sum()
    plain.loss_weights = dict(zip(plain.task_names, weights, strict=True))
    plain.train_on_batch(*FIRST)
    model.train_on_batch(*FIRST)
    np.testing.assert_allclose(weights_of(model), weights, rtol=1e-5)
    np.testing.assert_allclose(losses_of(model), losses_of(plain), rtol=1e-5)
    fall = np.log(before) - np.log(losses_of(plain))
    gradient = z * (fall - z * fall.sum())
    np.testing.assert_allclose(
        state_of(model)["first_moment"], 0.1 * gradient, rtol=1e-3
    )


def test_constant_losses_are_entropies_and_variances_of_the_labels_so_far():
    y = {name: values.copy() for name, values in Y.items()}
    y["price"][::5] = np.nan
    weight = {"buy": np.arange(1.0, 25.0)}
    model = balanced(NormalizedLosses())
    for rows in (slice(0, 12), slice(12, 24)):
        labels = {name: values[rows] for name, values in y.items()}
        model.train_on_batch(X[rows], labels, {"buy": weight["buy"][rows]})
    # One row of each class is there from the start: no class is impossible.
    shares = (np.bincount(y["colour"].astype(int), minlength=3) + 1) / 27
    now = shares[y["colour"][rows].astype(int)]
    buys = (np.sum(y["buy"] * weight["buy"]) + 1) / (weight["buy"].sum() + 2)
    likelihood = np.log(np.where(y["buy"][rows] > 0, buys, 1 - buys))
    price = y["price"][rows]
    expected = {
        "colour": -np.log(now).mean(),
        "price": np.nanmean((price - np.nanmean(y["price"])) ** 2),
        "buy": -np.average(likelihood, weights=weight["buy"][rows]),
    }
    for name, loss in expected.items():
        assert model.task_weights[name] == pytest.approx(1 / loss, rel=1e-5), name


@pytest.mark.slow
def test_after_many_labels_constants_are_the_best_ones():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20000, 4)).astype("float32")
    y = {
        "buy": rng.binomial(1, 0.1, 20000).astype(float),
        "colour": rng.choice(3, 20000, p=[0.7, 0.2, 0.1]).astype(float),
        "price": rng.normal(5.0, 3.0, 20000),
    }
    tasks = [task for task in TASKS if task.name in y]
    model = balanced(NormalizedLosses(), tasks)
    model.train_on_batch(x, y)
    colours, buys = np.array([0.7, 0.2, 0.1]), np.array([0.9, 0.1])
    expected = {
        "colour": -1 / np.sum(colours * np.log(colours)),
        "price": 1 / 3.0**2,
        "buy": -1 / np.sum(buys * np.log(buys)),
    }
    assert model.task_weights == pytest.approx(expected, rel=0.05)


def test_a_part_of_what_is_shared_can_be_frozen():
    model = balanced(UPGrad(at="shared"), trunk=kmtl.trunks.MLP([8, 6]))
    train(model, steps=1)
    model.get_layer("trunk_dense_0").trainable = False
    model.compile()
    before = weights_by_path(model)
    frozen = model.get_layer("trunk_dense_0").get_weights()
    train(model, steps=1)
    np.testing.assert_equal(model.get_layer("trunk_dense_0").get_weights(), frozen)
    after = weights_by_path(model)
    assert not any(np.array_equal(after[name], before[name]) for name in before)
    model.get_layer("trunk_dense_1").trainable = False
    with pytest.raises(ValueError, match=r"trained weights that tasks share"):
        model.compile()
