"""Gates and mixtures against plain NumPy."""

import keras
import numpy as np
import pytest

from kmtl.layers import (
    AddOwnExperts,
    MixExperts,
    MixOwnExperts,
    SharedGate,
    SplitShared,
    StreamsToExperts,
    TaskGate,
)

RNG = np.random.default_rng(0)
X = RNG.normal(size=(5, 4)).astype("float32")
STREAMS = RNG.normal(size=(5, 2, 4)).astype("float32")
EXPERTS = RNG.normal(size=(5, 3, 6)).astype("float32")
MAPS = RNG.normal(size=(5, 2, 3, 3, 6)).astype("float32")
NAMES = ["/0", "/1", "/2"]
TASKS = ["a", "b"]


def softmax(logits):
    weights = np.exp(logits)
    return weights / weights.sum(axis=-1, keepdims=True)


def test_a_gate_is_the_softmax_of_a_linear_map():
    gate = TaskGate(NAMES, tasks=TASKS)
    outputs = gate(X)
    expected = softmax(np.einsum("bf,tfe->bte", X, gate.get_weights()[0]))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_a_gate_sees_the_stream_of_its_task():
    gate = TaskGate(NAMES, tasks=TASKS)
    outputs = gate(STREAMS)
    expected = softmax(np.einsum("btf,tfe->bte", STREAMS, gate.get_weights()[0]))
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)


def test_on_maps_a_gate_sees_the_mean_over_the_pixels():
    gate = TaskGate(NAMES, tasks=["a", "b", "c"], seed=0)
    np.testing.assert_allclose(gate(MAPS), gate(MAPS.mean(axis=(1, 2))), rtol=1e-5)


def test_gates_start_different_and_scaled_as_dense_layers():
    gate = TaskGate([f"/{i}" for i in range(100)], tasks=TASKS)
    gate.build((None, 200))
    first, second = gate.get_weights()[0]
    expected = np.std(keras.initializers.GlorotUniform()((200, 100)))
    assert first.std() == pytest.approx(expected, rel=0.02)
    assert abs(np.corrcoef(first.ravel(), second.ravel())[0, 1]) < 0.05


def test_initial_gates_follow_the_names_of_tasks_and_experts():
    gate = TaskGate(NAMES, tasks=TASKS, seed=1)
    other = TaskGate(NAMES[::-1], tasks=TASKS[::-1], seed=1)
    np.testing.assert_array_equal(np.flip(gate(X), (1, 2)), other(X))


def test_a_gate_is_shown_by_tasks_and_experts():
    gate = TaskGate(NAMES, tasks=TASKS)
    frame = gate.sharing_frame(np.mean(gate(X), axis=0))
    assert list(frame.index) == TASKS
    assert list(frame.columns) == ["shared/0", "shared/1", "shared/2"]
    np.testing.assert_allclose(frame.sum(axis=1), 1.0, rtol=1e-6)


def test_the_shared_gate_weighs_all_experts():
    gate = SharedGate(tasks=["a/0", "b/0", "/0"])
    outputs = gate(X)
    expected = softmax(X @ gate.get_weights()[0][..., 0].T)[:, None]
    np.testing.assert_allclose(outputs, expected, rtol=1e-5)
    np.testing.assert_allclose(gate(X[:, None]), expected, rtol=1e-5)
    frame = gate.sharing_frame(np.mean(outputs, axis=0))
    assert (list(frame.index), frame.columns[-1]) == (["shared"], "shared/0")


def test_a_mixture_is_a_weighted_sum_of_experts():
    gates = RNG.uniform(size=(5, 2, 3)).astype("float32")
    mixed = MixExperts()([EXPERTS, gates])
    expected = np.einsum("bte,beu->btu", gates, EXPERTS)
    np.testing.assert_allclose(mixed, expected, rtol=1e-4, atol=1e-6)


def test_maps_are_mixed_with_one_weight_for_all_pixels():
    gates = RNG.uniform(size=(5, 2, 3)).astype("float32")
    mixed = MixExperts()([MAPS, gates])
    expected = np.einsum("bte,bhweu->bhwtu", gates, MAPS)
    np.testing.assert_allclose(mixed, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("own", [1, 2])
@pytest.mark.parametrize("position", [(), (2, 3)])
def test_own_and_shared_experts_are_mixed_as_by_a_loop_over_tasks(own, position):
    experts = RNG.normal(size=(5, *position, 3 * own, 6)).astype("float32")
    shared = RNG.normal(size=(5, *position, 2, 6)).astype("float32")
    gates = RNG.uniform(size=(5, 3, own + 2)).astype("float32")
    mixed = MixOwnExperts()([experts, shared, gates])
    for t in range(3):
        mine = np.concatenate([experts[..., t * own : (t + 1) * own, :], shared], -2)
        expected = np.einsum("be,b...eu->b...u", gates[:, t], mine)
        np.testing.assert_allclose(mixed[..., t, :], expected, rtol=1e-4, atol=1e-5)


def test_a_task_takes_nothing_of_another_tasks_experts():
    own, shared = EXPERTS.copy(), EXPERTS[:, :1]
    gates = np.full((5, 3, 2), 0.5, "float32")
    before = MixOwnExperts()([own, shared, gates])
    own[:, 2] = 1e6
    after = MixOwnExperts()([own, shared, gates])
    np.testing.assert_array_equal(before[:, :2], after[:, :2])


def test_gates_of_zero_leave_each_task_its_own_expert():
    names = ["a/0", "b/0", "c/0"]
    gates = AddOwnExperts(["a", "b", "c"], tasks=names)(np.zeros((5, 3, 3), "float32"))
    np.testing.assert_array_equal(MixExperts()([EXPERTS, gates]), EXPERTS)


def test_learned_residuals_start_within_the_bounds_of_their_task():
    names = [f"a/{i}" for i in range(25)] + ["/0"]
    layer = AddOwnExperts(["a", "/0"], tasks=names, learned=True)
    layer(np.zeros((1, 2, 26), "float32"))
    frame = layer.sharing_frame(None)
    own = frame.loc["a"].to_numpy()[:-1]
    assert 0.8 / 5 < np.abs(own).max() <= 1 / 5  # sqrt(1 / 25)
    assert not frame.loc["shared/0"].to_numpy()[:-1].any()
    assert frame.loc["a", "shared/0"] == 0.0


def test_streams_are_repeated_for_own_and_shared_experts():
    streams = np.arange(3.0).reshape(1, 3, 1)
    spread = StreamsToExperts(3, shared=2)(streams)
    np.testing.assert_array_equal(np.ravel(spread), [0, 0, 0, 1, 1, 1, 2, 2])
    own, shared = SplitShared(2)(spread)
    assert (own.shape[1], shared.shape[1]) == (6, 2)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: TaskGate(["/0", "/0"], tasks=TASKS), "`experts` must be unique"),
        (lambda: TaskGate(NAMES, tasks=["a"])(STREAMS), "expects 1 tasks"),
        (lambda: StreamsToExperts(0, shared=1), "`own` must be a positive integer"),
        (lambda: StreamsToExperts(1, shared=-1), "`shared` must be an integer of at"),
    ],
)
def test_wrong_arguments_are_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()
