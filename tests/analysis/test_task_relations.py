"""`task_relations` reads what a model has learned of how its tasks relate."""

import sys

import keras
import numpy as np
import pytest
from small import build, some_inputs

import kmtl
from kmtl.analysis import task_relations
from kmtl.sharing import CGC, Branched, CrossStitch, FiLM, LowLevel, MMoE, Soft

X = some_inputs(6)
NAMES = ["a", "b", "c"]
TASKS = [kmtl.BinaryTask(name) for name in NAMES]


def layer_of(model, kind):
    return next(layer for layer in model.layers if isinstance(layer, kind))


def cosine(one, other):
    one, other = np.ravel(one), np.ravel(other)
    return one @ other / np.linalg.norm(one) / np.linalg.norm(other)


@pytest.fixture(scope="module")
def hard():
    """Heads with kernels that are known: `b` opposes `a`, `c` is at right angles."""
    model = build(TASKS)
    kernel, bias = layer_of(model, kmtl.layers.TaskDense).weights
    kernel.assign(np.eye(8)[[0, 0, 1]][..., None] * [[[2.0]], [[-3.0]], [[1.0]]])
    bias.assign(np.ones((3, 1)))
    return model


def test_heads_that_oppose_each_other(hard):
    found = task_relations(hard)
    assert list(found.relation.index) == list(found.relation.columns) == NAMES
    expected = [[1, -1, 0], [-1, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(found.relation, expected, atol=1e-7)
    assert "kernels of the heads" in found.meaning
    assert found.layers == {}


def test_hidden_layers_of_heads_are_multiplied():
    model = build(TASKS, head_units=(5,))
    relation = task_relations(model).relation
    first, last = (
        keras.ops.convert_to_numpy(v.kernel)
        for v in model.layers
        if isinstance(v, kmtl.layers.TaskDense)
    )
    maps = first @ last
    assert relation.loc["a", "c"] == pytest.approx(cosine(maps[0], maps[2]), 1e-5)


def test_tasks_of_several_outputs_have_the_root_of_the_rv_coefficient():
    tasks = [*TASKS[:1], kmtl.MulticlassTask("m", classes=3)]
    model = build(tasks)
    one, several = (
        keras.ops.convert_to_numpy(v.kernel)[0]
        for v in model.layers
        if isinstance(v, kmtl.layers.TaskDense)
    )
    several = several - several.mean(axis=1, keepdims=True)
    rv = np.sum((one.T @ several) ** 2) / (
        np.linalg.norm(one @ one.T) * np.linalg.norm(several @ several.T)
    )
    relation = task_relations(model).relation
    np.testing.assert_allclose(relation, [[1, rv**0.5], [rv**0.5, 1]], rtol=1e-5)


def test_what_a_head_sees_of_other_tasks_is_left_out():
    tasks = [*TASKS[:2], kmtl.BinaryTask("c", condition_on="a")]
    model = build(tasks)
    assert task_relations(model).relation.notna().all(axis=None)


def test_heads_that_cannot_be_compared_are_nan():
    own = kmtl.BinaryTask("own", head=keras.layers.Dense(1))
    relation = task_relations(build([*TASKS[:2], own])).relation
    assert relation.isna().loc["own"].all()
    assert relation.notna().loc["a", "b"]


def test_heads_at_different_places_are_not_compared():
    two = {"trunk": kmtl.trunks.MLP([8, 8])}
    branched = build(TASKS, sharing=Branched(groups=[["a", "c"], ["b"]]), **two)
    relation = task_relations(branched).relation
    assert relation.isna().sum(axis=None) == 4
    assert relation.notna().loc["a", "c"]
    low = build(TASKS[:2], sharing=LowLevel({"a": 0}), **two)
    with pytest.raises(ValueError, match="attached at different places"):
        task_relations(low)


def test_stitches_say_what_tasks_take_of_each_tower():
    model = build(TASKS[:2], sharing=CrossStitch(own=0.8))
    found = task_relations(model)
    # Rows 0.8, 0.2 and 0.2, 0.8: 2 * 0.16 / 0.68.
    expected = [[1, 0.32 / 0.68], [0.32 / 0.68, 1]]
    np.testing.assert_allclose(found.relation, expected, rtol=1e-5)
    (stitch,) = found.layers.values()
    np.testing.assert_allclose(stitch, [[0.8, 0.2], [0.2, 0.8]], rtol=1e-6)


def test_the_mean_over_layers_is_the_relation():
    two = {"trunk": kmtl.trunks.MLP([8, 8]), "sharing": CrossStitch(own=0.8)}
    model = build(TASKS[:2], **two)
    first = layer_of(model, kmtl.layers.StitchTasks)
    first.stitch.assign(np.reshape(np.eye(2), first.stitch.shape))
    relation = task_relations(model).relation
    assert relation.loc["a", "b"] == pytest.approx(0.32 / 0.68 / 2, rel=1e-5)


@pytest.fixture(scope="module")
def mixture():
    return build(TASKS, sharing=MMoE(experts=4))


def test_gates_are_compared_by_their_means(mixture):
    found = task_relations(mixture, X)
    (gates,) = found.layers.values()
    assert list(gates.index) == NAMES
    expected = cosine(gates.loc["a"], gates.loc["b"])
    assert found.relation.loc["a", "b"] == pytest.approx(expected, rel=1e-6)
    gate = layer_of(mixture, kmtl.layers.TaskGate)
    gate.kernel.assign(keras.ops.zeros_like(gate.kernel))
    np.testing.assert_allclose(task_relations(mixture, X).relation, 1.0, rtol=1e-6)


def test_experts_of_a_tasks_own_are_not_in_common():
    model = build(TASKS, sharing=CGC(shared_experts=1, task_experts=1))
    found = task_relations(model, X)
    (gates,) = found.layers.values()
    lengths = np.linalg.norm(gates, axis=1)
    shared = gates["shared/0"].to_numpy()
    expected = shared[0] * shared[1] / (lengths[0] * lengths[1])
    assert found.relation.loc["a", "b"] == pytest.approx(expected, rel=1e-6)
    assert found.relation.loc["a", "a"] == pytest.approx(1.0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sharing",
    [
        kmtl.sharing.AdaTT(),
        kmtl.sharing.DSelectK(),
        kmtl.sharing.MTAN(),
        kmtl.sharing.PLE(),
        kmtl.sharing.Sluice(),
        FiLM(),
    ],
    ids=lambda sharing: type(sharing).__name__,
)
def test_every_sharing_with_weights_to_look_at_has_a_relation(sharing):
    model = build(TASKS, sharing=sharing, trunk=kmtl.trunks.MLP([4, 4]))
    found = task_relations(model, X)
    assert found.relation.abs().max(axis=None) <= 1.0
    np.testing.assert_allclose(np.diag(found.relation), 1.0, rtol=1e-6)
    assert found.layers


def towers(regularizer):
    """Towers of which `b` is minus `a`, and `c` is at right angles to both."""
    model = build(TASKS, sharing=Soft(regularizer))
    for weight in model.towers.weights:
        rows = np.zeros((3, np.prod(weight.variable.shape[1:])))
        rows[:, :2] = [[1, 0], [-1, 0], [0, 2]]
        weight.variable.assign(rows.reshape(weight.variable.shape))
    return model


@pytest.mark.parametrize(
    ("regularizer", "meaning"),
    [
        (kmtl.regularizers.TaskCovariance(1e-3), "that the penalty on the towers"),
        (kmtl.regularizers.TraceNorm(1e-3), "cosine of the weights of the towers"),
    ],
)
def test_towers(regularizer, meaning):
    found = task_relations(towers(regularizer))
    expected = [[1, -1, 0], [-1, 1, 0], [0, 0, 1]]
    np.testing.assert_allclose(found.relation, expected, atol=1e-5)
    assert meaning in found.meaning
    assert all("/" in name for name in found.layers)


def test_gates_need_data(mixture):
    with pytest.raises(ValueError, match=r"`data` is needed: the weights of 'gate"):
        task_relations(mixture)


def test_one_task_has_no_relation():
    with pytest.raises(ValueError, match="at least two tasks"):
        task_relations(build(TASKS[:1]))


def test_a_plain_model_is_refused():
    with pytest.raises(TypeError, match=r"must be an MTLModel.*Received: Sequential"):
        task_relations(keras.Sequential())


def test_a_plot_is_drawn_and_saved(hard, mixture, tmp_path):
    figure = task_relations(mixture, X).plot(tmp_path / "gates.png")
    assert (tmp_path / "gates.png").stat().st_size > 10_000
    titles = [axes.get_title() for axes in figure.axes]
    assert titles[:2] == ["relation of tasks", "gate"]
    assert "mean gates" in figure.get_suptitle()
    task_relations(hard).plot().draw_without_rendering()


def test_a_plot_says_what_it_needs(hard, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(ImportError, match=r"pip install 'kmtl\[plot\]'"):
        task_relations(hard).plot()
