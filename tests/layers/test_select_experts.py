"""The gates of DSelect-k."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from kmtl.layers import SelectExperts
from kmtl.layers._select_experts import smooth_step

X = np.random.default_rng(0).normal(size=(5, 4)).astype("float32")
TASKS = ["a", "b"]


def names(count):
    return [f"/{i}" for i in range(count)]


def test_the_smooth_step_has_the_values_of_the_paper():
    values = smooth_step(np.array([-9.0, -0.5, -0.25, 0.0, 0.25, 0.5, 9.0]), 1.0)
    np.testing.assert_allclose(values, [0, 0, 0.15625, 0.5, 0.84375, 1, 1])
    np.testing.assert_allclose(smooth_step(np.array([-1.0, 0.5]), 2.0), [0, 0.84375])


@pytest.mark.parametrize("per_example", [False, True])
def test_weights_are_those_of_a_loop_over_tasks_selectors_and_bits(per_example):
    gate = SelectExperts(names(4), tasks=TASKS, k=2, per_example=per_example, seed=0)
    gate.build((None, 4))
    rng = np.random.default_rng(1)
    gate.set_weights([rng.normal(scale=0.3, size=w.shape) for w in gate.get_weights()])
    values = {w.name: np.asarray(w) for w in gate.weights}
    x = X if per_example else 0.0 * X
    kernels = values if per_example else {"code_kernel": None, "mix_kernel": None}
    outputs = gate(X)
    for row in range(5):
        for task in range(2):
            expected = reference(values, kernels, x[row], task)
            np.testing.assert_allclose(outputs[row, task], expected, atol=1e-6)


def reference(values, kernels, x, task):
    """One row and task, written from equations 3 to 5 of the paper."""
    code, mix = values["code"][task], values["mix"][task]
    if kernels["code_kernel"] is not None:
        code = code + np.tensordot(x, kernels["code_kernel"][task], 1)
        mix = mix + x @ kernels["mix_kernel"][task]
    share = np.exp(mix) / np.exp(mix).sum()
    weights = np.zeros(4)
    for selector in range(2):
        s = np.asarray(smooth_step(code[selector], 1.0))
        for expert in range(4):
            bits = [expert % 2, expert // 2]
            chosen = np.where(bits, s, 1 - s)
            weights[expert] += share[selector] * chosen.prod()
    return weights


def test_weights_sum_to_one_where_experts_are_a_power_of_two():
    gates = SelectExperts(names(8), tasks=TASKS)(X)
    np.testing.assert_allclose(np.sum(gates, axis=-1), np.ones((5, 2)), rtol=1e-6)
    np.testing.assert_allclose(gates, np.full((5, 2, 8), 1 / 8), rtol=0.1)


def test_the_entropy_is_a_loss_of_the_layer():
    gate = SelectExperts(names(4), tasks=TASKS, k=3, entropy=0.1)
    gate(X)
    # Near the start every selector gives 1/4 to each of 4 experts.
    (penalty,) = gate.losses
    assert float(penalty) == pytest.approx(0.1 * 2 * 3 * np.log(4), rel=1e-3)


def test_codes_without_an_expert_cost_something_until_they_are_unused():
    gate = SelectExperts(names(3), tasks=["a"], k=1, entropy=0.0)
    gate.build((None, 4))
    gate.code.assign([[[0.0, 0.0]]])  # 1/4 each, one of them to no expert
    gate(X)
    assert float(gate.losses[0]) == pytest.approx(1 / 0.75 - 1)
    gate.code.assign([[[1.0, -1.0]]])  # binary 01: expert 1
    np.testing.assert_array_equal(gate(X)[0, 0], [0.0, 1.0, 0.0])
    assert float(gate.losses[0]) == pytest.approx(0.0, abs=1e-6)


def test_the_penalty_of_gates_by_example_does_not_depend_on_the_batch_size():
    gate = SelectExperts(names(3), tasks=TASKS, per_example=True, entropy=0.1)
    gate(X)
    once = float(gate.losses[0])
    gate(np.concatenate([X, X]))
    assert float(gate.losses[0]) == pytest.approx(once, rel=1e-5)


@pytest.mark.slow
def test_trained_gates_keep_at_most_k_experts():
    gate = SelectExperts(names(6), tasks=TASKS, k=2, entropy=0.01, seed=0)
    x = tf.constant(X[:1])
    gate(x)
    wanted = np.full((1, 2, 6), 0.1, "float32")
    wanted[0, 0, [1, 4]] = wanted[0, 1, [2, 3]] = 1.0
    optimizer = keras.optimizers.Adam(0.05)

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum((gate(x) - wanted) ** 2) + sum(gate.losses)
        values = [v.value for v in gate.trainable_variables]
        optimizer.apply(tape.gradient(loss, values), gate.trainable_variables)

    optimizer.build(gate.trainable_variables)
    for _ in range(120):
        step()
    weights = np.asarray(gate(x))[0]
    assert (np.count_nonzero(weights, axis=-1) <= 2).all()
    np.testing.assert_allclose(weights.sum(axis=-1), [1, 1], rtol=1e-6)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 5}, "`k` must be at most.*Received: k=5, experts=4"),
        ({"k": 0}, "`k` must be a positive integer"),
        ({"gamma": 0.0}, "`gamma` must be positive"),
        ({"entropy": -1.0}, "`entropy` must be a finite number of at least 0"),
        ({"per_example": 1}, "`per_example` must be True or False"),
    ],
)
def test_wrong_arguments_are_errors(options, message):
    with pytest.raises(ValueError, match=message):
        SelectExperts(names(4), tasks=TASKS, **options)
