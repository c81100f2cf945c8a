"""The penalties on distances: `MeanL2`, `GraphLaplacian`, `Hierarchical`."""

from itertools import combinations

import keras
import numpy as np
import pandas as pd
import pytest

from kmtl.regularizers import GraphLaplacian, Hierarchical, MeanL2

NAMES = ["a", "b", "c", "d", "e"]
GROUPS = {"one": ["a", "d"], "two": ["b", "c", "e"]}
EDGES = {("a", "b"): 1.0, ("d", "b"): 0.5, ("c", "e"): 2.0}


def square(array):
    return float(np.sum(np.square(array)))


def ridge(stack):
    return keras.regularizers.L2(1.0)(stack)


def test_mean_l2_is_the_sum_of_squared_distances_to_the_mean(stack):
    assert float(MeanL2().penalty(stack)) == pytest.approx(
        square(stack - stack.mean(0))
    )
    assert float(MeanL2(0.1)(stack)) == pytest.approx(
        0.1 * square(stack - stack.mean(0))
    )


def test_pairs_are_mean_l2_times_the_number_of_tasks(stack):
    pairs = sum(square(s - t) for s, t in combinations(stack, 2))
    assert float(5 * float(MeanL2().penalty(stack))) == pytest.approx(pairs, rel=1e-12)


def test_mean_l2_and_a_ridge_are_the_penalty_of_evgeniou_and_pontil(stack):
    # KDD 2004, the common part w0 eliminated: own parts cost l1 / T, the common one l2.
    own, common = 2.0, 3.0
    centre = own / (own + common) * stack.mean(0)
    expected = own / 5 * square(stack - centre) + common * square(centre)
    ridge_part = own * common / (5 * (own + common)) * ridge(stack)
    mean_part = own**2 / (5 * (own + common)) * MeanL2().penalty(stack)
    assert float(ridge_part + mean_part) == pytest.approx(expected, rel=1e-12)


def test_a_proximal_step_of_mean_l2_moves_to_the_mean(stack):
    mean = stack.mean(0)
    near = MeanL2().proximal(stack, 0.5)
    np.testing.assert_allclose(near, mean + (stack - mean) / 2, rtol=1e-12)
    far = MeanL2().proximal(stack, 1e12)
    np.testing.assert_allclose(far, np.broadcast_to(mean, stack.shape), atol=1e-10)


def test_a_graph_weighs_the_squared_distances(stack):
    expected = sum(
        weight * square(stack[NAMES.index(s)] - stack[NAMES.index(t)])
        for (s, t), weight in EDGES.items()
    )
    penalty = GraphLaplacian(graph=EDGES, tasks=NAMES).penalty(stack)
    assert float(penalty) == pytest.approx(expected, rel=1e-12)


def test_a_graph_is_the_trace_of_the_laplacian(stack):
    adjacency = np.abs(np.corrcoef(stack.reshape(5, -1)))
    laplacian = np.diag(adjacency.sum(1)) - adjacency
    expected = np.einsum("sio,st,tio", stack, laplacian, stack)
    penalty = GraphLaplacian(graph=adjacency).penalty(stack)
    assert float(penalty) == pytest.approx(expected, rel=1e-12)


def test_the_default_graph_is_mean_l2(stack):
    expected = float(MeanL2().penalty(stack))
    assert float(GraphLaplacian().penalty(stack)) == pytest.approx(expected, rel=1e-12)
    assert float(Hierarchical().penalty(stack)) == pytest.approx(expected, rel=1e-12)


def test_a_graph_is_taken_as_a_dict_a_table_and_an_array(stack):
    by_pair = GraphLaplacian(graph=EDGES, tasks=NAMES)
    reversed_table = by_pair.graph.loc[NAMES[::-1], NAMES[::-1]]
    by_table = GraphLaplacian(graph=reversed_table).for_tasks(NAMES)
    by_position = GraphLaplacian(graph=by_pair.graph.to_numpy())
    expected = float(by_pair.penalty(stack))
    assert float(by_table.penalty(stack)) == pytest.approx(expected, rel=1e-12)
    assert float(by_position.penalty(stack)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "regularizer", [GraphLaplacian(graph=EDGES), Hierarchical(groups=GROUPS)]
)
def test_the_order_of_tasks_changes_nothing(regularizer, stack):
    there = regularizer.for_tasks(NAMES)
    back = there.for_tasks(NAMES[::-1])
    expected = float(there.penalty(stack))
    assert float(back.penalty(stack[::-1])) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "regularizer", [GraphLaplacian(graph=EDGES), Hierarchical(groups=GROUPS)]
)
def test_names_beyond_the_tasks_are_left_out(regularizer, stack):
    fewer = regularizer.for_tasks(NAMES).for_tasks(["b", "d"])
    assert fewer.get_config()["tasks"] == ["b", "d"]
    assert np.isfinite(fewer.penalty(stack[:2]))


def test_two_tasks_of_a_graph_keep_their_edge(stack):
    fewer = GraphLaplacian(graph=EDGES).for_tasks(["b", "d"])
    expected = 0.5 * square(stack[0] - stack[1])
    assert float(fewer.penalty(stack[:2])) == pytest.approx(expected, rel=1e-12)


def least_over_means(stack, within, between):
    """The hierarchical penalty by least squares over the means of groups and all."""
    flat = stack.reshape(5, -1)
    member = [[name in group for group in GROUPS.values()] for name in NAMES]
    tasks = np.sqrt(within) * np.hstack([np.array(member, float), np.zeros((5, 1))])
    groups = np.sqrt(between) * np.array([[1.0, 0.0, -1.0], [0.0, 1.0, -1.0]])
    known = np.vstack([np.sqrt(within) * flat, np.zeros((2, flat.shape[1]))])
    design = np.vstack([tasks, groups])
    means = np.linalg.lstsq(design, known)[0]
    return square(known - design @ means)


