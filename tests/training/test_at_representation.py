"""`at="representation"`: all paths equal a loop over tasks."""

import keras
import numpy as np
import pytest
from loops import (
    Step,
    assert_same_step,
    loop,
    loop_at_tensors,
    one_step,
    watched,
)
from small import some_inputs, some_labels

import kmtl
from kmtl._training import _task_gradients
from kmtl._training._fan_out import HeadsPart, MixturePart, fan_out
from kmtl.sharing import (
    CGC,
    MTAN,
    PLE,
    AdaTT,
    Branched,
    DSelectK,
    FiLM,
    Hard,
    LowLevel,
    MMoE,
)

pytestmark = pytest.mark.usefixtures("in_float64")

L = keras.layers
GROUPS = {
    "one group": [kmtl.BinaryTask(name) for name in "abc"],
    "groups in a row": [
        kmtl.BinaryTask("a"),
        kmtl.BinaryTask("b"),
        kmtl.MulticlassTask("c", classes=3),
    ],
    "groups in turns": [
        kmtl.MulticlassTask("a", classes=3),
        kmtl.BinaryTask("b"),
        kmtl.MulticlassTask("c", classes=3),
        kmtl.RegressionTask("d", standardize=False),
        kmtl.BinaryTask("e"),
    ],
}
TASKS = GROUPS["groups in turns"]
MLP = kmtl.trunks.MLP([8, 6], activation="tanh", dropout=0.2)
CNN = kmtl.trunks.CNN([4, 6], activation="tanh")
MAPS = kmtl.trunks.CNN([4, 6], activation="tanh", pooling=None)
X = some_inputs(7)
IMAGES = np.random.default_rng(0).normal(size=(7, 6, 6, 1))


def assert_equals_loop(path, tasks, x=X, **options):
    """Takes a step and compares it with a loop; the model must part in this way."""
    options = {"trunk": MLP if x.ndim == 2 else CNN, **options}
    model = watched(tasks, at="representation", inputs=x.shape[1:], **options)
    assert type(fan_out(model)) is path
    y = some_labels(tasks, len(x))
    expected = Step(loop(model, x, y).update(), loop_at_tensors(model, x, y))
    assert_same_step(one_step(model, x, y), expected)


@pytest.mark.parametrize("tasks", GROUPS.values(), ids=GROUPS)
@pytest.mark.parametrize(
    "head_units", [(), (5,), pytest.param((6, 5), marks=pytest.mark.slow)], ids=str
)
def test_tasks_part_at_their_heads(tasks, head_units):
    assert_equals_loop(HeadsPart, tasks, head_units=head_units)


def test_tasks_part_at_their_heads_behind_convolutions():
    assert_equals_loop(HeadsPart, TASKS, IMAGES, head_units=(5,))


@pytest.mark.slow
@pytest.mark.parametrize(
    "sharing",
    [
        MMoE(experts=3),
        DSelectK(experts=4, entropy=0.0),
        DSelectK(experts=4, entropy=0.0, per_example=True),
        CGC(shared_experts=2, task_experts=2),
        PLE(),
        AdaTT(),
        AdaTT(task_experts=2, shared_experts=1),
    ],
    ids=repr,
)
@pytest.mark.parametrize(
    "x",
    [pytest.param(X, id="MLP"), pytest.param(IMAGES, id="CNN", marks=pytest.mark.slow)],
)
def test_tasks_part_at_their_mixtures(x, sharing):
    assert_equals_loop(MixturePart, TASKS, x, sharing=sharing)


@pytest.mark.slow
@pytest.mark.parametrize("sharing", [MMoE(experts=3), CGC(), PLE()], ids=repr)
def test_mixtures_may_be_of_maps(sharing):
    tasks = [
        kmtl.BinaryTask(
            name, head=keras.Sequential([L.GlobalAveragePooling2D(), L.Dense(1)])
        )
        for name in "abc"
    ]
    assert_equals_loop(MixturePart, tasks, IMAGES, trunk=MAPS, sharing=sharing)


@pytest.mark.slow
@pytest.mark.parametrize(
    "sharing",
    [
        AdaTT(shared_experts=2),
        Branched([["a", "c"], ["b", "d"], ["e"]], shared_stages=1),
        Branched([["a", "c"], ["b", "d"], ["e"]], shared_stages=0),
        LowLevel({"b": 0, "e": 0}),
        FiLM(),
    ],
    ids=repr,
)
def test_other_sharings_take_a_pass_a_task(sharing):
    path = MixturePart if isinstance(sharing, AdaTT) else type(None)
    assert_equals_loop(path, TASKS, sharing=sharing)


def test_several_shared_tensors_count_together():
    model = watched(TASKS, at="representation", trunk=MLP, sharing=MTAN())
    y = some_labels(TASKS, len(X))
    expected = loop_at_tensors(model, X, y)
    np.testing.assert_allclose(one_step(model, X, y).gramian, expected, rtol=1e-9)


def own_heads():
    tasks = [kmtl.BinaryTask(name) for name in "ab"]
    return [*tasks, kmtl.RegressionTask("c", standardize=False, head=L.Dense(1))]


def products():
    tasks = [kmtl.BinaryTask(name) for name in "ab"]
    return [*tasks, kmtl.ProductTask("c", ["a", "b"])]


@pytest.mark.slow
@pytest.mark.parametrize("tasks", [own_heads, products])
@pytest.mark.parametrize("sharing", [Hard(), MMoE(experts=3)], ids=repr)
def test_heads_of_another_form(tasks, sharing):
    tasks = tasks()
    is_mixture = isinstance(sharing, MMoE) and isinstance(tasks[2], kmtl.RegressionTask)
    path = MixturePart if is_mixture else type(None)
    model = watched(tasks, at="representation", trunk=MLP, sharing=sharing)
    assert type(fan_out(model)) is path
    y = some_labels(GROUPS["one group"], len(X))
    expected = loop_at_tensors(model, X, y)
    np.testing.assert_allclose(one_step(model, X, y).gramian, expected, rtol=1e-9)


def conditioned():
    return [
        kmtl.BinaryTask("a"),
        kmtl.BinaryTask("b", condition_on="a"),
        kmtl.BinaryTask("c", condition_on="a"),
    ]


def auxiliary():
    return [*GROUPS["one group"], kmtl.AuxiliaryTask(kmtl.BinaryTask("d"))]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "sharing", "path"),
    [
        (conditioned, Hard(), type(None)),
        (conditioned, MMoE(experts=3), MixturePart),
        (auxiliary, Hard(), HeadsPart),
        (auxiliary, MMoE(experts=3), MixturePart),
    ],
)
def test_quick_and_general_path_agree(monkeypatch, tasks, sharing, path):
    y = some_labels([kmtl.BinaryTask(name) for name in "abcd"], len(X))
    y = {task.name: y[task.name] for task in tasks()}

    def step():
        model = watched(tasks(), at="representation", trunk=MLP, sharing=sharing)
        return model, one_step(model, X, y)

    model, quick = step()
    assert type(fan_out(model)) is path
    monkeypatch.setattr(_task_gradients, "fan_out", lambda _: None)
    assert_same_step(quick, step()[1], rtol=1e-9)