@pytest.mark.parametrize(("within", "between"), [(1.0, 1.0), (0.3, 2.0), (5.0, 0.1)])
def test_hierarchical_is_least_over_the_means(stack, within, between):
    regularizer = Hierarchical(
        groups=GROUPS, within=within, between=between, tasks=NAMES
    )
    expected = least_over_means(stack, within, between)
    assert float(regularizer.penalty(stack)) == pytest.approx(expected, rel=1e-9)


def test_a_large_weight_between_groups_is_mean_l2(stack):
    joined = Hierarchical(groups=GROUPS, between=1e12, tasks=NAMES)
    expected = float(MeanL2().penalty(stack))
    assert float(joined.penalty(stack)) == pytest.approx(expected, rel=1e-9)


def test_no_weight_between_groups_leaves_them_independent(stack):
    apart = Hierarchical(groups=GROUPS, between=0, tasks=NAMES)
    expected = MeanL2().penalty(stack[[0, 3]]) + MeanL2().penalty(stack[[1, 2, 4]])
    assert float(apart.penalty(stack)) == pytest.approx(float(expected), rel=1e-12)


def test_groups_of_one_size_are_the_known_clusters_of_jacob(stack):
    # NeurIPS 2008: e_W within + e_B between, and |W|^2 = T |mean|^2 + between + within.
    four, names = stack[:4], NAMES[:4]
    groups = {"one": ["a", "d"], "two": ["b", "c"]}
    means = np.stack([four[[0, 3]].mean(0), four[[1, 2]].mean(0)])
    between = 2 * square(means - four.mean(0))
    within = square(four) - 4 * square(four.mean(0)) - between
    regularizer = Hierarchical(groups=groups, within=1.5, between=0.5, tasks=names)
    e_between = 1.5 * 0.5 / (1.5 * 2 + 0.5)
    expected = 1.5 * within + e_between * between
    assert float(regularizer.penalty(four)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    "regularizer",
    [
        MeanL2(),
        GraphLaplacian(graph=EDGES, tasks=NAMES),
        Hierarchical(groups=GROUPS, tasks=NAMES),
    ],
)
def test_equal_tasks_cost_nothing_in_float32(regularizer, stack):
    equal = np.broadcast_to(stack[:1], stack.shape).astype("float32")
    assert 0 <= regularizer.penalty(1e3 * equal) < 1e-6


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ([[0, 1], [2, 0]], r"`graph` must be symmetric.*Received: shape=\(2, 2\)"),
        ([[0, 1, 2], [1, 0, 1]], r"`graph` must be symmetric.*Received: shape"),
        ([[0, -1], [-1, 0]], r"`graph` must have finite weights.*from -1.0 to 0.0"),
        ([[0, np.nan], [np.nan, 0]], "`graph` must have finite weights"),
        ("dense", "`graph` must be a table of numbers.*Received: 'dense'"),
        ({("a", "b", "c"): 1.0}, r"by pairs of task names.*\('a', 'b', 'c'\)"),
        ({("a", "b"): 1.0, ("b", "a"): 2.0}, "each pair once"),
        (pd.DataFrame(np.eye(2), ["a", "b"], ["a", "c"]), "the same names as rows"),
        (pd.DataFrame(np.eye(2), ["a", "a"], ["a", "a"]), "must be unique"),
    ],
)
def test_a_wrong_graph_is_an_error(graph, message):
    with pytest.raises(ValueError, match=message):
        GraphLaplacian(graph=graph)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"groups": {"g": ["a"], "h": ["a", "b"]}}, r"`groups` must be unique.*'a'"),
        ({"groups": {"g": "ab"}}, r"`groups\['g'\]` must be a list"),
        ({"within": -1}, "`within` must be a finite number of at least 0"),
        ({"between": np.inf}, "`between` must be a finite number of at least 0"),
    ],
)
def test_wrong_groups_are_an_error(arguments, message):
    with pytest.raises(ValueError, match=message):
        Hierarchical(**arguments)


def test_groups_that_are_no_dict_are_an_error():
    with pytest.raises(TypeError, match="`groups` must be a dict"):
        Hierarchical(groups=[["a", "b"]])


@pytest.mark.parametrize(
    ("regularizer", "subject"),
    [(GraphLaplacian(graph=EDGES), "graph"), (Hierarchical(groups=GROUPS), "groups")],
)
def test_names_and_sizes_that_do_not_fit_are_errors(regularizer, subject, stack):
    with pytest.raises(ValueError, match=f"`{subject}` must name every task.*'dd'"):
        regularizer.for_tasks(["a", "dd"])
    with pytest.raises(ValueError, match=f"`{subject}` is by task name.*for_tasks"):
        regularizer.penalty(stack)
    with pytest.raises(ValueError, match="`weights` must start with an axis of 5"):
        regularizer.for_tasks(NAMES).penalty(stack[:3])


def test_an_array_has_as_many_tasks_as_names_and_weights(stack):
    with pytest.raises(ValueError, match="`graph` must start with an axis of 3 tasks"):
        GraphLaplacian(graph=np.ones((2, 2)), tasks=["a", "b", "c"])
    with pytest.raises(ValueError, match="as many as `graph` has"):
        GraphLaplacian(graph=np.ones((2, 2))).penalty(stack)
